-- Pooling. The internal ops serve 1 to 3 dims; see nn/dispatch/pool.c.
op{ "max_pool(Tensor self, int ndim, int[] kernel_size, int[]? stride, int[] padding, int[] dilation, bool ceil_mode, "
      .. "dtype? index_dtype) -> (Tensor output, Tensor indices)",
    variants = "internal", nondiff = "indices", grad = { self = "max_pool_grad(grad, indices, self.shape, ndim, "
      .. "kernel_size, stride, padding, dilation, ceil_mode)" } }
op{ "max_pool_grad(Tensor grad_output, Tensor indices, int[] size, int ndim, int[] kernel_size, int[]? stride, "
      .. "int[] padding, int[] dilation, bool ceil_mode) -> Tensor",
    variants = "internal", grad = { grad_output = "max_pool_gather(grad, indices, ndim)" } }
op{ "max_pool_scatter(Tensor grad_output, Tensor indices, int[] size, int ndim) -> Tensor", variants = "internal",
    grad = { grad_output = "max_pool_gather(grad, indices, ndim)" } }
op{ "max_pool_gather(Tensor self, Tensor indices, int ndim) -> Tensor", variants = "internal",
    grad = { self = "max_pool_scatter(grad, indices, self.shape, ndim)" } }
op{ "adaptive_max_pool(Tensor self, int ndim, int[] output_size) -> (Tensor output, Tensor indices)",
    variants = "internal", nondiff = "indices", grad = { self = "max_pool_scatter(grad, indices, self.shape, ndim)" } }

local average = "int[] kernel_size, int[]? stride, int[] padding, bool ceil_mode, bool count_include_pad, "
  .. "int? divisor_override"
local passed = "kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override"
op{ "avg_pool(Tensor self, int ndim, " .. average .. ") -> Tensor", variants = "internal",
    grad = { self = "avg_pool_grad(grad, self.shape, ndim, " .. passed .. ")" } }
op{ "avg_pool_grad(Tensor grad_output, int[] size, int ndim, " .. average .. ") -> Tensor", variants = "internal",
    grad = { grad_output = "avg_pool(grad, ndim, " .. passed .. ")" } }
op{ "adaptive_avg_pool(Tensor self, int ndim, int[] output_size) -> Tensor", variants = "internal",
    grad = { self = "adaptive_avg_pool_grad(grad, self.shape, ndim, output_size)" } }
op{ "adaptive_avg_pool_grad(Tensor grad_output, int[] size, int ndim, int[] output_size) -> Tensor",
    variants = "internal", grad = { grad_output = "adaptive_avg_pool(grad, ndim, output_size)" } }

local layouts = { "(N, C, L) or (C, L)", "(N, C, H, W) or (C, H, W)", "(N, C, D, H, W) or (C, D, H, W)" }
local ramps = { "torch.arange(4.):reshape(1, 1, 4)", "torch.arange(16.):reshape(1, 1, 4, 4)",
  "torch.arange(64.):reshape(1, 1, 4, 4, 4)" }
