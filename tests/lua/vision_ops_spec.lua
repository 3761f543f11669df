-- vision.ops against torchvision's values (tests/golden/vision_ops.lua), its layers' texts and states, wrong calls and
-- hostile boxes. The ops of the schema are also in the op tests.
local torch = require "lampad"
local nn, ops = torch.nn, torch.vision.ops
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/vision_ops.lua")

local function tensor(t) return torch.tensor(t[3], { dtype = torch[t[1]] }):reshape(t[2]) end

local tolerances = { float16 = 2e-3, bfloat16 = 1.6e-2, float32 = 2e-5, float64 = 2e-5 }

-- Equal in dtype and shape, and in value within the dtype's tolerance of the largest finite number; NaN equals NaN.
local function differs(expected, got)
  local dtype = tostring(got.dtype):match "%w+$"
  if dtype ~= expected[1] then return ("dtype %s, expected %s"):format(dtype, expected[1]) end
  if tostring(got.shape) ~= ("torch.Size([%s])"):format(table.concat(expected[2], ", ")) then
    return ("shape %s, expected {%s}"):format(tostring(got.shape), table.concat(expected[2], ", "))
  end
  local values = got:detach():reshape(-1):tolist()
  if #values ~= #expected[3] then return ("%d values, expected %d"):format(#values, #expected[3]) end
  for i, e in ipairs(expected[3]) do
    local v = values[i]
    local same = v == e or (v ~= v and e ~= e)
      or type(v) == "number" and math.abs(v - e) <= (tolerances[dtype] or 0) * math.max(1, math.abs(e))
    if not same then return ("value %d is %s, expected %s"):format(i - 1, tostring(v), tostring(e)) end
  end
end

local function weights(t) return (torch.arange(t:numel(), { dtype = torch.float64 }) % 7 + 1):reshape(t.shape):to(t.dtype) end

local function run(code, names)
  return assert(load("return " .. code, "=golden", "t", setmetatable(names, { __index = { ops = ops, nn = nn, torch = torch } })))()
end

