-- Ops that pad, rearrange and resize images; attention and gates.
local F = "nn.functional"
op{ "pad(Tensor input, int[] pad, str mode='constant', float? value=nil) -> Tensor", variants = "function", module = F,
    kind = "composite",
    cases = { "(2,3,4),[1,2]", "(2,3,4),[1,-1,2,0],'constant',1.5", "(2,3,4),[2,1],'reflect'",
              "(2,3,4,5),[1,2,2,1],'replicate'", "(2,3,4,5),[1,2,2,1],'circular'",
              "(2,3,4,5),[-1,2,-2,1],'circular'" },
    doc = "Pads the last dims: {left, right, top, bottom, ...}. mode: constant, reflect, replicate or circular.",
    example = "F.pad(torch.tensor{{1., 2.}}, {1, 2})" }
op{ "constant_pad_nd(Tensor self, int[] pad, Scalar value=0) -> Tensor", variants = "function", kind = "composite",
    cases = { "(2,3,4),[1,2,0,1],0.5" }, doc = "Pads the last dims with a value; negative numbers crop.",
    example = "torch.constant_pad_nd(torch.tensor{1, 2}, {1, 1}, 7)" }
op{ "pad_nd(Tensor self, int[] pad, str mode, Scalar value) -> Tensor", variants = "internal",
    grad = { self = "pad_nd_adjoint(grad, self.shape, pad, mode)" } }
-- Reflections of up to 2 dims and replications: the paddings that autocast computes in float32.
op{ "pad_by_edges(Tensor self, int[] pad, str mode) -> Tensor", autocast = "fp32", variants = "internal",
    composite = "pad_nd(self, pad, mode, 0)" }
op{ "pad_nd_adjoint(Tensor grad_output, int[] size, int[] pad, str mode) -> Tensor", variants = "internal",
    grad = { grad_output = "pad_nd(grad, pad, mode, 0)" } }

op{ "unfold.patches(Tensor input, int[2] kernel_size, int[2] dilation=1, int[2] padding=0, int[2] stride=1) -> Tensor",
    variants = "function", module = F, kind = "composite", cases = { "(2,3,5,4),2", "(3,5,6),[2,3],1,1,2" },
    doc = "The patches of images (N, C, H, W) as columns (N, C * kernel elements, patches).",
    example = "F.unfold(torch.arange(9.):reshape(1, 1, 3, 3), 2)" }
op{ "fold(Tensor input, int[2] output_size, int[2] kernel_size, int[2] dilation=1, int[2] padding=0, int[2] stride=1) "
      .. "-> Tensor", variants = "function", module = F, kind = "composite",
    cases = { "(2,12,12),[5,4],2", "(12,12),[5,4],2" },
    doc = "Adds columns (N, C * kernel elements, patches) back into images; the adjoint of unfold.",
    example = "F.fold(torch.ones(1, 4, 4), {3, 3}, 2)" }
op{ "unfold_batch(Tensor self, int[] kernel_size, int[] dilation, int[] padding, int[] stride) -> Tensor",
    variants = "internal",
    grad = { self = "fold_batch(grad, [self.shape[2], self.shape[3]], kernel_size, dilation, padding, stride)" } }
op{ "fold_batch(Tensor self, int[] output_size, int[] kernel_size, int[] dilation, int[] padding, int[] stride) -> Tensor",
    variants = "internal", grad = { self = "unfold_batch(grad, kernel_size, dilation, padding, stride)" } }

op{ "pixel_shuffle(Tensor self, int upscale_factor) -> Tensor", variants = "function", module = "nn.functional torch",
    kind = "composite", cases = { "(2,8,3,2),2" }, doc = "(N, C r^2, H, W) to (N, C, H r, W r).",
    example = "F.pixel_shuffle(torch.arange(4.):reshape(1, 4, 1, 1), 2)" }