local inputs = { "(2,3,9)d", "(2,3,7,8)d", "(1,2,5,6,7)d" }
for d = 1, 3 do
  local fp32 = d == 3 and "fp32" or nil -- what autocast does with volumes
  local window = ("int[%d] kernel_size, int[%d]? stride=nil, int[%d] padding=0, "):format(d, d, d)
  local module = "nn.functional torch"
  op{ ("max_pool%dd(Tensor self, %sint[%d] dilation=1, bool ceil_mode=false) -> Tensor"):format(d, window, d),
      autocast = fp32, variants = "function", module = module, kind = "composite",
      cases = { inputs[d] .. ",2", inputs[d] .. ",3,2,1", inputs[d] .. ",2,2,1,2,true" },
      doc = "The largest element of each window of an input of shape " .. layouts[d] .. "; stride defaults to kernel_size. "
        .. "return_indices = true, in nn.functional: as max_pool" .. d .. "d_with_indices.",
      example = ("F.max_pool%dd(%s, 2)"):format(d, ramps[d]) }
  op{ ("max_pool%dd_with_indices(Tensor self, %sint[%d] dilation=1, bool ceil_mode=false) -> (Tensor output, Tensor indices)")
        :format(d, window, d),
      variants = "function", module = module,
      composite = "max_pool(self, " .. d .. ", kernel_size, stride, padding, dilation, ceil_mode, int64)",
      cases = { inputs[d] .. ",3,2,1" },
      doc = "max_pool" .. d .. "d and the flat index of each maximum within its plane.",
      example = ("F.max_pool%dd_with_indices(%s, 2)"):format(d, ramps[d]) }
  if d == 1 then
    op{ "avg_pool1d(Tensor self, " .. window .. "bool ceil_mode=false, bool count_include_pad=true) -> Tensor",
        variants = "function", module = module,
        composite = "avg_pool(self, 1, kernel_size, stride, padding, ceil_mode, count_include_pad, nil)",
        cases = { "(2,3,9),2", "(2,3,9),3,2,1,true,false" },
        doc = "The mean of each window of an input of shape " .. layouts[1] .. "; stride defaults to kernel_size.",
        example = ("F.avg_pool%dd(%s, 2)"):format(d, ramps[d]) }
  else
    op{ ("avg_pool%dd(Tensor self, %sbool ceil_mode=false, bool count_include_pad=true, int? divisor_override=nil) -> Tensor")
          :format(d, window),
        autocast = fp32, variants = "function", module = module,
        composite = "avg_pool(self, " .. d .. ", kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)",
        cases = { inputs[d]:gsub("d", "") .. ",2", inputs[d]:gsub("d", "") .. ",3,2,1,true,false",
                  inputs[d]:gsub("d", "") .. ",3,2,1,false,true,5" },
        doc = "The mean of each window of an input of shape " .. layouts[d] .. "; stride defaults to kernel_size.",
        example = ("F.avg_pool%dd(%s, 2)"):format(d, ramps[d]) }
  end
  op{ ("lp_pool%dd(Tensor self, float norm_type, int[%d] kernel_size, int[%d]? stride=nil, bool ceil_mode=false) -> Tensor")
        :format(d, d, d),
      variants = "function", module = "nn.functional", kind = "composite",
      cases = { inputs[d]:gsub("d", "p") .. ",2.0,2", inputs[d]:gsub("d", "p") .. ",3.0,3,2,true" },
      doc = "The p-norm (norm_type) of each window: (sum of x^p)^(1 / p); stride defaults to kernel_size.",
      example = ("F.lp_pool%dd(%s, 2, 2)"):format(d, ramps[d]) }
  op{ ("adaptive_avg_pool%dd(Tensor self, int[%d] output_size) -> Tensor"):format(d, d),
      autocast = fp32, variants = "function", module = module, composite = "adaptive_avg_pool(self, " .. d .. ", output_size)",
      cases = { inputs[d]:gsub("d", "") .. ",3", inputs[d]:gsub("d", "") .. ",1" },
      doc = "Means over windows chosen so that the result has output_size; the input has shape " .. layouts[d] .. ".",
      example = ("F.adaptive_avg_pool%dd(%s, 1)"):format(d, ramps[d]) }
  op{ ("adaptive_max_pool%dd(Tensor self, int[%d] output_size) -> Tensor"):format(d, d),
      autocast = fp32, variants = "function", module = module, composite = "adaptive_max_pool(self, " .. d .. ", output_size)[0]",
      cases = { inputs[d] .. ",3" },
      doc = "Maxima over windows chosen so that the result has output_size; the input has shape " .. layouts[d]
        .. ". return_indices = true, in nn.functional: as adaptive_max_pool" .. d .. "d_with_indices.",
      example = ("F.adaptive_max_pool%dd(%s, 1)"):format(d, ramps[d]) }
  op{ ("adaptive_max_pool%dd_with_indices(Tensor self, int[%d] output_size) -> (Tensor output, Tensor indices)")
        :format(d, d),
      autocast = fp32, variants = "function", module = module, composite = "adaptive_max_pool(self, " .. d .. ", output_size)",
      cases = { inputs[d] .. ",3" },
      doc = "adaptive_max_pool" .. d .. "d and the flat index of each maximum within its plane.",
      example = ("F.adaptive_max_pool%dd_with_indices(%s, 1)"):format(d, ramps[d]) }
end