local function message(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

local function expect(text, fn, ...)
  local got = message(fn, ...)
  assert.is_truthy(got:find(text, 1, true), got)
end

describe("vision.ops", function()
  local by_function, order = {}, {}
  for _, row in ipairs(golden.cases) do
    local name = row.code:match "ops%.([%w_]+)"
    if not by_function[name] then
      by_function[name] = {}
      order[#order + 1] = name
    end
    table.insert(by_function[name], row)
  end
  for _, name in ipairs(order) do
    it(name .. " gives torchvision's values and gradients", function()
      for _, row in ipairs(by_function[name]) do
        local inputs = {}
        for k, t in pairs(row.inputs) do
          inputs[k] = tensor(t)
          if row.grads and row.grads[k] then inputs[k]:requires_grad_() end
        end
        local out = run(row.code, inputs)
        local trouble = differs(row.out, out)
        if trouble then error(row.code .. ": " .. trouble, 0) end
        if row.grads then
          (out * weights(out)):sum():backward()
          for k, g in pairs(row.grads) do
            trouble = inputs[k].grad == nil and "no gradient" or differs(g, inputs[k].grad)
            if trouble then error(("%s: gradient of %s: %s"):format(row.code, k, trouble), 0) end
          end
        end
      end
    end)
  end

  it("has layers with torchvision's text, parameters and initial values", function()
    for _, row in ipairs(golden.layers) do
      torch.manual_seed(0)
      local layer = run(row.code, {})
      assert.equal(row.text, tostring(layer))
      local keys, total = {}, 0
      for key, value in layer:state_dict():items() do
        keys[#keys + 1] = key
        total = total + value:double():abs():sum():item()
      end
      assert.equal(row.keys, table.concat(keys, " "))
      assert.is_true(math.abs(total - row.total) <= 1e-6 * math.max(1, row.total), row.code)
    end
  end)

  it("drops what torchvision drops", function()
    for _, row in ipairs(golden.drops) do
      torch.manual_seed(0)
      assert.is_nil(differs(row.out, run(row.code, { x = torch.ones(2, 5, 9, 7) })), row.code)
    end
    local x = torch.ones(1, 1, 5, 5)
    assert.equal(x, ops.drop_block2d(x, 0.5, 3, { training = false }))
    torch.manual_seed(0)
    local layer = ops.DropBlock2d(0.9, 3, true)
    assert.equal(x, layer(x))
    assert.is_true(x:eq(0):any():item())
    layer:eval()
    assert.equal(x, layer(x))
    assert.is_true(torch.isinstance(ops.DropBlock3d(0.1, 3), ops.DropBlock2d))
    expect("drop probability has to be between 0 and 1, but got 1.5", ops.drop_block2d, x, 1.5, 3)
    expect("Got 4 dimensions", ops.drop_block3d, x, 0.5, 3)
    expect("block size should be odd. Got 2 which is even", ops.drop_block2d, x, 0.5, 2)
  end)
end)

describe("vision.ops layers", function()
  local function near(a, b) assert.is_true(torch.allclose(a, b, 1e-5, 1e-5)) end
  local image, rois = torch.randn(2, 4, 6, 6), torch.tensor { { 0., 0, 0, 4, 4 }, { 1, 1, 1, 5, 5 } }

  it("are found where torchvision keeps them", function()
    assert.equal(ops.nms, ops.boxes.nms)
    assert.equal(ops.FrozenBatchNorm2d, ops.misc.FrozenBatchNorm2d)
    assert.equal(ops.LastLevelMaxPool, ops.feature_pyramid_network.LastLevelMaxPool)
  end)

  it("compute what the functions do", function()
    near(ops.RoIAlign(2, 0.5, 2, true)(image, rois), ops.roi_align(image, rois, 2, 0.5, 2, true))
    near(ops.RoIPool({ 1, 2 }, 0.5)(image, rois), ops.roi_pool(image, rois, { 1, 2 }, 0.5))
    near(ops.PSRoIAlign(2, 1.0, 2)(image, rois), ops.ps_roi_align(image, rois, 2, 1.0, 2))
    near(ops.PSRoIPool(2, 1.0)(image, { rois["0:1, 1:"], rois["1:, 1:"] }), ops.ps_roi_pool(image, rois, 2, 1.0))
    local conv, offset = ops.DeformConv2d(4, 3, 3, { padding = 1 }), torch.zeros(2, 18, 6, 6)
    near(conv(image, offset), nn.functional.conv2d(image, conv.weight, conv.bias, 1, 1))
    near(conv(image, offset, torch.ones(2, 9, 6, 6)), conv(image, offset))
    conv(image, offset):sum():backward()
    assert.is_truthy(conv.weight.grad)
  end)

  it("roi_align is differentiable twice, deform_conv2d once", function()
    local x = torch.randn(1, 2, 5, 5, { dtype = torch.float64 }):requires_grad_()
    local boxes = torch.tensor({ { 0, 0.3, 0.2, 3.9, 4.1 } }, { dtype = torch.float64 })
    assert.is_true(torch.autograd.gradgradcheck(function(t) return ops.roi_align(t, boxes, 2) end, { x }))
    local offset = torch.zeros(1, 8, 4, 4, { dtype = torch.float64 }):requires_grad_()
    local weight = torch.randn(1, 2, 2, 2, { dtype = torch.float64 }):requires_grad_()
    local g = torch.autograd.grad(ops.deform_conv2d(x, offset, weight):sum(), { x }, { create_graph = true })
    expect("deform_conv2d is not differentiable", function() g:pow(2):sum():backward() end)
  end)

  it("FrozenBatchNorm2d takes an nn.BatchNorm2d's state and has no parameters", function()
    local norm, frozen = nn.BatchNorm2d(4), ops.FrozenBatchNorm2d(4)
    norm(image)
    norm:eval()
    frozen:load_state_dict(norm:state_dict())
    near(frozen(image), norm(image))
    assert.is_nil((frozen:parameters())())
    assert.equal(torch.float16, frozen:half()(image:half()).dtype)
  end)

  it("FeaturePyramidNetwork gives torchvision's maps", function()
    torch.manual_seed(0)
    local net = ops.FeaturePyramidNetwork({ 4, 8, 6 }, 3, ops.LastLevelMaxPool())
    local pairs_of = {}
    for i, t in ipairs(golden.pyramid.inputs) do pairs_of[i] = { ("abc"):sub(i, i), tensor(t) } end
    local out, i = net(pairs_of), 0
    for name, map in out:items() do
      i = i + 1
      assert.equal(golden.pyramid.names[i], name)
      assert.is_nil(differs(golden.pyramid.out[i], map))
    end
    assert.equal(#golden.pyramid.out, i)
    -- The state of version 1, whose blocks were plain convolutions.
    local old = net:state_dict()
    old._metadata = nil
    for _, key in ipairs { "inner_blocks.0", "layer_blocks.2" } do
      for _, name in ipairs { "weight", "bias" } do
        old[key .. "." .. name] = old[key .. ".0." .. name]
        old[key .. ".0." .. name] = nil
      end
    end
    net:load_state_dict(old)
    expect("in_channels=0 is currently not supported", ops.FeaturePyramidNetwork, { 0 }, 3)
    expect("extra_blocks should be of type ExtraFPNBlock", ops.FeaturePyramidNetwork, { 2 }, 3, nn.ReLU())
    expect("expected 3 feature maps, got 1", net, { { "a", pairs_of[1][2] } })
    expect("x must be an OrderedDict", net, pairs_of[1][2])
  end)

  it("MultiScaleRoIAlign takes each box from the level of its size", function()
    local row = golden.multi
    local maps, boxes = {}, {}
    for i, t in ipairs(row.maps) do maps[("abc"):sub(i, i)] = tensor(t):requires_grad_() end
    for i, t in ipairs(row.boxes) do boxes[i] = tensor(t) end
    local pool = ops.MultiScaleRoIAlign({ "a", "c" }, 2, 2, { canonical_scale = 16, canonical_level = 2 })
    local out = pool(maps, boxes, { { 64, 60 }, { 60, 64 } })
    assert.is_nil(differs(row.out, out))
    assert.are.same(row.scales, pool.scales)
    ;(out * weights(out)):sum():backward()
    assert.is_nil(differs(row.grads[1], maps.a.grad))
    assert.is_nil(differs(row.grads[2], maps.c.grad))
    -- No boxes; one level; a box inside out, which has no level.
    assert.equal(0, pool(maps, { torch.zeros(0, 4), torch.zeros(0, 4) }, { { 64, 60 } }):size(0))
    assert.equal(5, ops.MultiScaleRoIAlign({ "b" }, 1, 2)(maps, { boxes[1], boxes[2]["0:1"] }, { { 64, 60 } }):size(0))
    assert.equal(0, pool(maps, { torch.tensor { { 4., 0, 0, 4 } }, boxes[2] }, { { 64, 60 } })[0]:abs():sum():item())
    expect("images list should not be empty", ops.MultiScaleRoIAlign({ "a" }, 2, 2), maps, boxes, {})
    expect("none of the feature maps", ops.MultiScaleRoIAlign({ "z" }, 2, 2), maps, boxes, { { 1, 1 } })
  end)
end)

describe("vision.ops refuse", function()
  local x, b = torch.randn(1, 4, 5, 5), torch.zeros(2, 4)
  local rois = torch.zeros(1, 5)

  it("wrong shapes, dtypes and words", function()
    expect("expected 'boxes' of shape (N, 4), got [2, 5]", ops.nms, torch.zeros(2, 5), torch.zeros(2), 0.5)
    expect("expected 'scores' of shape (N,), one for each of the 2 boxes, got [3]", ops.nms, b, torch.zeros(3), 0.5)
    expect("one dtype, got float32 and float64", ops.nms, b, torch.zeros(2):double(), 0.5)
    expect("expected 'boxes' of a floating dtype, got int64", ops.nms, b:long(), torch.zeros(2):long(), 0.5)
    expect("expected 'idxs' of shape (N,)", ops.batched_nms, b, torch.zeros(2), torch.zeros(3), 0.5)
    expect("(K, 5)", ops.roi_align, x, torch.zeros(2, 4), 2)
    expect("tensors (L, 4), got [2, 5]", ops.roi_align, x, { torch.zeros(2, 5) }, 2)
    expect("an empty list", ops.roi_pool, x, {}, 2)
    expect("expected 'input' of 4 dims", ops.roi_align, x[0], rois, 2)
    expect("of one dtype, got float32 and float64", ops.roi_align, x, rois:double(), 2)
    expect("expected 'input' of a floating dtype, got int64", ops.roi_align, x:long(), rois:long(), 2)
    expect("numbers of at least 0, got [-1, -1]", ops.roi_align, x, rois, -1)
    expect("a multiple of output height * width, 3 * 3, got 4 channels", ops.ps_roi_align, x, rois, 3)
    expect("a multiple of output height * width, 0 * 0", ops.ps_roi_pool, x, rois, 0)
    for _, index in ipairs { -1, 1, 1e30, 0 / 0 } do
      expect("is of image", ops.roi_align, x, torch.tensor { { index + 0.0, 0, 0, 1, 1 } }, 2)
    end
    expect("Unsupported Bounding Box Conversions", ops.box_convert, b, "xyxy", "abc")
    expect("one is rotated", ops.box_convert, b, "xyxy", "xywhr")
    expect("expected 'boxes' of shape (..., 5), got", ops.box_convert, b, "xywhr", "cxcywhr")
    expect("Unsupported format 'abc'", ops.box_iou, b, b, "abc")
    expect("expected 'boxes2' of shape (..., 4)", ops.box_iou, b, torch.zeros(2, 3))
    expect("expected 'boxes1' of shape (..., N, 4)", ops.generalized_box_iou, b[0], b)
    expect("expected 'boxes1' of shape (N, 5)", ops.box_iou, torch.zeros(1, 2, 5), torch.zeros(2, 5), "cxcywhr")
    expect("Unsupported Bounding Box area for given format abc", ops.box_area, b, "abc")
    expect("expected 'size' of two numbers", ops.clip_boxes_to_image, b, { 1, 2, 3 })
    expect("(N, H, W), got", ops.masks_to_boxes, torch.ones(2, 2))
    expect("Invalid Value for arg 'reduction': 'abc'", ops.generalized_box_iou_loss, b, b, "abc")
    expect("Invalid Value for arg 'reduction': 'abc'", ops.sigmoid_focal_loss, b, b, { reduction = "abc" })
    expect("Invalid alpha value: 2", ops.sigmoid_focal_loss, b, b, 2)
  end)

  it("deformable convolutions that do not fit", function()
    local w = torch.randn(4, 4, 3, 3)
    local function call(offset, more, weight) return ops.deform_conv2d(x, torch.zeros(offset), weight or w, more or {}) end
    expect("a multiple of 2 * kernel height * width = 18, got [1, 17, 3, 3]", call, { 1, 17, 3, 3 })
    expect("expected 'offset' of shape [1, 18, 3, 3], got [1, 18, 2, 3]", call, { 1, 18, 2, 3 })
    expect("expected 'mask' of shape [1, 9, 3, 3], got [1, 8, 3, 3]", call, { 1, 18, 3, 3 }, { mask = torch.zeros(1, 8, 3, 3) })
    expect("expected 'stride' of at least 1, got 0", call, { 1, 18, 3, 3 }, { stride = 0 })
    expect("expected 'padding' of at least 0, got -1", call, { 1, 18, 3, 3 }, { padding = -1 })
    expect("expected 'dilation' of at least 1", call, { 1, 18, 3, 3 }, { dilation = 0 })
    expect("the kernel spans 9 elements", call, { 1, 18, 3, 3 }, { dilation = 4 })
    expect("expected 'bias' of shape [4]", call, { 1, 18, 3, 3 }, { bias = torch.zeros(3) })
    expect("groups of the 4 channels", call, { 1, 18, 3, 3 }, {}, torch.zeros(4, 3, 3, 3))
    expect("3 groups of 'offset'", call, { 1, 54, 3, 3 })
    expect("in_channels must be divisible by groups", ops.DeformConv2d, 3, 4, 3, { groups = 2 })
  end)

  it("no hostile numbers: NaN, infinities, huge boxes and counts end soon and stay inside", function()
    local huge = 1e30
    local wild = torch.tensor { { 0., 0 / 0, 0, 4, 4 }, { 0, -huge, -huge, huge, huge }, { 0, -1 / 0, 0, 1 / 0, 4 },
      { 0, huge, huge, huge, huge }, { 0, 0, 0, 1e9, 1e9 } }
    for _, dtype in ipairs { torch.float32, torch.float64, torch.bfloat16 } do
      local image, boxes = x:to(dtype):requires_grad_(), wild:to(dtype)
      for _, y in ipairs { ops.roi_align(image, boxes, 2), ops.roi_align(image, boxes, 3, 1.0, 1000, true),
        ops.roi_pool(image, boxes, 2), ops.ps_roi_align(image, boxes, 2), ops.ps_roi_pool(image, boxes, 2) } do
        y:sum():backward()
      end
      assert.equal(0, ops.roi_align(image, boxes, 2)[0]:abs():sum():item())
    end
    assert.equal("torch.Size([5, 4, 0, 0])", tostring(ops.roi_align(x, wild, 0).shape))
    local offset = torch.full({ 1, 18, 3, 3 }, 0 / 0)
    assert.equal(0, ops.deform_conv2d(x, offset, torch.ones(1, 4, 3, 3)):abs():sum():item())
    offset:fill_(1e30)
    assert.equal(0, ops.deform_conv2d(x, offset, torch.ones(1, 4, 3, 3)):abs():sum():item())
    expect("memory", ops.roi_align, x, rois, 1 << 30)
    local many = torch.rand(20000, 4) * 100
    many["..., 2:"] = many["..., 2:"] + many["..., :2"]
    local kept = ops.nms(many, torch.rand(20000), 0.3)
    assert.is_true(kept:size(0) > 10 and kept:size(0) < 20000)
    assert.is_true(ops.box_iou(torch.full({ 1, 5 }, 0 / 0), torch.full({ 1, 5 }, 1e30), "cxcywhr"):size(0) == 1)
  end)
end)