op{ "pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor", variants = "function",
    module = "nn.functional torch", kind = "composite", cases = { "(2,2,4,6),2" }, doc = "The inverse of pixel_shuffle.",
    example = "F.pixel_unshuffle(torch.arange(4.):reshape(1, 1, 2, 2), 2)" }
op{ "channel_shuffle(Tensor self, int groups) -> Tensor", variants = "function", module = "nn.functional torch",
    kind = "composite", cases = { "(2,6,3),3" }, doc = "Interleaves groups of channels.",
    example = "F.channel_shuffle(torch.arange(4.):reshape(1, 4, 1), 2)" }
-- Splits dims into parts, which are joined in another order to dims of the sizes; nn/dispatch/regroup.c.
op{ "regroup(Tensor self, int[] parts, int[] order, int[] size) -> Tensor", variants = "internal",
    grad = { self = "regroup_back(grad, parts, order, self.shape)" } }
op{ "regroup_back(Tensor grad_output, int[] parts, int[] order, int[] size) -> Tensor", variants = "internal",
    grad = { grad_output = "regroup(grad, parts, order, grad_output.shape)" } }
op{ "interpolate(Tensor input, int[1]? size=nil, float[1]? scale_factor=nil, str mode='nearest', bool? align_corners=nil, "
      .. "bool? recompute_scale_factor=nil, bool antialias=false) -> Tensor",
    variants = "function", module = F, kind = "composite",
    cases = { "(2,3,4,5),[8,7]", "(2,3,4,5),[7,9],mode='bilinear'", "(2,3,5),[9],mode='linear',align_corners=true",
              "(1,2,5,4),[8,9],mode='bicubic'", "(1,2,5,4),[3,2],mode='area'",
              "(1,2,5,4),nil,1.7,mode='nearest-exact'", "(1,2,3,4,2),[4,3,5],mode='trilinear'",
              "(1,2,5,7),[2,3],mode='bilinear',antialias=true", "(1,2,5,7),[3,9],mode='bicubic',antialias=true",
              "(1,2,9,7),nil,[0.4,0.7],mode='bilinear',align_corners=true,antialias=true",
              "(1,2,9,7),[4,5],mode='lanczos',antialias=true" },
    doc = "Resizes (N, C, ...) to size or by scale_factor. mode: nearest, nearest-exact, linear, bilinear, bicubic, "
      .. "trilinear, area, lanczos. antialias: bilinear, bicubic and lanczos widen their filter when they shrink.",
    example = 'F.interpolate(torch.tensor{{{1., 3.}}}, {4}, {mode = "linear"})' }
op{ "upsample(Tensor input, int[1]? size=nil, float[1]? scale_factor=nil, str mode='nearest', bool? align_corners=nil) "
      .. "-> Tensor", variants = "function", module = F, kind = "composite", cases = { "(1,2,3,2),nil,2,'bilinear'" },
    doc = "The old name of interpolate.", example = "F.upsample(torch.tensor{{{1., 3.}}}, {4})" }
op{ "upsample_nearest(Tensor input, int[1]? size=nil, float[1]? scale_factor=nil) -> Tensor", variants = "function",
    module = F, kind = "composite", cases = { "(1,2,3,2),[5,4]", "(2,1,3),nil,2" },
    doc = "interpolate in mode nearest.", example = "F.upsample_nearest(torch.tensor{{{1., 3.}}}, {4})" }
op{ "upsample_bilinear(Tensor input, int[1]? size=nil, float[1]? scale_factor=nil) -> Tensor", variants = "function",
    module = F, kind = "composite", cases = { "(1,2,3,2),[5,4]", "(1,2,3,2),nil,2" },
    doc = "interpolate in mode bilinear with align_corners = true.",
    example = "F.upsample_bilinear(torch.tensor{{{{1., 3.}}}}, {1, 3})" }
-- size: of the whole result; factors: one for each resampled dim, the last ones, 0 where the sizes tell.
op{ "resample(Tensor self, int[] size, str mode, bool align_corners, float[] factors) -> Tensor",
    variants = "internal", grad = { self = "resample_adjoint(grad, self.shape, mode, align_corners, factors)" } }
