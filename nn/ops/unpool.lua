-- Fractional max pooling (Graham 2014) and the partial inverses of max pooling.
local F = "nn.functional"
op{ "fractional_max_pool(Tensor self, int ndim, int[] kernel_size, int[] output_size, Tensor samples) "
      .. "-> (Tensor output, Tensor indices)", variants = "internal", nondiff = "indices",
    grad = { self = "max_pool_scatter(grad, indices, self.shape, ndim)" } }
op{ "max_unpool(Tensor self, Tensor indices, int ndim, int[] output_size) -> Tensor", variants = "internal",
    grad = { self = "max_pool_gather(grad, indices, ndim)" } }

local shapes = { nil, "(N, C, H, W) or (C, H, W)", "(N, C, D, H, W) or (C, D, H, W)" }
local ramps = { nil, "torch.arange(25.):reshape(1, 1, 5, 5)", "torch.arange(125.):reshape(1, 1, 5, 5, 5)" }
local cases = {
  nil,
  { "(2,3,7,6)d,2,[3,4],_random_samples=(2,3,2)ug", "(2,3,7,6)d,[3,2],nil,[0.5,0.6],_random_samples=(2,3,2)ug",
    "(3,7,6)d,2,3,_random_samples=(1,3,2)ug", "(2,2,5,5)d,2,3" },
  { "(1,2,6,7,5)d,2,[3,4,2],_random_samples=(1,2,3)ug", "(2,6,7,5)d,[1,2,3],2,_random_samples=(1,2,3)ug",
    "(2,2,5,5,5)d,2,nil,0.5" },
}
for d = 2, 3 do
  local tail = ("(Tensor input, int[%d] kernel_size, int[%d]? output_size=nil, float[%d]? output_ratio=nil, "
    .. "bool return_indices=false, Tensor? _random_samples=nil)"):format(d, d, d)
  local doc = "The largest element of each of output_size (or output_ratio times the size) windows, which lie at random "
    .. "but even distances in an input of shape " .. shapes[d] .. ". _random_samples (N, C, " .. d
    .. ") in [0, 1) places them."
  op{ ("fractional_max_pool%dd%s -> Tensor"):format(d, tail), autocast = "fp32", variants = "function", module = F, kind = "composite",
      cases = cases[d], doc = doc, example = ("F.fractional_max_pool%dd(%s, 2, 2)"):format(d, ramps[d]) }
  op{ ("fractional_max_pool%dd_with_indices%s -> (Tensor output, Tensor indices)"):format(d, tail), autocast = "fp32", variants = "function",
      module = F, kind = "composite", cases = { cases[d][1], cases[d][2] },
      doc = "fractional_max_pool" .. d .. "d and the flat index of each maximum within its plane.",
      example = ("F.fractional_max_pool%dd_with_indices(%s, 2, 2)"):format(d, ramps[d]) }
end

local inputs = { "(1,1,5),(1,1,5)id,2", "(1,1,2,3),(1,1,2,3)id,2", "(1,1,2,2,2),(1,1,2,2,2)id,2" }
local more = {
  { "(1,4),(1,4)id,3,2,1", "(2,3,4),(2,3,4)<8,2,2,0,[9]" },
  { "(1,2,3),(1,2,3)id,[2,3],2,[0,1]", "(2,3,2,3),(2,3,2,3)<20,2,2,0,[2,3,4,7]" },
  { "(1,2,2,2),(1,2,2,2)id,2", "(1,2,2,2,2),(1,2,2,2,2)<60,2,2,0,[4,5,5]" },
}
local layouts = { "(N, C, L)", "(N, C, H, W)", "(N, C, D, H, W)" }
local calls = { "torch.tensor{{{5., 7.}}}, torch.tensor{{{1, 2}}}, 2", "torch.ones(1, 1, 1, 1), torch.tensor{{{{3}}}}, 2",
  "torch.ones(1, 1, 1, 1, 1), torch.tensor{{{{{7}}}}}, 2" }
for d = 1, 3 do
  op{ ("max_unpool%dd(Tensor input, Tensor indices, int[%d] kernel_size, int[%d]? stride=nil, int[%d] padding=0, "
        .. "int[]? output_size=nil) -> Tensor"):format(d, d, d, d),
      autocast = "fp32", variants = "function", module = F, kind = "composite", cases = { inputs[d], more[d][1], more[d][2] },
      doc = "Puts the elements of an input of shape " .. layouts[d] .. " at their indices (from max_pool" .. d
        .. "d) of a larger plane of zeros. output_size: when the sizes of the pooled input were not whole windows.",
      example = ("F.max_unpool%dd(%s)"):format(d, calls[d]) }
end
