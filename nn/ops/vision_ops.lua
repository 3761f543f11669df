-- torch.vision.ops (torchvision.ops): suppression of overlapping boxes, pooling of regions, deformable convolution.
-- Loops in nn/cpu/simd/{boxes,roi,deform}*; the functions written in Lua stand in lua/lampad/vision/ops/.
local V = "vision.ops"
op{ "nms(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor", autocast = "fp32", variants = "function", module = V,
    kind = "composite", cases = { "(9,4),(9,),0.3", "(40,4)p,(40,),0.5", "(0,4),(0,),0.5" },
    doc = "Non-maximum suppression: the indices of boxes (N, 4), x1 y1 x2 y2, in descending order of score, without those "
      .. "whose intersection over union with a box of higher score is greater than iou_threshold.",
    example = "torch.vision.ops.nms(torch.tensor{{0., 0, 4, 4}, {1., 0, 5, 4}, {9., 9, 12, 12}}, "
      .. "torch.tensor{0.8, 0.9, 0.7}, 0.5)" }
op{ "batched_nms(Tensor boxes, Tensor scores, Tensor idxs, float iou_threshold) -> Tensor", autocast = "fp32", variants = "function",
    module = V, kind = "composite", cases = { "(40,4)p,(40,),(40,)<3,0.3", "(0,4),(0,),(0,)<2,0.5" },
    doc = "nms among the boxes of each class alone; idxs (N,) holds the classes. The indices come in descending order of score.",
    example = "torch.vision.ops.batched_nms(torch.tensor{{0., 0, 4, 4}, {1., 0, 5, 4}}, torch.tensor{0.8, 0.9}, "
      .. "torch.tensor{0, 1}, 0.5)" }
-- Which boxes, already in descending order of score within each run of equal groups, are kept.
op{ "nms_kept(Tensor boxes, Tensor? groups, float iou_threshold) -> Tensor", variants = "internal", grad = "none" }
op{ "rotated_box_iou(Tensor boxes1, Tensor boxes2) -> Tensor", variants = "function", module = "vision_kernels",
    grad = "none",
    doc = "Intersection over union of each box of boxes1 (N, 5) with each of boxes2 (M, 5): cx, cy, w, h, degrees.",
    example = "" }

-- --- regions ----------------------------------------------------------------------------------------------------
local where = "boxes: (K, 5), the index of an image and x1, y1, x2, y2; or a list of a tensor (L, 4) for each image. "
  .. "spatial_scale leads from the boxes' coordinates to the input's."
local image, box = "torch.arange(16.):reshape(1, 1, 4, 4)", "torch.tensor{{0., 0, 0, 4, 4}}"
local deep = "torch.arange(16.):reshape(1, 4, 2, 2)"
local small = "torch.tensor{{0., 0, 0, 2, 2}}"
local function regions(name, tail, cases, doc, example)
  local lists = {}
  for i, case in ipairs(cases.lists) do lists[i] = case end
  op{ name .. "(Tensor input, Tensor boxes, int[2] output_size" .. tail .. ") -> Tensor", variants = "function",
      autocast = "fp32_inside", module = V, kind = "composite", cases = cases, doc = doc .. " " .. where, example = example }
  op{ name .. ".list(Tensor input, Tensor[] boxes, int[2] output_size" .. tail .. ") -> Tensor",
      autocast = "fp32_inside", variants = "function", module = V, kind = "composite", cases = lists, doc = doc .. " " .. where, example = example }
end
regions("roi_align", ", float spatial_scale=1.0, int sampling_ratio=-1, bool aligned=false", {
    "(1,2,6,5),(3,5)ug,[2,3],6.0", "(1,3,4,4),(2,5)ug,2,5.0,2", "(1,2,6,5),(3,5)ug,[2,2],4.5,aligned=true",
    "(1,2,6,5),(2,5)ug,3,7.0,3,true", "(1,2,6,5),(0,5)g,2", "(1,2,9,7)t,(2,5)ug,2,9.0",
    lists = { "(2,2,5,5),[(2,4)pg, (1,4)pg],2,2.0", "(2,1,4,4),[(0,4)g, (1,4)pg],[1,2],aligned=true" },
  }, "The mean of bilinear samples in each of output_size bins of each box (Mask R-CNN), a tensor (K, C, h, w). "
    .. "sampling_ratio: samples along a bin's side, -1: as many as it has pixels; aligned moves the boxes by half a pixel.",
  ("torch.vision.ops.roi_align(%s, %s, 2)"):format(image, box))
regions("roi_pool", ", float spatial_scale=1.0", {
    "(1,2,6,5)d,(3,5)ug,[2,3],6.0", "(1,3,4,4)d,(2,5)ug,2,5.0", "(1,2,6,5)d,(0,5)g,2",
    lists = { "(2,2,5,5)d,[(2,4)pg, (1,4)pg],2,2.0" },
  }, "The largest element in each of output_size bins of each box, whose corners are rounded to whole pixels (Fast R-CNN).",
  ("torch.vision.ops.roi_pool(%s, %s, 2)"):format(image, box))
