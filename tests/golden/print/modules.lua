-- Written by scripts/gen/golden_module_text.py with PyTorch 2.15.0; do not edit.
return {
  alexnet = [=[
AlexNet(
  (features): Sequential(
    (0): Conv2d(3, 64, kernel_size=(11, 11), stride=(4, 4), padding=(2, 2))
    (1): ReLU(inplace=True)
    (2): MaxPool2d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)
    (3): Conv2d(64, 192, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))
    (4): ReLU(inplace=True)
    (5): MaxPool2d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)
  )
  (avgpool): AdaptiveAvgPool2d(output_size=(6, 6))
  (classifier): Sequential(
    (0): Dropout(p=0.5, inplace=False)
    (1): Linear(in_features=6912, out_features=40, bias=True)
    (2): ReLU(inplace=True)
    (3): Linear(in_features=40, out_features=10, bias=True)
  )
)]=],
  vgg = [=[
Module(
  (features): Sequential(
    (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    (2): ReLU(inplace=True)
    (3): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    (4): Conv2d(8, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (5): BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    (6): ReLU(inplace=True)
    (7): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    (8): Conv2d(16, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (9): BatchNorm2d(32, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    (10): ReLU(inplace=True)
    (11): Conv2d(32, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (12): BatchNorm2d(32, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    (13): ReLU(inplace=True)
    (14): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  )
  (avgpool): AdaptiveAvgPool2d(output_size=7)
)]=],
  resnet = [=[
ResNet(
  (conv1): Conv2d(3, 8, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False)
  (bn1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
  (relu): ReLU(inplace=True)
  (maxpool): MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)
  (layer1): Sequential(
    (0): BasicBlock(
      (conv1): Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
      (bn1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
      (relu): ReLU(inplace=True)
      (conv2): Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
      (bn2): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    )
    (1): BasicBlock(
      (conv1): Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
      (bn1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
      (relu): ReLU(inplace=True)
      (conv2): Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
      (bn2): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    )
  )
  (layer2): Sequential(
    (0): BasicBlock(
      (conv1): Conv2d(8, 16, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)
      (bn1): BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
      (relu): ReLU(inplace=True)
      (conv2): Conv2d(16, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
      (bn2): BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
      (downsample): Sequential(
        (0): Conv2d(8, 16, kernel_size=(1, 1), stride=(2, 2), bias=False)
        (1): BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
      )
    )
    (1): BasicBlock(
      (conv1): Conv2d(16, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
      (bn1): BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
      (relu): ReLU(inplace=True)
      (conv2): Conv2d(16, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
      (bn2): BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    )
  )
  (avgpool): AdaptiveAvgPool2d(output_size=(1, 1))
  (fc): Linear(in_features=16, out_features=10, bias=True)
)]=],
  gpt = [=[
GPT(
  (transformer): ModuleDict(
    (wte): Embedding(50, 8)
    (wpe): Embedding(16, 8, padding_idx=0)
    (drop): Dropout(p=0.1, inplace=False)
    (h): ModuleList(
      (0-5): 6 x Block(
        (ln_1): LayerNorm((8,), eps=1e-05, elementwise_affine=True, bias=True)
        (attn): Linear(in_features=8, out_features=24, bias=False)
        (ln_2): LayerNorm((8,), eps=1e-06, elementwise_affine=True, bias=True)
        (mlp): MLP(
          (c_fc): Linear(in_features=8, out_features=32, bias=True)
          (gelu): GELU(approximate='tanh')
          (c_proj): Linear(in_features=32, out_features=8, bias=True)
          (dropout): Dropout(p=0.1, inplace=False)
        )
      )
    )
    (ln_f): LayerNorm((8,), eps=1e-05, elementwise_affine=True, bias=True)
  )
  (lm_head): Linear(in_features=8, out_features=50, bias=False)
)]=],
  gpt_mixed = [=[
ModuleList(
  (0-1): 2 x Block(
    (ln_1): LayerNorm((8,), eps=1e-05, elementwise_affine=True, bias=True)
    (attn): Linear(in_features=8, out_features=24, bias=False)
    (ln_2): LayerNorm((8,), eps=1e-06, elementwise_affine=True, bias=True)
    (mlp): MLP(
      (c_fc): Linear(in_features=8, out_features=32, bias=True)
      (gelu): GELU(approximate='tanh')
      (c_proj): Linear(in_features=32, out_features=8, bias=True)
      (dropout): Dropout(p=0.1, inplace=False)
    )
  )
  (2): Block(
    (ln_1): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    (attn): Linear(in_features=4, out_features=12, bias=False)
    (ln_2): LayerNorm((4,), eps=1e-06, elementwise_affine=True, bias=True)
    (mlp): MLP(
      (c_fc): Linear(in_features=4, out_features=16, bias=True)
      (gelu): GELU(approximate='tanh')
      (c_proj): Linear(in_features=16, out_features=4, bias=True)
      (dropout): Dropout(p=0.1, inplace=False)
    )
  )
  (3): ReLU()
  (4-5): 2 x Block(
    (ln_1): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    (attn): Linear(in_features=4, out_features=12, bias=False)
    (ln_2): LayerNorm((4,), eps=1e-06, elementwise_affine=True, bias=True)
    (mlp): MLP(
      (c_fc): Linear(in_features=4, out_features=16, bias=True)
      (gelu): GELU(approximate='tanh')
      (c_proj): Linear(in_features=16, out_features=4, bias=True)
      (dropout): Dropout(p=0.1, inplace=False)
    )
  )
)]=],
  lists_of_lists = [=[
ModuleList(
  (0-1): 2 x ModuleList(
    (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
  )
  (2): ModuleList()
)]=],
  module_dict = [=[
ModuleDict(
  (conv): Conv1d(1, 2, kernel_size=(3,), stride=(1,))
  (pool): ModuleDict(
    (max): MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  )
  (act): ModuleList(
    (0-1): 2 x ReLU()
    (2): LeakyReLU(negative_slope=0.2)
  )
)]=],
  empty = [=[
Net(
  (a): Sequential()
  (b): ModuleList()
  (c): ModuleDict()
  (d): ParameterList()
  (e): ParameterDict()
  (f): Module()
)]=],
  only_parameters = [=[
Sequential(
  (0): Scale()
  (1): Scale()
)]=],
  extra_repr = [=[
Custom(size=3, kind='x')]=],
  extra_repr_lines = [=[
Sequential(
  (0): Custom(
    first line
    second line
    (inner): Linear(in_features=1, out_features=1, bias=True)
  )
  (1): ReLU()
)]=],
  extra_repr_lines_alone = [=[
Sequential(
  (0): Custom(
    first line
    second line
  )
)]=],
  named_sequential = [=[
Sequential(
  (conv1): Conv2d(1, 20, kernel_size=(5, 5), stride=(1, 1))
  (relu1): ReLU()
  (conv2): Conv2d(20, 64, kernel_size=(5, 3), stride=(1, 1), padding=same)
  (relu2): ReLU()
)]=],
  unet = [=[
UNet(
  (down): ModuleList(
    (0): Double(
      (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (1): ReLU()
    )
    (1): Double(
      (0): Conv2d(4, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (1): ReLU()
    )
  )
  (up): ModuleList(
    (0): ConvTranspose2d(8, 4, kernel_size=(2, 2), stride=(2, 2))
    (1): Double(
      (0): Conv2d(8, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (1): ReLU()
    )
  )
  (pool): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  (head): Conv2d(4, 1, kernel_size=(1, 1), stride=(1, 1))
)]=],
  inception = [=[
Sequential(
  (0): Inception(
    (branch1): Conv2d(4, 2, kernel_size=(1, 1), stride=(1, 1))
    (branch2): Sequential(
      (0): Conv2d(4, 2, kernel_size=(1, 1), stride=(1, 1))
      (1): Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    )
    (branch3): Sequential(
      (0): MaxPool2d(kernel_size=3, stride=1, padding=1, dilation=1, ceil_mode=True)
      (1): Conv2d(4, 2, kernel_size=(1, 1), stride=(1, 1))
    )
  )
  (1): Inception(
    (branch1): Conv2d(4, 2, kernel_size=(1, 1), stride=(1, 1))
    (branch2): Sequential(
      (0): Conv2d(4, 2, kernel_size=(1, 1), stride=(1, 1))
      (1): Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    )
    (branch3): Sequential(
      (0): MaxPool2d(kernel_size=3, stride=1, padding=1, dilation=1, ceil_mode=True)
      (1): Conv2d(4, 2, kernel_size=(1, 1), stride=(1, 1))
    )
  )
)]=],
  mobilenet = [=[
Sequential(
  (0): ConvBNReLU(
    (0): Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    (1): BatchNorm2d(4, eps=0.001, momentum=0.01, affine=True, bias=True, track_running_stats=True)
    (2): ReLU6(inplace=True)
  )
  (1): InvertedResidual(
    (conv): Sequential(
      (0): ConvBNReLU(
        (0): Conv2d(4, 24, kernel_size=(1, 1), stride=(1, 1), bias=False)
        (1): BatchNorm2d(24, eps=0.001, momentum=0.01, affine=True, bias=True, track_running_stats=True)
        (2): ReLU6(inplace=True)
      )
      (1): ConvBNReLU(
        (0): Conv2d(24, 24, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=24, bias=False)
        (1): BatchNorm2d(24, eps=0.001, momentum=0.01, affine=True, bias=True, track_running_stats=True)
        (2): ReLU6(inplace=True)
      )
      (2): Conv2d(24, 4, kernel_size=(1, 1), stride=(1, 1), bias=False)
      (3): BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    )
  )
)]=],
  autoencoder = [=[
Module(
  (encoder): Sequential(
    (0): Conv3d(1, 2, kernel_size=(3, 3, 3), stride=(2, 2, 2))
    (1): Hardswish()
    (2): Flatten(start_dim=1, end_dim=-1)
  )
  (decoder): Sequential(
    (0): Unflatten(dim=1, unflattened_size=(2, 3, 3, 3))
    (1): ConvTranspose3d(2, 1, kernel_size=(3, 3, 3), stride=(2, 2, 2), output_padding=(1, 1, 1))
    (2): Sigmoid()
    (3): Upsample(scale_factor=2.0, mode='nearest')
  )
)]=],
  parameters_inside = [=[
Module(
  (weights): ParameterList(
      (0): Parameter containing: [torch.float32 of size 2x3]
      (1): Parameter containing: [torch.float64 of size 4]
      (2): Parameter containing: [torch.float32 of size ]
  )
  (named): ParameterDict(
      (left): Parameter containing: [torch.FloatTensor of size 2]
      (right): Parameter containing: [torch.HalfTensor of size 2x2]
  )
  (out): Linear(in_features=2, out_features=2, bias=True)
)]=],
  shared = [=[
Module(
  (a): Linear(in_features=2, out_features=2, bias=True)
  (b): Sequential(
    (0): Linear(in_features=2, out_features=2, bias=True)
    (1): Linear(in_features=2, out_features=2, bias=True)
  )
)]=],
  removed_child = [=[
Module(
  (a): Linear(in_features=1, out_features=1, bias=True)
  (b): None
  (d): None
)]=],
  parametrized = [=[
Sequential(
  (0): ParametrizedLinear(
    in_features=3, out_features=3, bias=True
    (parametrizations): ModuleDict(
      (weight): ParametrizationList(
        (0): Symmetric()
      )
    )
  )
  (1): ParametrizedConv2d(
    1, 2, kernel_size=(3, 3), stride=(1, 1)
    (parametrizations): ModuleDict(
      (weight): ParametrizationList(
        (0): _WeightNorm()
      )
    )
  )
  (2): ParametrizedLinear(
    in_features=3, out_features=3, bias=True
    (parametrizations): ModuleDict(
      (weight): ParametrizationList(
        (0): _Orthogonal()
        (1): _SpectralNorm()
      )
    )
  )
)]=],
  parametrized_block = [=[
ModuleList(
  (0): Block(
    (ln_1): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    (attn): Linear(in_features=4, out_features=12, bias=False)
    (ln_2): LayerNorm((4,), eps=1e-06, elementwise_affine=True, bias=True)
    (mlp): MLP(
      (c_fc): ParametrizedLinear(
        in_features=4, out_features=16, bias=True
        (parametrizations): ModuleDict(
          (weight): ParametrizationList(
            (0): _SpectralNorm()
          )
        )
      )
      (gelu): GELU(approximate='tanh')
      (c_proj): Linear(in_features=16, out_features=4, bias=True)
      (dropout): Dropout(p=0.1, inplace=False)
    )
  )
  (1): Block(
    (ln_1): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    (attn): Linear(in_features=4, out_features=12, bias=False)
    (ln_2): LayerNorm((4,), eps=1e-06, elementwise_affine=True, bias=True)
    (mlp): MLP(
      (c_fc): Linear(in_features=4, out_features=16, bias=True)
      (gelu): GELU(approximate='tanh')
      (c_proj): Linear(in_features=16, out_features=4, bias=True)
      (dropout): Dropout(p=0.1, inplace=False)
    )
  )
)]=],
  normed_and_pruned = [=[
Sequential(
  (0): Linear(in_features=2, out_features=2, bias=True)
  (1): Linear(in_features=2, out_features=2, bias=True)
  (2): Linear(in_features=2, out_features=2, bias=True)
)]=],
  attention = [=[
Encoder(
  (attn): MultiheadAttention(
    (out_proj): NonDynamicallyQuantizableLinear(in_features=8, out_features=8, bias=True)
  )
  (norm): RMSNorm((8,), eps=1e-05, elementwise_affine=True)
  (bags): EmbeddingBag(10, 8, mode='sum')
  (bilinear): Bilinear(in1_features=2, in2_features=3, out_features=4, bias=False)
  (group): GroupNorm(2, 8, eps=1e-05, affine=True, bias=True)
  (loss): CrossEntropyLoss()
)]=],
  long_list = [=[
ModuleList(
  (0): Dropout(p=0.1, inplace=False)
  (1-4): 4 x Linear(in_features=1, out_features=1, bias=True)
  (5): Dropout(p=0.1, inplace=False)
  (6-9): 4 x Linear(in_features=1, out_features=1, bias=True)
  (10): Dropout(p=0.1, inplace=False)
  (11): Linear(in_features=1, out_features=1, bias=True)
)]=],
  quantities = [=[
Sequential(
  (0): Softmax(dim=1)
  (1): LogSoftmax(dim=None)
  (2): PReLU(num_parameters=1)
  (3): Threshold(threshold=0.1, value=20)
  (4): Identity()
  (5): ZeroPad2d((1, 2, 3, 4))
  (6): LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)
  (7): Hardtanh(min_val=-2, max_val=2)
  (8): PixelShuffle(upscale_factor=3)
  (9): InstanceNorm2d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)
  (10): Dropout2d(p=0.5, inplace=False)
  (11): ConstantPad1d(padding=(2, 2), value=3.5)
)]=],
}
