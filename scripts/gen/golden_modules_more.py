"""Samples of the modules that PyTorch's ModuleInfo database lacks, and of arguments it does not try: for
golden_modules.py. samples() yields (class, (args, kwargs) of the constructor, of forward, what, flags)."""
import torch
import torch.nn as nn
import torch.nn.functional as F

TRAIN, NO_GRAD = 1, 2
_count = 0


def x(*sizes, grad=True, positive=False):
    """A leaf of its own numbers."""
    global _count
    _count += 1
    gen = torch.Generator().manual_seed(_count)
    t = torch.randn(*sizes, generator=gen, dtype=torch.float64)
    if positive:
        t = t.abs() + 0.1
    return t.requires_grad_(grad)


def ints(high, *sizes):
    global _count
    _count += 1
    return torch.randint(0, high, sizes, generator=torch.Generator().manual_seed(_count))


def c(*args, **kwargs):
    return args, kwargs


def simple():
    """Class, constructors, inputs: every constructor with every input."""
    line, plane, space = x(2, 4, 6), x(2, 4, 6, 6), x(1, 2, 4, 4, 4)
    for cls, makes, inputs in (
        (nn.Identity, [c(), c(54, unused=0.1)], [line]),
        (nn.Flatten, [c(), c(0, 1), c(start_dim=-2)], [plane]),
        (nn.Unflatten, [c(1, (2, 2)), c(dim=-1, unflattened_size=(3, -1))], [line]),
        (nn.PixelShuffle, [c(2)], [plane, x(8, 2, 3)]),
        (nn.PixelUnshuffle, [c(2), c(downscale_factor=3)], [plane]),
        (nn.ChannelShuffle, [c(2), c(4)], [plane, line]),
        (nn.Softmin, [c(), c(1), c(dim=-1)], [line, x(3, 4)]),
        (nn.Softmax, [c(), c(0)], [line, x(3, 4), x(5)]),
        (nn.Hardsigmoid, [c(), c(inplace=False)], [line]),
        (nn.Hardtanh, [c(), c(-2, 3), c(min_val=-0.5, max_val=0.25)], [line]),
        (nn.RReLU, [c(), c(0.1, 0.2), c(lower=0.3, upper=0.4, inplace=False)], [line]),
        (nn.Upsample, [c(scale_factor=2), c((3, 7)), c(scale_factor=(1.5, 2), mode="bilinear"),
                       c(size=5, mode="bicubic", align_corners=True), c(scale_factor=0.5, mode="area"),
                       c(scale_factor=1.1), c(scale_factor=(2.1, 1.3)),
                       c(scale_factor=1.7, mode="nearest-exact", recompute_scale_factor=True)], [plane]),
        (nn.Upsample, [c(9, mode="linear", align_corners=False), c(scale_factor=1.15, mode="linear")], [line]),
        (nn.Upsample, [c(scale_factor=2, mode="trilinear")], [space]),
        (nn.UpsamplingNearest2d, [c(scale_factor=2), c(size=(4, 3)), c(5)], [plane]),
        (nn.UpsamplingBilinear2d, [c(scale_factor=2), c(size=(4, 3))], [plane]),
        (nn.Fold, [c(4, 2), c((4, 5), (2, 2), dilation=(1, 2), padding=1, stride=(2, 1))], []),
        (nn.Unfold, [c(2), c((2, 3), dilation=2, padding=1, stride=(2, 1))], [plane]),
        (nn.CrossMapLRN2d, [c(3), c(5, 0.1, 0.5, 2), c(size=2, alpha=0.01)], [x(2, 7, 3, 2, grad=False)]),
        (nn.LocalResponseNorm, [c(2, alpha=0.5, beta=0.3, k=2.0)], [line, space]),
        (nn.LPPool1d, [c(1, 2), c(3.0, 2, stride=1)], [x(2, 3, 6, positive=True)]),
        (nn.LPPool3d, [c(2, 2, ceil_mode=True)], [x(1, 2, 3, 4, 5, positive=True)]),
        (nn.AvgPool1d, [c(2), c((3,), (2,), 1, True, False)], [line]),
        (nn.AvgPool2d, [c(2, divisor_override=3), c((2, 3), 1, (1, 0), count_include_pad=False)], [plane]),
        (nn.MaxPool1d, [c(2), c(3, 1, 1, 2, True)], [line]),
        (nn.MaxPool2d, [c(2, return_indices=True, ceil_mode=True), c((3, 2), stride=(1, 2), padding=1, dilation=2)],
         [plane]),
        (nn.MaxPool3d, [c(2, return_indices=True)], [space]),
        (nn.AdaptiveAvgPool2d, [c((None, 3)), c(1), c((5, None))], [plane]),
        (nn.AdaptiveMaxPool2d, [c((2, 3), return_indices=True), c((None, 4))], [plane]),
        (nn.AdaptiveMaxPool1d, [c(3, return_indices=True)], [line]),
        (nn.ReflectionPad1d, [c(2), c((1, 3))], [line]),
        (nn.ReplicationPad1d, [c((2, 0))], [line, x(3, 4)]),
        (nn.ConstantPad1d, [c(2, 3.5), c((1, -1), -2)], [line]),
        (nn.ZeroPad2d, [c((1, 2, -1, 0)), c(-1)], [plane]),
        (nn.CircularPad2d, [c((1, 2, 0, 3))], [plane]),
        (nn.Threshold, [c(0.1, 20), c(threshold=0.5, value=-1.5)], [line]),
        (nn.Softplus, [c(2, 0.5)], [line]),
        (nn.GELU, [c(approximate="tanh")], [line]),
        (nn.GLU, [c(1)], [line]),
        (nn.SyncBatchNorm, [c(4), c(4, 0.1, None, False), c(4, bias=False), c(4, track_running_stats=False)],
         [plane, line, x(3, 4)]),
        (nn.LayerNorm, [c([4, 6], bias=False), c(6, 1e-3, False)], [line]),
        (nn.GroupNorm, [c(2, 4, affine=False), c(1, 4, 0.1), c(4, 4, bias=False)], [line]),
        (nn.RMSNorm, [c((4, 6), 0.5, False), c(6, eps=1e-3)], [line]),
        (nn.PReLU, [c(4, 0.1), c(init=0.5)], [line]),
        (nn.Conv1d, [c(4, 6, 3, 2, 1, 1, 2), c(4, 2, (3,), padding="valid", bias=False),
                     c(4, 2, 4, padding="same", dilation=2, padding_mode="circular")], [line]),
        (nn.Conv2d, [c(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
                     c(4, 2, 3, padding=1, padding_mode="reflect"), c(4, 4, 1, groups=4, bias=False),
                     c(4, 2, (2, 3), padding="same", padding_mode="replicate")], [plane, x(4, 5, 5)]),
        (nn.Conv3d, [c(2, 3, (2, 1, 3), padding=(0, 1, 1), padding_mode="circular")], [space]),
        (nn.ConvTranspose1d, [c(4, 2, 3, 2, 1, 1), c(4, 4, 2, groups=2, bias=False, dilation=2)], [line]),
        (nn.ConvTranspose2d, [c(4, 2, (3, 2), (2, 3), (1, 0), output_padding=(1, 2), dilation=(2, 1)),
                              c(4, 2, 1, dilation=2, output_padding=1)], [plane]),
        (nn.LazyLinear, [c(3), c(out_features=2, bias=False)], [line, x(5)]),
        (nn.LazyBatchNorm1d, [c(), c(0.1, None, False), c(affine=True, track_running_stats=False), c(bias=False)],
         [line, x(3, 4)]),
        (nn.LazyBatchNorm2d, [c(), c(momentum=0.3)], [plane]),
        (nn.LazyBatchNorm3d, [c()], [space]),
        (nn.LazyInstanceNorm1d, [c(), c(affine=True, track_running_stats=True)], [line]),
        (nn.LazyInstanceNorm2d, [c(), c(affine=True)], [plane]),
        (nn.LazyInstanceNorm3d, [c(track_running_stats=True)], [space]),
        (nn.LazyConv2d, [c(4, 3, 2, 1, groups=2, bias=False), c(3, (2, 3), padding_mode="reflect", padding=1)], [plane]),
        (nn.LazyConvTranspose2d, [c(4, 3, 2, 1, 1, groups=2), c(3, 2, dilation=2)], [plane]),
        (nn.Linear, [c(6, 0), c(6, 3, bias=False)], [line]),
        (nn.Embedding, [c(5, 3, padding_idx=1), c(5, 3, -1, 1.5, 1.0), c(5, 2, scale_grad_by_freq=True),
                        c(3, 2, _weight=torch.ones(3, 2), _freeze=True)], [ints(3, 2, 4)]),
        (nn.EmbeddingBag, [c(5, 3), c(5, 3, mode="sum", padding_idx=1), c(5, 3, 1.5, 2.0, mode="max")], [ints(5, 3, 4)]),
    ):
        for make in makes:
            for given in inputs:
                for flags in (TRAIN, 0) if "Norm" in cls.__name__ or cls is nn.RReLU else (TRAIN,):
                    yield cls, make, c(given), "", flags
    for cls in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout):
        given = {nn.Dropout1d: x(3, 4, 5), nn.Dropout3d: space}.get(cls, plane)
        for make in (c(), c(0.2), c(p=0.0), c(1.0)):
            for flags in (TRAIN, 0):
                yield cls, make, c(given), "", flags


