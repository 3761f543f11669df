-- vision.utils against torchvision's pictures (tests/golden/vision_utils.lua), files, and wrong calls; and feature extractors.
local torch = require "lampad"
local nn, utils = torch.nn, torch.vision.utils
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/vision_utils.lua")

local H, W = 28, 32
local function picture(...)
  local n = 1
  for _, s in ipairs { ... } do n = n * s end
  return (torch.arange(n) * 37 % 251):to(torch.uint8):reshape { ... }
end

local names = setmetatable({
  image = picture(3, H, W), grey = picture(1, H, W), masks = torch.zeros(2, H, W, { dtype = torch.bool }),
  boxes = torch.tensor { { 2, 3, 20, 15 }, { 10, 8, 40, 30 }, { -6, -4, 4, 25 }, { 25, 5, 25, 5 } },
  points = torch.tensor { { { 5, 6 }, { 20, 20 }, { 30, 2 } }, { { -1, 10 }, { 16, 27 }, { 12, 12 } } },
  visible = torch.tensor { { 1, 1, 0 }, { 1, 0, 1 } },
  flow = torch.tensor(golden.flow, { dtype = torch.float32 }):reshape(2, 2, 6, 7),
  batch = (torch.arange(5 * 3 * 4 * 3) * 37 % 101):float():reshape(5, 3, 4, 3) / 100 - 0.3,
}, { __index = utils })
names.floating = names.image:float() / 255
names.masks["0, 3:15, 5:20"] = true
names.masks["1, 10:20, 15:30"] = true
names.turned = torch.vision.ops.box_convert(torch.tensor { { 14., 12, 16, 9, 30 }, { 20, 16, 10, 20, 135 } }, "cxcywhr",
  "xyxyxyxy"):long()

local function expect(text, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(err):find(text, 1, true), tostring(err))
end