op{ "resample_adjoint(Tensor grad_output, int[] size, str mode, bool align_corners, float[] factors) -> Tensor",
    variants = "internal", grad = { grad_output = "resample(grad, grad_output.shape, mode, align_corners, factors)" } }

op{ "glu(Tensor self, int dim=-1) -> Tensor", variants = "function", module = F, grad = { self = "glu_backward(grad, self, dim)" },
    cases = { "(3,4)", "(4,3),0" }, doc = "The first half along dim times the sigmoid of the second.",
    example = "F.glu(torch.tensor{1., 2., 0., 0.})" }
op{ "glu_backward(Tensor grad_output, Tensor self, int dim) -> Tensor", variants = "internal", kind = "composite" }
--- Attention by blocks (nn/cpu/attention.c): query (B, H, L, E), key (B, G, S, E), value (B, G, S, F) of float32 or float64, H a
--- multiple of G; mask broadcasts to (B, H, L, S), bool or of their dtype, and gets no gradient.
op{ "flash_attention(Tensor query, Tensor key, Tensor value, Tensor? mask, bool is_causal, float scale) "
      .. "-> (Tensor output, Tensor logsumexp)", variants = "internal", nondiff = "logsumexp",
    node = "ScaledDotProductFlashAttentionForCpuBackward0",
    grad = { ["query, key, value"] = "attention_backward(grad, query, key, value, mask, output, logsumexp, is_causal, scale)" } }
op{ "attention_backward(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor? mask, Tensor output, Tensor logsumexp, "
      .. "bool is_causal, float scale) -> (Tensor query_grad, Tensor key_grad, Tensor value_grad)", variants = "internal",
    kind = "composite" }
op{ "flash_attention_backward(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor? mask, Tensor output, Tensor logsumexp, "
      .. "bool is_causal, float scale) -> (Tensor query_grad, Tensor key_grad, Tensor value_grad)", variants = "internal",
    grad = "none" }
op{ "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=nil, float dropout_p=0.0, "
      .. "bool is_causal=false, *, float? scale=nil, bool enable_gqa=false) -> Tensor",
    autocast = "lower_precision_fp", variants = "function", module = F, kind = "composite",
    cases = { "(2,3,4),(2,5,4),(2,5,6)", "(2,2,3,4),(2,2,3,4),(2,2,3,4),is_causal=true",
              "(2,3,4),(2,5,4),(2,5,6),(3,5)", "(1,2,5,4),(1,2,3,4),(1,2,3,2),is_causal=true,scale=0.3",
              "(2,3,2,4),(2,3,5,4),(2,3,5,4),(2,1,2,5)b", "(2,2,3,4)t,(2,2,3,4)t,(2,2,3,4)t,(3,3)g",
              "(2,4,3,4),(2,2,5,4),(2,2,5,4),is_causal=true,enable_gqa=true", "(1,1,130,4),(1,1,260,4),(1,1,260,3),is_causal=true" },
    doc = "softmax(query key^T * scale + mask) value; scale defaults to 1 / sqrt(features).",
    example = "F.scaled_dot_product_attention(torch.ones(1, 2, 4), torch.ones(1, 3, 4), torch.ones(1, 3, 2))" }
op{ "gumbel_softmax(Tensor logits, float tau=1.0, bool hard=false, float eps=1e-10, int dim=-1) -> Tensor",
    variants = "function", module = F, kind = "composite",
    doc = "A sample of the Gumbel-Softmax distribution; hard: one-hot, with the gradient of the soft sample.",
    example = "F.gumbel_softmax(torch.zeros(2, 3), 1.0, true):sum(1)" }
op{ "bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=nil) -> Tensor", variants = "function",
    autocast = "off", module = "nn.functional torch", kind = "composite", cases = { "(3,4),(3,5),(2,4,5),(2,)" },
    doc = "x1^T W[k] x2 + b[k] for each output k.",
    example = "F.bilinear(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 2, 3))" }
