-- Convolutions. Note [Closed under differentiation] in nn/dispatch/conv.c: the gradients of the three
-- native ops are these ops again.
local options = "int[] stride, int[] padding, int[] dilation, bool transposed, int[] output_padding, int groups"
local passed = "stride, padding, dilation, transposed, output_padding, groups"

op{ "convolution(Tensor input, Tensor weight, Tensor? bias, " .. options .. ") -> Tensor", variants = "function", tells_recording = true,
    grad = { input = "convolution_input_grad(grad, weight, input.shape, " .. passed .. ")",
             weight = "convolution_weight_grad(grad, input, weight.shape, " .. passed .. ")",
             bias = "channel_sum(grad)" },
    cases = { "(2,3,6,5),(4,3,3,3),(4,),[1,1],[1,1],[1,1],false,[0,0],1",
              "(2,4,5,4),(4,2,3,2),nil,[2,1],[0,1],[1,1],true,[1,0],2" },
    doc = "The convolution behind conv1d to conv_transpose3d: 1 to 3 spatial dims, all options explicit.",
    example = "torch.convolution(torch.ones(1, 1, 4), torch.ones(1, 1, 3), nil, {1}, {1}, {1}, false, {0}, 1)" }

op{ "convolution_input_grad(Tensor grad_output, Tensor weight, int[] input_size, " .. options .. ") -> Tensor",
    variants = "internal",
    grad = { grad_output = "convolution(grad, weight, nil, " .. passed .. ")",
             weight = "convolution_weight_grad(grad_output, grad, weight.shape, " .. passed .. ")" } }

op{ "convolution_weight_grad(Tensor grad_output, Tensor input, int[] weight_size, " .. options .. ") -> Tensor",
    variants = "internal",
    grad = { grad_output = "convolution(input, grad, nil, " .. passed .. ")",
             input = "convolution_input_grad(grad_output, grad, input.shape, " .. passed .. ")" } }

op{ "channel_sum(Tensor self) -> Tensor", variants = "internal", grad = { self = "channel_expand(grad, self.shape)" } }
op{ "channel_expand(Tensor self, int[] size) -> Tensor", variants = "internal",
    impl = "lp_composite_channel_expand", kind = "composite" }

local texts = {
  "a signal of shape (N, C, L) with weight (out_channels, C / groups, K)",
  "an image of shape (N, C, H, W) with weight (out_channels, C / groups, KH, KW)",
  "a volume of shape (N, C, D, H, W) with weight (out_channels, C / groups, KD, KH, KW)",
}
local inputs = { "(2,4,7)", "(2,4,6,5)", "(1,4,4,5,4)" }
local ones = { "1, 1, 4", "1, 1, 3, 3", "1, 1, 3, 3, 3" }
local kernels = { "1, 1, 2", "1, 1, 2, 2", "1, 1, 2, 2, 2" }
local weights = { "(6,2,3)", "(6,2,3,3)", "(6,2,2,3,2)" }
local transposed_weights = { "(4,3,3)", "(4,3,3,2)", "(4,3,2,3,2)" }
for d = 1, 3 do
  local common = "Tensor input, Tensor weight, Tensor? bias=nil, int[" .. d .. "] stride=1, "
  op{ ("conv%dd(%sint[%d] padding=0, int[%d] dilation=1, int groups=1) -> Tensor"):format(d, common, d, d),
      autocast = "lower_precision_fp", variants = "function", module = "nn.functional torch", kind = "composite",
      cases = { inputs[d] .. "," .. weights[d] .. ",(6,),1,1,1,2", inputs[d] .. "," .. weights[d] .. ",nil,2,1,1,2" },
      doc = "Cross-correlates " .. texts[d] .. "; the batch dim N may be left out. bias has shape (out_channels).",
      example = ("F.conv%dd(torch.ones(%s), torch.ones(%s))"):format(d, ones[d], kernels[d]) }
  op{ ("conv%dd.padding(%sstr padding='valid', int[%d] dilation=1, int groups=1) -> Tensor"):format(d, common, d),
      autocast = "lower_precision_fp", variants = "function", module = "nn.functional torch", kind = "composite",
      cases = { inputs[d] .. "," .. weights[d] .. ",(6,),1,'same',1,2" },
      doc = "The same with padding by name: 'valid' (none) or 'same' (the result keeps the size; stride 1).",
      example = ("F.conv%dd(torch.ones(%s), torch.ones(%s), {padding = 'same'})"):format(d, ones[d], kernels[d]) }
  op{ ("conv_transpose%dd(%sint[%d] padding=0, int[%d] output_padding=0, int groups=1, int[%d] dilation=1) -> Tensor")
        :format(d, common, d, d, d),
      autocast = "lower_precision_fp", variants = "function", module = "nn.functional torch", kind = "composite",
      cases = { inputs[d] .. "," .. transposed_weights[d] .. ",(6,),2,1,1,2" },
      doc = ("The transposed convolution: the input gradient of conv%dd as an operation of its own. weight has shape "
        .. "(in_channels, out_channels / groups, ...)."):format(d),
      example = ("F.conv_transpose%dd(torch.ones(%s), torch.ones(%s), {stride = 2})"):format(d, kernels[d], kernels[d]) }
end