describe("vision.utils", function()
  local by_function, order = {}, {}
  for _, row in ipairs(golden.cases) do
    local name = row[1]:match "^[%w_]+"
    if not by_function[name] then
      by_function[name] = {}
      order[#order + 1] = name
    end
    table.insert(by_function[name], row)
  end
  for _, name in ipairs(order) do
    it(name .. " gives torchvision's pictures", function()
      for _, row in ipairs(by_function[name]) do
        local before = names.image:clone()
        local out = assert(load("return " .. row[1], "=golden", "t", names))()
        assert.is_true(torch.equal(before, names.image))
        assert.equal(row[2], tostring(out.dtype):match "%w+$")
        assert.equal(("torch.Size([%s])"):format(table.concat(row[3], ", ")), tostring(out.shape))
        local shown = out.dtype == torch.uint8 and out:long() or (out:double() * 255):round():clamp(-100, 255):long() % 256
        local i, bytes = 0, shown:reshape(-1):tolist()
        for hex in row[4]:gmatch "%x%x" do
          i = i + 1
          -- Floats of a table of colours may lie on either side of a half.
          local off = math.abs(bytes[i] - tonumber(hex, 16))
          if off > (name == "flow_to_image" and 1 or 0) then
            error(("%s: byte %d is %d, expected %d"):format(row[1], i - 1, bytes[i], tonumber(hex, 16)), 0)
          end
        end
        assert.equal(#bytes, i)
      end
    end)
  end

  it("save_image writes files that read_image reads", function()
    local path = os.tmpname()
    for _, ending in ipairs { ".png", ".jpg", ".webp" } do
      utils.save_image(names.floating, path .. ending)
      local back = torch.vision.io.read_image(path .. ending)
      os.remove(path .. ending)
      assert.equal("torch.Size([3, 28, 32])", tostring(back.shape))
      if ending == ".png" then assert.is_true(torch.equal(back, names.image)) end
    end
    utils.save_image(names.batch, path, "png", { nrow = 2, normalize = true })
    assert.equal("torch.Size([3, 20, 12])", tostring(torch.vision.io.read_image(path).shape))
    os.remove(path)
    expect("ends in .png", utils.save_image, names.floating, "picture.xyz")
    assert.is_nil(io.open "picture.xyz")
  end)

  it("draws nothing without boxes or masks, and says so", function()
    local said = require("lampad.warnings").catch_warnings(function()
      assert.equal(names.image, utils.draw_bounding_boxes(names.image, torch.zeros(0, 4)))
      assert.equal(names.image, utils.draw_segmentation_masks(names.image, names.masks["0:0"]))
    end)
    assert.equal(2, #said)
  end)

  it("refuses what it cannot draw", function()
    local image, boxes = names.image, names.boxes
    expect("labels are not drawn", utils.draw_bounding_boxes, image, boxes, { "a", "b", "c", "d" })
    expect("must be uint8 or float, got torch.int64", utils.draw_bounding_boxes, image:long(), boxes)
    expect("not batches", utils.draw_bounding_boxes, image:unsqueeze(0), boxes)
    expect("Only grayscale and RGB", utils.draw_bounding_boxes, image["0:2"], boxes)
    expect("(xmin, ymin, xmax, ymax)", utils.draw_bounding_boxes, image, boxes:flip { 1 })
    expect("of shape (N, 4) or (N, 8)", utils.draw_bounding_boxes, image, boxes[":, :3"])
    expect("but got 1 < 4", utils.draw_bounding_boxes, image, boxes, { colors = { "red" } })
    expect("unknown color specifier: 'rood'", utils.draw_bounding_boxes, image, boxes, { colors = "rood" })
    expect("RGB triplet", utils.draw_bounding_boxes, image, boxes, { colors = { 1, 2 } })
    expect("must be of dtype bool", utils.draw_segmentation_masks, image, names.masks:long())
    expect("the same height and width", utils.draw_segmentation_masks, image, names.masks[":, 1:"])
    expect("Pass an RGB image", utils.draw_keypoints, names.grey, names.points)
    expect("(num_instances, K, 2)", utils.draw_keypoints, image, names.points[0])
    expect("keypoints from 0 to 2", utils.draw_keypoints, image, names.points, { connectivity = { { 0, 3 } } })
    expect("the same dimensionality", utils.draw_keypoints, image, names.points, { visibility = names.visible["0:1"] })
    expect("of dtype torch.float, got torch.float64", utils.flow_to_image, names.flow:double())
    expect("(2, H, W) or (N, 2, H, W)", utils.flow_to_image, torch.zeros(3, 4, 4))
    expect("list containing number (1)", utils.make_grid, { 1 })
    expect("at least one picture", utils.make_grid, torch.zeros(0, 3, 2, 2))
    expect("nrow must be at least 1", utils.make_grid, names.batch, 0)
    -- Huge and missing coordinates end soon.
    local wild = torch.tensor { { -1e30, -1e30, 1e30, 1e30 }, { 0 / 0, 0, 5, 5 } }
    assert.equal(3, utils.draw_bounding_boxes(image, wild, { fill = true }):size(0))
    utils.draw_keypoints(image, torch.full({ 1, 2, 2 }, 1e30), { colors = "red", connectivity = { { 0, 1 } } })
  end)
end)

describe("feature extractors", function()
  local extraction = torch.vision.models.feature_extraction
  local Block = nn.Module:extend "Block"
  function Block:init(c)
    self.conv1 = nn.Conv2d(c, c, 3, { padding = 1 })
    self.relu = nn.ReLU()
    self.conv2 = nn.Conv2d(c, c, 3, { padding = 1 })
  end
  function Block:forward(x) return self.relu(self.conv2(self.relu(self.conv1(x))) + x) end
  local Net = nn.Module:extend "Net"
  function Net:init()
    self.gain = nn.Parameter(torch.ones(1))
    self.stem = nn.Conv2d(3, 4, 3)
    self.layer1 = nn.Sequential(Block(4), Block(4))
    self.pool = nn.AdaptiveAvgPool2d(1)
    self.fc = nn.Linear(4, 2)
    self.calls = 0
  end
  function Net:forward(x)
    x = self.pool(self.layer1(self.stem(x) * self.gain)):flatten(1)
    self.calls = self.calls + 1
    return self.fc(x)
  end
  torch.manual_seed(0)
  local net, x = Net(), torch.randn(2, 3, 8, 8)

  it("name the layers that run, in order, with the numbers of repeated ones", function()
    net:train()
    local train, eval = extraction.get_graph_node_names(net, { input = x })
    assert.equal("stem layer1.0.conv1 layer1.0.relu layer1.0.conv2 layer1.0.relu_1 layer1.1.conv1 layer1.1.relu "
      .. "layer1.1.conv2 layer1.1.relu_1 pool fc", table.concat(train, " "))
    assert.are.same(train, eval)
    assert.is_true(net.training)
    expect("give an input that it takes", extraction.get_graph_node_names, nn.Linear(2, 2))
    -- A network of torchvision: its nodes but for what has no module.
    local resnet = torch.vision.models.resnet18()
    local names_of = extraction.get_graph_node_names(resnet, { input = torch.zeros(1, 3, 32, 32) })
    assert.equal(60, #names_of) -- 70 of torchvision's less x, flatten and 8 times add
    assert.equal("layer1.0.relu_1", names_of[10])
  end)

  it("return the outputs of nodes, and stop at the last", function()
    local feats = extraction.create_feature_extractor(net, { layer1 = "deep", ["layer1.0.relu"] = "first",
      ["layer1.0.relu_1"] = "second", stem = "stem" })
    net:eval()
    feats:eval()
    local first_stem = net.stem(x)
    for round = 1, 2 do
      local before = net.calls
      local out, order = feats(x), {}
      for name in out:items() do order[#order + 1] = name end
      assert.equal("stem first second deep", table.concat(order, " "))
      assert.is_true(torch.equal(out.stem, first_stem))
      assert.is_true(torch.equal(out.deep, net.layer1(first_stem)))
      assert.is_true(torch.equal(out.second, net.layer1[0](first_stem)))
      assert.is_true(torch.equal(out.first, nn.functional.relu(net.layer1[0].conv1(first_stem))))
      assert.equal(round == 1 and before + 1 or before, net.calls)
    end
    -- Gradients reach the model; the parameters have its names; nothing stays on it.
    feats(x).deep:sum():backward()
    assert.is_truthy(net.stem.weight.grad)
    local a, b = {}, {}
    for key in net:state_dict():items() do a[key] = true end
    for key in feats:state_dict():items() do b[key] = true end
    assert.are.same(a, b)
    net(x)
    feats:double()
    assert.equal(torch.float64, feats(x:double()).stem.dtype)
    feats:float()
  end)

  it("serve both modes, lists of nodes and errors", function()
    local both = extraction.create_feature_extractor(net, { train_return_nodes = { "stem" }, eval_return_nodes = { "fc" } })
    both:train()
    assert.is_truthy(both(x).stem)
    both:eval()
    assert.is_truthy(both(x).fc)
    expect("node: 'layer9' is not present in model", extraction.create_feature_extractor, net, { "layer9" })
    expect("should be specified", extraction.create_feature_extractor, net)
    expect("then both should be specified", extraction.create_feature_extractor, net, { train_return_nodes = { "fc" } })
    local never = extraction.create_feature_extractor(net, { "pool_1" })
    expect("node 'pool_1' was not reached", never, x)
    expect("in stem (Conv2d) of FeatureExtractor", extraction.create_feature_extractor(net, { "fc" }), torch.zeros(1, 2, 8, 8))
    expect("has no name", extraction.create_feature_extractor, net, { "flatten" })
  end)

  it("IntermediateLayerGetter runs the children up to the last named", function()
    local getter = torch.vision.models._utils.IntermediateLayerGetter(net, { stem = "a", layer1 = "b" })
    local out = getter(x)
    assert.is_true(torch.equal(out.a, net.stem(x)))
    assert.is_true(torch.equal(out.b, net.layer1(out.a)))
    assert.equal(2, #getter)
    expect("return_layers are not present in model", extraction.IntermediateLayerGetter, net, { nope = "a" })
  end)
end)