def several():
    """Modules of several inputs."""
    yield nn.Fold, c(4, 2), c(x(2, 8, 9)), "", TRAIN
    yield nn.Fold, c((4, 5), (2, 2), dilation=(1, 2), padding=1, stride=(2, 1)), c(x(1, 8, 15)), "", TRAIN
    for make in (c(), c(dim=0, eps=1e-3)):
        yield nn.CosineSimilarity, make, c(x(3, 4), x(3, 4)), "", TRAIN
    for make in (c(), c(1.0), c(p=3, eps=1e-3, keepdim=True)):
        yield nn.PairwiseDistance, make, c(x(3, 4), x(3, 4)), "", TRAIN
    for make in (c(), c(2.0, 1, swap=True), c(reduction="none"), c(margin=0.5, reduction="sum", eps=1e-3)):
        yield nn.TripletMarginLoss, make, c(x(4, 5), x(4, 5), x(4, 5)), "", TRAIN
    for make in (c(), c(swap=True, margin=2.0), c(reduction="none"), c(distance_function=F.pairwise_distance)):
        yield nn.TripletMarginWithDistanceLoss, make, c(x(4, 5), x(4, 5), x(4, 5)), "", TRAIN
    for cls in (nn.L1Loss, nn.MSELoss, nn.SmoothL1Loss):
        for make in (c(size_average=False), c(reduce=False), c(False, False), c(True, True, "sum")):
            yield cls, make, c(x(3, 4), x(3, 4)), "old reductions", TRAIN
    cutoffs = [c(6, 12, [3, 7]), c(6, 12, cutoffs=[2, 5, 9], div_value=2.0, head_bias=True)]
    for make in cutoffs:
        yield nn.AdaptiveLogSoftmaxWithLoss, make, c(x(5, 6), ints(12, 5)), "", TRAIN
        yield nn.AdaptiveLogSoftmaxWithLoss, make, c(x(6), torch.tensor(8)), "no batch", TRAIN
    pooled, indices = F.max_pool1d(x(2, 3, 7, grad=False), 2, return_indices=True)
    yield nn.MaxUnpool1d, c(2), c(pooled.requires_grad_(), indices), "", TRAIN
    yield nn.MaxUnpool1d, c(2), c(pooled, indices, output_size=(2, 3, 7)), "", TRAIN
    pooled, indices = F.max_pool2d(x(2, 3, 6, 5, grad=False), 2, return_indices=True)
    even, even_indices = F.max_pool2d(x(2, 3, 6, 4, grad=False), 2, return_indices=True)
    yield nn.MaxUnpool2d, c((2, 2), stride=2), c(even.requires_grad_(), even_indices), "", TRAIN
    yield nn.MaxUnpool2d, c(2, 2, 0), c(pooled.requires_grad_(), indices, (6, 5)), "", TRAIN
    pooled, indices = F.max_pool3d(x(1, 2, 4, 4, 4, grad=False), 2, return_indices=True)
    yield nn.MaxUnpool3d, c(2), c(pooled.requires_grad_(), indices), "", TRAIN
    yield nn.ConvTranspose2d, c(2, 3, 3, stride=2, padding=1), c(x(1, 2, 3, 3), output_size=[6, 6]), "", TRAIN
    yield nn.ConvTranspose1d, c(2, 3, 3, stride=3), c(x(1, 2, 4), output_size=(1, 3, 14)), "", TRAIN
    for make in (c(5, 3), c(5, 3, mode="sum", include_last_offset=True), c(5, 3, mode="max")):
        yield nn.EmbeddingBag, make, c(ints(5, 6), torch.tensor([0, 2, 6])), "offsets", TRAIN
    yield nn.EmbeddingBag, c(5, 3, mode="sum"), c(ints(5, 6), torch.tensor([0, 2, 2]), x(6)), "weights", TRAIN