regions("ps_roi_align", ", float spatial_scale=1.0, int sampling_ratio=-1", {
    "(1,12,6,5),(3,5)ug,[2,3],6.0,2", "(1,8,4,4),(2,5)ug,2,5.0,1", "(1,4,6,5),(0,5)g,2",
    lists = { "(2,8,5,5),[(2,4)pg, (1,4)pg],2,2.0,2" },
  }, "roi_align whose bin (i, j) reads channels of its own (Light-Head R-CNN): C / (h * w) channels come out.",
  ("torch.vision.ops.ps_roi_align(%s, %s, 2)"):format(deep, small))
regions("ps_roi_pool", ", float spatial_scale=1.0", {
    "(1,12,6,5),(3,5)ug,[2,3],6.0", "(1,8,4,4),(2,5)ug,2,5.0", "(1,4,6,5),(0,5)g,2",
    lists = { "(2,8,5,5),[(2,4)pg, (1,4)pg],2,2.0" },
  }, "The mean of whole pixels in each bin, from channels of the bin's own (R-FCN): C / (h * w) channels come out. "
    .. "As in torchvision the last row and column are never read; the gradient is that of what is read.",
  ("torch.vision.ops.ps_roi_pool(%s, %s, 2)"):format(deep, small))

local how = "float spatial_scale, int sampling_ratio, str kind"
op{ "roi_linear(Tensor input, Tensor rois, int[] output_size, " .. how .. ") -> Tensor", variants = "internal",
    grad = { input = "roi_linear_adjoint(grad, rois, input.shape, spatial_scale, sampling_ratio, kind)" } }
op{ "roi_linear_adjoint(Tensor grad_output, Tensor rois, int[] size, " .. how .. ") -> Tensor", variants = "internal",
    grad = { grad_output = "roi_linear(grad, rois, [grad_output.shape[2], grad_output.shape[3]], spatial_scale, "
      .. "sampling_ratio, kind)" } }
op{ "roi_max(Tensor input, Tensor rois, int[] output_size, float spatial_scale) -> (Tensor output, Tensor indices)",
    variants = "internal", nondiff = "indices", grad = { input = "roi_max_scatter(grad, rois, indices, input.shape)" } }
op{ "roi_max_scatter(Tensor grad_output, Tensor rois, Tensor indices, int[] size) -> Tensor", variants = "internal",
    grad = { grad_output = "roi_max_gather(grad, rois, indices)" } }
op{ "roi_max_gather(Tensor self, Tensor rois, Tensor indices) -> Tensor", variants = "internal",
    grad = { self = "roi_max_scatter(grad, rois, indices, self.shape)" } }

-- --- deformable convolution -----------------------------------------------------------------------------------------
op{ "deform_conv2d(Tensor input, Tensor offset, Tensor weight, Tensor? bias=nil, int[2] stride=1, int[2] padding=0, "
      .. "int[2] dilation=1, Tensor? mask=nil) -> Tensor", autocast = "fp32_inside", variants = "function", module = V, kind = "composite",
    cases = { "(2,4,5,6),(2,18,3,4),(3,4,3,3),(3,)", "(1,4,5,5),(1,16,3,2),(4,2,2,2),nil,[1,2],0,[2,1]",
              "(1,4,5,6),(1,16,6,7),(2,4,2,2),(2,),1,1,mask=(1,8,6,7)", "(0,4,5,6),(0,18,3,4),(3,4,3,3)" },
    doc = "Convolution whose taps are moved by offset (N, 2 * groups * kernel, h, w: y, x of each tap) and, with mask "
      .. "(N, groups * kernel, h, w), weighted (deformable convolution v2). weight: (out, C / groups of its own, kh, kw).",
    example = "torch.vision.ops.deform_conv2d(torch.arange(9.):reshape(1, 1, 3, 3), torch.zeros(1, 8, 2, 2), "
      .. "torch.ones(1, 1, 2, 2))" }
local options = ", int[] kernel_size, int[] stride, int[] padding, int[] dilation"
local passed = "kernel_size, stride, padding, dilation"
op{ "deform_columns(Tensor input, Tensor offset, Tensor? mask" .. options .. ") -> Tensor", variants = "internal",
    grad = { ["input, offset, mask"] = "deform_columns_backward(grad, input, offset, mask, " .. passed .. ", grad_mask)" } }
local refused = "no_derivative(grad, 'deform_conv2d')"
op{ "deform_columns_backward(Tensor grad_output, Tensor input, Tensor offset, Tensor? mask" .. options
      .. ", mask grad_mask) -> (Tensor input_grad, Tensor offset_grad, Tensor mask_grad)", variants = "internal",
    grad = { grad_output = refused, input = refused, offset = refused, mask = refused } }