def attention():
    bools = torch.tensor([[False, False, True, False], [False, False, False, True], [False, True, False, False]])
    padding = torch.tensor([[False, False, True, True], [False, False, False, True]])
    floats = x(3, 4, grad=False)
    q, k, v = x(3, 2, 4), x(4, 2, 4), x(4, 2, 4)
    same = x(4, 2, 4)
    causal = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    make = c(4, 2)
    for call in (c(q, k, v), c(q, k, v, attn_mask=bools), c(q, k, v, attn_mask=floats, average_attn_weights=False),
                 c(q, k, v, padding, False), c(q, k, v, key_padding_mask=padding, attn_mask=bools, need_weights=False),
                 c(q, k, v, padding.double() * -2, attn_mask=floats), c(same, same, same), c(same, k, k),
                 c(same, same, same, attn_mask=causal, is_causal=True, need_weights=False),
                 c(same, same, same, attn_mask=causal, is_causal=True),
                 c(same, same, same, key_padding_mask=padding, attn_mask=causal, is_causal=True, need_weights=False),
                 c(q, k, v, attn_mask=bools.expand(4, 3, 4).contiguous(), need_weights=False),
                 c(x(3, 4), x(4, 4), x(4, 4), padding[0], attn_mask=bools),
                 c(x(3, 4), x(4, 4), x(4, 4), attn_mask=bools.expand(2, 3, 4).contiguous(), average_attn_weights=False)):
        yield nn.MultiheadAttention, make, call, "", TRAIN
    for make in (c(4, 2, add_bias_kv=True), c(4, 2, add_zero_attn=True), c(4, 1, 0.0, False, True, True),
                 c(4, 2, kdim=4, vdim=4, bias=False)):
        for call in (c(q, k, v), c(q, k, v, padding, attn_mask=bools), c(q, k, v, padding, False, floats)):
            yield nn.MultiheadAttention, make, call, "", 0
    wide = c(4, 2, kdim=3, vdim=5, batch_first=True)
    yield nn.MultiheadAttention, wide, c(x(2, 3, 4), x(2, 4, 3), x(2, 4, 5)), "", TRAIN
    yield nn.MultiheadAttention, wide, c(x(2, 3, 4), x(2, 4, 3), x(2, 4, 5), padding, attn_mask=bools), "", 0
    for flags in (TRAIN, 0, NO_GRAD):
        yield nn.MultiheadAttention, c(4, 2, batch_first=True), c(same, same, same), "", flags
        yield nn.MultiheadAttention, c(4, 2, 0.5), c(q, k, v), "dropout", flags
        yield nn.MultiheadAttention, c(4, 2, 0.5), c(q, k, v, need_weights=False), "dropout", flags


def transformers():
    src = x(2, 5, 4)
    tgt = x(2, 3, 4)
    left = torch.tensor([[False, False, False, True, True], [False, False, False, False, True]])
    other = torch.tensor([[True, False, False, True, True], [False, False, False, False, True]])
    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    layer = nn.TransformerEncoderLayer
    for make in (c(4, 2, 6, 0.0, "gelu", 1e-3, True), c(4, 2, dim_feedforward=6, dropout=0.0, activation=torch.tanh),
                 c(4, 2, 6, 0.2, batch_first=True), c(4, 2, 6, activation=nn.GELU(), norm_first=True, batch_first=True)):
        for flags in (TRAIN, 0, NO_GRAD):
            yield layer, make, c(src), "", flags
    for flags in (TRAIN, NO_GRAD):
        first = c(4, 2, 6, 0.0, batch_first=True)
        for call in (c(src, src_key_padding_mask=left), c(src, causal), c(src, src_mask=causal, is_causal=True),
                     c(src, causal < 0, left)):
            yield layer, first, call, "", flags
    for norm, extra in ((nn.LayerNorm(4), {}), (None, {}), (None, {"enable_nested_tensor": False}),
                        (nn.LayerNorm(4), {"mask_check": False})):
        made = c(layer(4, 2, 6, 0.0, batch_first=True), 2, norm, **extra)
        for call in (c(src, src_key_padding_mask=left), c(src, src_key_padding_mask=left.double() * -1e9),
                     c(src, src_key_padding_mask=other), c(src, causal, left), c(src, causal), c(src)):
            if "mask_check" in extra and call[1].get("src_key_padding_mask") is other:
                continue  # padding in the midst, unchecked: PyTorch then takes the wrong rows
            for flags in (NO_GRAD, 0):
                yield nn.TransformerEncoder, made, call, "padding in evaluation", flags
    made = c(layer(4, 2, 6, 0.1, norm_first=True, batch_first=True, activation="gelu"), num_layers=1)
    yield nn.TransformerEncoder, made, c(src, mask=causal, is_causal=True), "", TRAIN
    yield nn.TransformerEncoder, c(layer(4, 1, 6, bias=False), 2), c(x(5, 4), causal), "", TRAIN
    decoder = nn.TransformerDecoderLayer
    three = nn.Transformer.generate_square_subsequent_mask(3, dtype=torch.float64)
    for make in (c(4, 2, 6, 0.0, "gelu", 1e-3, True), c(4, 2, 6, 0.1, norm_first=True, batch_first=True, bias=False)):
        for call in (c(tgt, src), c(tgt, src, three, tgt_is_causal=True),
                     c(tgt, src, memory_key_padding_mask=left, tgt_key_padding_mask=left[:, 2:])):
            yield decoder, make, call, "", TRAIN
    for norm in (nn.LayerNorm(4), None):
        made = c(decoder(4, 2, 6, 0.0, batch_first=True), 2, norm)
        for call in (c(tgt, src), c(tgt, src, tgt_mask=three), c(tgt, src, three, memory_key_padding_mask=left),
                     c(tgt, src, three, tgt_is_causal=True)):
            yield nn.TransformerDecoder, made, call, "", TRAIN
    small = dict(d_model=4, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=6)
    for make in (c(**small, dropout=0.0), c(4, 2, 1, 1, 6, 0.2, "gelu", batch_first=True),
                 c(**small, layer_norm_eps=0.1, norm_first=True, activation=F.gelu, batch_first=True, bias=False)):
        for call in (c(x(5, 2, 4), x(5, 2, 4)), c(x(5, 2, 4), x(5, 2, 4), src_is_causal=False)):
            yield nn.Transformer, make, call, "", TRAIN
    yield nn.Transformer, c(**small, batch_first=True), c(src, tgt, causal, three, src_key_padding_mask=left,
                                                          memory_key_padding_mask=left, tgt_is_causal=True), "", 0
    yield nn.Transformer, c(**small, batch_first=True), c(src, tgt, tgt_mask=three, src_key_padding_mask=left), "", NO_GRAD
    custom = nn.TransformerEncoder(layer(4, 1, 5), 1)
    yield nn.Transformer, c(4, 2, 1, 1, 6, custom_encoder=custom), c(x(5, 2, 4), x(3, 2, 4)), "custom encoder", 0


def samples():
    for make in (simple, several, attention, transformers):
        yield from make()
