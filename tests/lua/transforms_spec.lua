-- vision.transforms beside torchvision and Pillow: values, random streams, text, errors.
-- tests/golden/transforms.lua is written by scripts/gen/golden_transforms.py.
local torch = require "lampad"
local core = require "lampad.core"
local transforms = torch.vision.transforms
local F = transforms.functional
local Image = torch.vision.Image

local function read_all(path) return assert(core.read_gz(path)) end

local values = read_all "tests/golden/transforms.bin.gz"
local golden = dofile "tests/golden/transforms.lua"(torch, function(shape, seed, scale, shift)
  torch.manual_seed(seed)
  return torch.rand(shape) * scale + shift
end, function(name, call) return transforms[name](table.unpack(call, 1, call.n)) end)

local pictures = {}
for seed, source in ipairs(golden.pictures) do
  local data
  if source.at then
    data = core.tensor_from_bytes(values, torch.uint8, source.size, source.at)
  else
    torch.manual_seed(source.seed or seed)
    data = torch.randint(0, 256, source.size, { dtype = torch.uint8 })
  end
  pictures[source.name] = { data = data, mode = source.mode }
end

local function input_of(name, form)
  local picture = pictures[name]
  if form == "image" then return Image(picture.data:clone(), picture.mode) end
  local t = picture.data:permute(2, 0, 1):contiguous()
  if form == "float" then return t:to(torch.float32) / 255 end
  if form == "double" then return t:to(torch.float64) / 255 end
  if form == "batch" then return torch.stack { t, t:flip(-1) } end
  return t
end

-- What a result lacks of what it should be, or nil.
local function fault_of(result, expected, how)
  if expected.value ~= nil then
    local got = type(result) == "table" and table.concat(result, ",") or tostring(result)
    local wanted = type(expected.value) == "table" and table.concat(expected.value, ",") or tostring(expected.value)
    return got ~= wanted and ("got %s, expected %s"):format(got, wanted) or nil
  end
  local data = result
  if expected.mode then
    if type(result) ~= "table" or result.mode ~= expected.mode then return "got " .. tostring(result) .. ", expected mode " .. expected.mode end
    data = result.data
  elseif not torch.is_tensor(result) or tostring(result.dtype) ~= "torch." .. expected.dtype then
    return ("got %s, expected dtype %s"):format(torch.is_tensor(result) and tostring(result.dtype) or tostring(result), expected.dtype)
  end
  local size = { data.shape:unpack() }
  if table.concat(size, ",") ~= table.concat(expected.size, ",") then
    return ("size %s, expected %s"):format(table.concat(size, ","), table.concat(expected.size, ","))
  end
  data = data:contiguous()
  if expected.crc then
    return core.crc32(core.tensor_to_bytes(data)) ~= expected.crc and "other values" or nil
  end
  if data:numel() == 0 then return nil end
  local wanted = core.tensor_from_bytes(values, data.dtype, expected.size, expected.at)
  local distance = (data:to(torch.float64) - wanted:to(torch.float64)):abs():max():item()
  if distance ~= distance or distance > (how == "level" and 1 or 1e-5 * math.max(1, wanted:abs():max():item())) then return "values differ by " .. distance end
end

local function faults_of(case, outputs)
  local expected = case.out
  if #outputs ~= #expected then return ("%d results, expected %d"):format(#outputs, #expected) end
  for i, result in ipairs(outputs) do
    local fault = fault_of(result, expected[i], case.how)
    if fault then return fault end
  end
end

local function describe_case(case)
  local parts = {}
  for i = 1, case.args.n do
    local a = case.args[i]
    if type(a) == "table" and getmetatable(a) == nil then
      local inner = {}
      for k, v in pairs(a) do inner[#inner + 1] = tostring(k) .. "=" .. tostring(v) end
      a = "{" .. table.concat(inner, ",") .. "}"
    end
    parts[i] = tostring(a)
  end
  return ("%s(%s) of %s as %s%s"):format(case.call or case.make, table.concat(parts, ", "), case.picture, case.form,
    case.seed and " with seed " .. case.seed or "")
end

local function run_all(kind, run)
  local faults, count = {}, 0
  for _, case in ipairs(golden.cases) do
    if case[kind] then
      count = count + 1
      local ok, fault = pcall(run, case)
      if not ok or fault then faults[#faults + 1] = describe_case(case) .. ": " .. tostring(fault) end
    end
  end
  assert(#faults == 0, #faults .. " of " .. count .. " faults:\n" .. table.concat(faults, "\n", 1, math.min(#faults, 60)))
  return count
end

describe("transforms beside torchvision", function()
  it("functions give its results", function()
    local count = run_all("call", function(case)
      return faults_of(case, { F[case.call](input_of(case.picture, case.form), table.unpack(case.args, 1, case.args.n)) })
    end)
    assert.is_true(count >= 600)
  end)

  it("classes give its results, draws and text for a seed", function()
    local count = run_all("make", function(case)
      local transform = transforms[case.make](table.unpack(case.args, 1, case.args.n))
      torch.manual_seed(case.seed)
      local result = transform(input_of(case.picture, case.form))
      local after = torch.rand(1):item()
      if after ~= case.after then return "another number of draws" end
      if case.text and tostring(transform) ~= case.text then return tostring(transform) .. ", expected " .. case.text end
      if case.make == "FiveCrop" or case.make == "TenCrop" then return faults_of(case, result) end
      return faults_of(case, { result })
    end)
    assert.is_true(count >= 200)
  end)
end)

-- --- names ------------------------------------------------------------------------------------------
describe("the names", function()
  it("are torchvision's", function()
    for name in ([[Compose ToTensor PILToTensor ConvertImageDtype ToPILImage Normalize Resize CenterCrop Pad Lambda
      RandomApply RandomChoice RandomOrder RandomCrop RandomHorizontalFlip RandomVerticalFlip RandomResizedCrop FiveCrop
      TenCrop LinearTransformation ColorJitter RandomRotation RandomAffine Grayscale RandomGrayscale RandomPerspective
      RandomErasing GaussianBlur InterpolationMode RandomInvert RandomPosterize RandomSolarize RandomAdjustSharpness
      RandomAutocontrast RandomEqualize ElasticTransform AutoAugment AutoAugmentPolicy RandAugment TrivialAugmentWide
      AugMix]]):gmatch "%S+" do
      assert.is_truthy(transforms[name], name)
    end
    for name in ([[adjust_brightness adjust_contrast adjust_gamma adjust_hue adjust_saturation adjust_sharpness affine
      autocontrast center_crop convert_image_dtype crop elastic_transform equalize erase five_crop gaussian_blur
      get_dimensions get_image_num_channels get_image_size hflip invert normalize pad perspective pil_to_tensor posterize
      resize resized_crop rgb_to_grayscale rotate solarize ten_crop to_grayscale to_pil_image to_tensor vflip]])
      :gmatch "%S+" do
      assert.equal("function", type(F[name]), name)
    end
    for name in ("Compose Resize ToImage ToDtype MixUp CutMix RandomResizedCrop InterpolationMode functional"):gmatch "%S+" do
      assert.is_truthy(transforms.v2[name], name)
    end
    assert.is_nil(transforms.v2.NoSuchThing)
    assert.is_nil(transforms.NoSuchThing)
  end)

  it("of interpolation are modes, texts and numbers", function()
    local M = transforms.InterpolationMode
    assert.equal("InterpolationMode.BICUBIC", tostring(M.BICUBIC))
    assert.equal("bicubic", M.BICUBIC.value)
    local image = input_of("noise", "image")
    local wanted = F.resize(image, { 5, 6 }, M.BICUBIC).data
    for _, mode in ipairs { "bicubic", 3 } do
      assert.is_true(torch.equal(wanted, F.resize(image, { 5, 6 }, mode).data))
    end
  end)
end)

-- --- pipelines --------------------------------------------------------------------------------------
describe("a pipeline", function()
  local steps = function()
    return { transforms.RandomResizedCrop(9), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
      transforms.Normalize({ 0.5, 0.4, 0.3 }, { 0.2, 0.3, 0.4 }) }
  end

  it("fused gives what its steps give", function()
    local list = steps()
    local whole = transforms.Compose(list)
    for seed = 1, 8 do
      torch.manual_seed(seed)
      local wanted = input_of("ant", "image")
      for _, step in ipairs(list) do wanted = step(wanted) end
      local next_draw = torch.rand(1):item()
      torch.manual_seed(seed)
      assert.is_true(torch.equal(wanted, whole(input_of("ant", "image"))))
      assert.equal(next_draw, torch.rand(1):item())
    end
  end)

  it("of v2 goes through dtypes", function()
    local v2 = transforms.v2
    local t = v2.Compose { v2.ToImage(), v2.ToDtype(torch.float32, { scale = true }), v2.ToPureTensor(), v2.Identity() }
    local image = input_of("noise", "image")
    assert.is_true(torch.equal(F.to_tensor(image), t(image)))
    assert.equal(torch.int64, v2.ToDtype(torch.int64)(v2.ToImage()(image)).dtype)
    assert.is_true(torch.equal(image:convert("RGB").data, v2.RGB()(image).data))
    assert.same({ 3, 33, 20 }, { v2.RGB()(input_of("grey", "uint8")).shape:unpack() })
    torch.manual_seed(0)
    local order = torch.randperm(3)
    torch.manual_seed(0)
    assert.is_true(torch.equal(input_of("noise", "uint8"):index_select(0, order),
      v2.RandomChannelPermutation()(input_of("noise", "uint8"))))
    assert.error_matches(function() v2.ToDtype(torch.float32)(image) end, "put ToImage%(%) before it")
  end)

  it("resizes only what its centre needs", function()
    for _, case in ipairs { { "ant", 40, 32 }, { "ant", { 50, 31 }, { 20, 31 } }, { "bee", 33, { 33, 20 } }, { "bee", 33, 50 },
      { "grey", 20, 11 }, { "rgba", 12, 9 }, { "cmyk", 30, 7 }, { "noise", 17, 9 }, { "noise", { 17, 40 }, { 9, 3 } } } do
      for _, mode in ipairs { "bilinear", "bicubic", "nearest", "lanczos" } do
        local resize, center = transforms.Resize(case[2], mode), transforms.CenterCrop(case[3])
        local picture = pictures[case[1]]
        local boxes = 0
        local late = Image.lazy(picture.mode, picture.data:size(0), picture.data:size(1), function(top, left, height, width)
          boxes = boxes + 1
          return picture.data:narrow(0, top, height):narrow(1, left, width):contiguous()
        end)
        local wanted = center(resize(input_of(case[1], "image")))
        local result = transforms.Compose { resize, center }(late)
        assert.equal(wanted.mode, result.mode)
        assert.is_true(torch.equal(wanted.data, result.data))
        assert.equal(1, boxes)
      end
    end
  end)

  it("keeps what a derived class does", function()
    local Doubled = transforms.ToTensor:extend "Doubled"
    function Doubled:forward(img) return Doubled.super.forward(self, img) * 2 end
    local image = input_of("noise", "image")
    assert.is_true(torch.equal(F.to_tensor(image) * 2, transforms.Compose { Doubled() }(image)))
    local Own = transforms.Transform:extend "Own"
    function Own.forward(_, img) return F.invert(img) end
    assert.is_true(torch.equal(F.invert(image).data, transforms.Compose { Own() }(image).data))
    assert.equal("Own()", tostring(Own()))
  end)

  it("works in float64 by default where that is the default", function()
    torch.set_default_dtype(torch.float64)
    local ok, result = pcall(transforms.Compose { transforms.ToTensor() }, input_of("noise", "image"))
    torch.set_default_dtype(torch.float32)
    assert.is_true(ok)
    assert.equal(torch.float64, result.dtype)
  end)

  it("takes functions and batches", function()
    local t = transforms.Compose { transforms.ToTensor(), function(x) return x * 2 end }
    assert.is_nil(t.batch)
    assert.same({ 3, 17, 23 }, { t(input_of("noise", "image")).shape:unpack() })
    local batchable = transforms.Compose { transforms.ToTensor(), transforms.Normalize(0.5, 0.5) }
    local images = torch.randint(0, 256, { 4, 6, 7, 3 }, { dtype = torch.uint8 })
    local batch = batchable:batch(images)
    for i = 0, 3 do assert.is_true(torch.equal(batch[i], batchable(Image(images[i])))) end
    assert.same({ 4, 3, 5, 7 }, { batchable:batch(torch.zeros(4, 3, 5, 7, { dtype = torch.uint8 })).shape:unpack() })
  end)

  it("decodes the box of a late image alone", function()
    local picture = pictures.ant.data
    local boxes = {}
    local function late()
      return Image.lazy("RGB", 72, 96, function(top, left, height, width)
        boxes[#boxes + 1] = { top, left, height, width }
        return picture:narrow(0, top, height):narrow(1, left, width)
      end)
    end
    local whole = transforms.Compose(steps())
    torch.manual_seed(3)
    local wanted = whole(Image(picture))
    torch.manual_seed(3)
    assert.is_true(torch.equal(wanted, whole(late())))
    assert.equal(1, #boxes)
    assert.is_true(boxes[1][3] < 72 or boxes[1][4] < 96)
    local image = late()
    assert.same({ 3, 72, 96 }, { image.shape:unpack() })
    assert.equal(1, #boxes) -- sizes need no pixels
    assert.is_true(torch.equal(picture, image.data))
    assert.same({ 0, 0, 72, 96 }, boxes[2])
    assert.is_true(torch.equal(picture, image.data))
    assert.equal(2, #boxes)
  end)

  it("reads ToTensor's tensors as documented", function()
    local function shape_of(...) return { F.to_tensor(torch.zeros(...)).shape:unpack() } end
    assert.same({ 1, 5, 6 }, shape_of(5, 6))
    assert.same({ 3, 5, 6 }, shape_of(5, 6, 3))
    assert.same({ 3, 5, 6 }, shape_of(3, 5, 6))
    assert.same({ 4, 5, 3 }, shape_of(4, 5, 3))
    assert.same({ 2, 5, 6 }, shape_of(5, 6, 2))
    local x = torch.tensor({ { { 255 } } }, { dtype = torch.uint8 })
    assert.equal(1.0, F.to_tensor(x):item())
  end)
end)

-- --- masks ------------------------------------------------------------------------------------------
describe("images of indices and of integers", function()
  torch.manual_seed(5)
  local indices = torch.randint(0, 20, { 9, 12 }, { dtype = torch.uint8 })
  local mask = Image(indices, "P")
  mask.palette = "the palette"
  local wide = Image(indices:to(torch.int32) * 1000 - 5000, "I")

  it("are moved, never mixed", function()
    local grey = Image(indices)
    for _, call in ipairs { { "hflip" }, { "vflip" }, { "crop", -1, 2, 5, 6 }, { "center_crop", 4 }, { "pad", 2, 7 },
      { "pad", { 1, 2 }, 0, "reflect" }, { "resize", { 5, 20 }, "nearest" }, { "rotate", 30, "nearest" }, { "rotate", 90, "nearest", true },
      { "affine", 5, { 1, 2 }, 1.1, 3 }, { "resized_crop", 1, 2, 6, 7, { 4, 5 }, "nearest" } } do
      local name, rest = call[1], { table.unpack(call, 2) }
      local wanted = F[name](grey, table.unpack(rest)).data
      local result = F[name](mask, table.unpack(rest))
      assert.equal("P", result.mode)
      assert.equal("the palette", result.palette)
      assert.is_true(torch.equal(wanted, result.data), name)
      local scaled = F[name](wide, table.unpack(rest))
      assert.equal("I", scaled.mode)
      assert.equal(torch.int32, scaled.data.dtype)
      if name ~= "pad" and name ~= "crop" and name ~= "rotate" and name ~= "affine" then
        assert.is_true(torch.equal(wanted:to(torch.int32) * 1000 - 5000, scaled.data), name)
      end
    end
    assert.equal(-77, F.pad(wide, 1, -77).data[0][0][0]:item())
    assert.is_true(torch.equal(F.resize(mask, 5, "nearest").data, F.resize(mask, 5).data)) -- whatever the filter
  end)

  it("become tensors of their values", function()
    assert.same({ 1, 9, 12 }, { F.pil_to_tensor(mask).shape:unpack() })
    assert.is_true(torch.equal(indices:unsqueeze(0):float() / 255, F.to_tensor(mask)))
    assert.is_true(torch.equal(wide.data:permute(2, 0, 1), F.to_tensor(wide)))
    assert.equal(torch.int32, transforms.Compose { transforms.RandomHorizontalFlip(), transforms.ToTensor() }(wide).dtype)
  end)

  it("have no colours", function()
    for _, image in ipairs { mask, wide } do
      for name, value in pairs { adjust_brightness = 0.5, adjust_contrast = 0.5, adjust_saturation = 0.5, adjust_gamma = 2,
        adjust_sharpness = 2, gaussian_blur = 3 } do
        assert.error_matches(function() F[name](image, value) end, "not supported for mode [PI]; convert the image first")
      end
    end
    assert.error_matches(function() F.resize(wide, 5) end, "mode I are resized by nearest only")
    assert.error_matches(function() F.rotate(wide, 5, "bilinear") end, "mode I are mapped by nearest only")
  end)
end)

-- --- gradients --------------------------------------------------------------------------------------
describe("gradients flow through tensors", function()
  local calls = {
    { "resize", { 5, 4 } }, { "resize", { 5, 4 }, "bicubic" }, { "crop", 1, 2, 3, 4 }, { "pad", 2, 0, "reflect" },
    { "pad", 2, 0, "symmetric" }, { "hflip" }, { "rotate", 20, "bilinear" }, { "rotate", 20, "bilinear", { fill = 1 } },
    { "affine", 10, { 1, 1 }, 1.1, 3, "bilinear" }, { "adjust_brightness", 0.7 }, { "adjust_contrast", 0.7 },
    { "adjust_saturation", 0.7 }, { "adjust_sharpness", 0.7 }, { "adjust_gamma", 2.0 }, { "gaussian_blur", 3 },
    { "rgb_to_grayscale" }, { "invert" }, { "solarize", 0.5 }, { "autocontrast" }, { "normalize", { 0.5 }, { 0.2 } },
    { "perspective", { { 0, 0 }, { 7, 0 }, { 7, 6 }, { 0, 6 } }, { { 1, 0 }, { 7, 1 }, { 6, 6 }, { 0, 5 } } },
  }
  for _, call in ipairs(calls) do
    it(call[1], function()
      torch.manual_seed(1)
      local x = (torch.rand(3, 7, 8, { dtype = torch.float64 }) * 0.8 + 0.1):requires_grad_()
      assert.is_true(torch.autograd.gradcheck(function(input) return F[call[1]](input, table.unpack(call, 2)) end, { x }))
    end)
  end

  it("adjust_hue", function() -- computes in float32
    local x = torch.rand(3, 4, 5):requires_grad_()
    F.adjust_hue(x, 0.1):sum():backward()
    assert.is_true(torch.isfinite(x.grad):all():item())
    local grey = torch.full({ 3, 2, 2 }, 0.5):requires_grad_()
    F.adjust_hue(grey, 0.1):sum():backward()
    assert.is_true(torch.isfinite(grey.grad):all():item())
  end)
end)

-- --- mixing -----------------------------------------------------------------------------------------
describe("mixing batches", function()
  local images, labels = torch.rand(4, 3, 8, 6), torch.tensor { 0, 2, 1, 2 }

  it("MixUp weighs neighbours", function()
    torch.manual_seed(0)
    local mixed, soft = transforms.v2.MixUp { alpha = 0.4, num_classes = 3 }(images, labels)
    torch.manual_seed(0)
    local share = torch.distributions.Beta(torch.tensor { 0.4 }, torch.tensor { 0.4 }):sample():item()
    assert.is_true(torch.allclose(mixed, images * share + images:roll(1, 0) * (1 - share)))
    assert.is_true(torch.allclose(soft:sum(1), torch.ones(4)))
    assert.is_true(math.abs(soft[0][0]:item() - share) < 1e-6)
    assert.is_true(math.abs(soft[0][2]:item() - (1 - share)) < 1e-6)
    local packed = transforms.v2.MixUp { num_classes = 3 } { images, labels }
    assert.equal(2, #packed)
  end)

  it("CutMix moves a box", function()
    for seed = 1, 5 do
      torch.manual_seed(seed)
      local mixed, soft = transforms.v2.CutMix { num_classes = 3 }(images, labels)
      local kept = mixed:eq(images):to(torch.float32):mean():item()
      assert.is_true(math.abs(soft[0][0]:item() - kept) < 1e-5)
    end
  end)

  it("names what is wrong", function()
    local mix = transforms.v2.MixUp { num_classes = 3 }
    assert.error_matches(function() mix(images, 3) end, "labels must be a tensor")
    assert.error_matches(function() mix(images[0], labels) end, "4 dims, but got 3")
    assert.error_matches(function() mix(images, labels:narrow(0, 0, 2)) end, "does not match the batch size")
    assert.error_matches(function() transforms.v2.CutMix()(images, labels) end, "num_classes must be passed")
  end)
end)

-- --- errors -----------------------------------------------------------------------------------------
describe("errors name the function and the argument", function()
  local image, uint8, float = input_of("noise", "image"), input_of("noise", "uint8"), input_of("noise", "float")
  local T = transforms
  local faults = {
    { "resize: img should be an Image or a tensor. Got number", function() F.resize(3, 5) end },
    { "resize: Size must be an int or a 1 or 2 element", function() F.resize(image, { 1, 2, 3 }) end },
    { "max_size = 5 must be strictly greater", function() F.resize(image, 8, { max_size = 5 }) end },
    { "max_size should only be passed if size", function() F.resize(image, { 8, 8 }, { max_size = 5 }) end },
    { "height and width must be > 0", function() F.resize(image, { 0, 5 }) end },
    { "should be a InterpolationMode", function() F.resize(image, 5, "cubic") end },
    { "interpolation InterpolationMode.LANCZOS is for images only", function() F.resize(uint8, 5, "lanczos") end },
    { "unknown argument 'interpolate'", function() T.Resize(5, { interpolate = 3 }) end },
    { "If size is a sequence, it should have 1 or 2 values", function() T.Resize { 1, 2, 3 } end },
    { "Please provide only two dimensions", function() T.CenterCrop { 1, 2, 3 } end },
    { "Padding must be an int or a 1, 2, or 4 element tuple, not a 3 element tuple", function() T.Pad { 1, 2, 3 } end },
    { "Padding mode should be either constant, edge, reflect or symmetric", function() T.Pad(1, 0, "mirror") end },
    { "does not match the number of channels of the image %(2 != 3%)", function() F.pad(image, 1, { 1, 2 }) end },
    { "Required crop size %(99, 99%) is larger than input image size %(17, 23%)", function() T.RandomCrop(99)(image) end },
    { "Requested crop size %(99, 9%) is bigger than input size %(17, 23%)", function() F.five_crop(image, { 99, 9 }) end },
    { "Argument lambd should be callable", function() T.Lambda(3) end },
    { "transforms%[2%] should be callable, got number", function() T.Compose { T.ToTensor(), 3 } end },
    { "hue_factor %(0.7%) is not in %[%-0.5, 0.5%]", function() F.adjust_hue(image, 0.7) end },
    { "brightness_factor %(%-1.0%) is not non%-negative", function() F.adjust_brightness(uint8, -1.0) end },
    { "permitted channel values are %[1, 3%], but found 2", function() F.adjust_brightness(uint8:narrow(0, 0, 2), 1) end },
    { "Gamma should be a non%-negative real number", function() F.adjust_gamma(image, -1) end },
    { "brightness values should be between %(0, inf%)", function() T.ColorJitter { brightness = { 3, 2 } } end },
    { "hue values should be between %(%-0.5, 0.5%), but got %[%-0.6, 0.6%]", function() T.ColorJitter { hue = 0.6 } end },
    { "contrast should be a single number or a list/tuple with length 2", function() T.ColorJitter { contrast = { 1 } } end },
    { "num_output_channels should be either 1 or 3", function() F.rgb_to_grayscale(image, 2) end },
    { "number if bits should be between 0 and 8. Got 9", function() F.posterize(image, 9) end },
    { "Only torch.uint8 image tensors are supported", function() F.posterize(float, 3) end },
    { "Threshold should be less than bound of img", function() F.solarize(float, 3) end },
    { "not supported for mode RGBA", function() F.invert(input_of("rgba", "image")) end },
    { "should have at least 3 dimensions, but found 2", function() F.invert(uint8[0]) end },
    { "kernel_size should have odd and positive integers. Got %(4, 4%)", function() F.gaussian_blur(image, 4) end },
    { "sigma should have positive values", function() F.gaussian_blur(image, 3, 0) end },
    { "Kernel size value should be an odd and positive number", function() T.GaussianBlur(4) end },
    { "sigma values should be positive and of the form %(min, max%)", function() T.GaussianBlur(3, { 2, 1 }) end },
    { "LANCZOS %(1%) cannot be used", function() F.rotate(image, 3, "lanczos") end },
    { "mode 'bicubic' is unsupported with Tensor input", function() F.rotate(uint8, 3, "bicubic") end },
    { "Argument angle should be int or float", function() F.rotate(image, "x") end },
    { "Argument translate should be a sequence of length 2", function() F.affine(image, 1, { 1 }, 1, 0) end },
    { "Argument scale should be positive", function() F.affine(image, 1, { 1, 1 }, 0, 0) end },
    { "Shear should be a sequence containing two values", function() F.affine(image, 1, { 1, 1 }, 1, { 1, 2, 3 }) end },
    { "exactly four corners, got 1 startpoints", function() F.perspective(image, { { 0, 0 } }, { { 0, 0 } }) end },
    { "'fill' cannot broadcast to match the number of channels of the image %(2 != 3%)",
      function() F.rotate(uint8, 3, { fill = { 1, 2 } }) end },
    { "If degrees is a single number, it must be positive", function() T.RandomRotation(-3) end },
    { "degrees should be a sequence of length 2.", function() T.RandomRotation { 1, 2, 3 } end },
    { "translation values should be between 0 and 1", function() T.RandomAffine(3, { 2, 0 }) end },
    { "scale values should be positive", function() T.RandomAffine(3, nil, { 0, 1 }) end },
    { "shear should be a sequence of length 2 or 4.", function() T.RandomAffine(3, { shear = { 1, 2, 3 } }) end },
    { "If value is str, it should be 'random'", function() T.RandomErasing { value = "noise" } end },
    { "Random erasing probability should be between 0 and 1", function() T.RandomErasing(2) end },
    { "Scale should be between 0 and 1", function() T.RandomErasing { scale = { 0.1, 2 } } end },
    { "single value or 3 %(number of input channels%)", function() T.RandomErasing { p = 1, value = { 1, 2 } } (float) end },
    { "displacement shape should be %(1, 17, 23, 2%)", function() F.elastic_transform(image, torch.zeros(1, 2, 2, 2)) end },
    { "img should be Tensor Image", function() F.erase(image, 0, 0, 1, 1, torch.zeros(1)) end },
    { "put ToTensor%(%) before it", function() F.normalize(image, 0.5, 0.5) end },
    { "Input tensor should be a float tensor. Got torch.uint8", function() F.normalize(uint8, 0.5, 0.5) end },
    { "leading to division by zero", function() F.normalize(float, { 0.5 }, { 0 }) end },
    { "pic should be 2/3 dimensional. Got 4 dimensions", function() F.to_tensor(torch.zeros(1, 1, 1, 1)) end },
    { "pic should be an Image or a tensor", function() F.to_tensor "x" end },
    { "pic should be an Image", function() F.pil_to_tensor(uint8) end },
    { "should not have > 4 channels. Got 5", function() F.to_pil_image(torch.zeros(5, 2, 2)) end },
    { "Only modes %['RGB', 'YCbCr', 'HSV'%]", function() F.to_pil_image(uint8, "L") end },
    { "Input type torch.int64 is not supported", function() F.to_pil_image(torch.zeros(2, 2, { dtype = torch.int64 })) end },
    { "from torch.float32 to torch.int64 cannot be performed safely",
      function() F.convert_image_dtype(float, torch.int64) end },
    { "transformation_matrix should be square", function() T.LinearTransformation(torch.zeros(2, 3), torch.zeros(2)) end },
    { "incompatible shape.%[3 x 17 x 23%] != 2",
      function() T.LinearTransformation(torch.zeros(2, 2), torch.zeros(2))(float) end },
    { "policy 'none' is not recognized", function() T.AutoAugment "none" end },
    { "severity must be between %[1, 10%]. Got 11", function() T.AugMix(11) end },
    { "Length of p doesn't match", function() T.RandomChoice({ T.ToTensor() }, { 0.5, 0.5 }) end },
    { "size must be at most 16777216 pixels, got 1099511627776", function() F.resize(image, { 5, 1 << 40 }) end },
    { "padding must be an integer, got number %(2.5%)", function() F.pad(image, 2.5) end },
    { "height must be at most 16777216 pixels", function() F.crop(image, 0, 0, 1 << 40, 5) end },
    { "Argument angle should be finite", function() F.rotate(image, 1 / 0) end },
    { "center should be two numbers of pixels", function() F.rotate(image, 30, { expand = true, center = { 0 / 0, 3 } }) end },
    { "fill must be finite numbers", function() F.pad(image, 1, 0 / 0) end },
    { "gamma and gain must be finite", function() F.adjust_gamma(image, 1, 1 / 0) end },
    { "has no pixels", function() F.resize(Image(torch.zeros(0, 5, 3, { dtype = torch.uint8 })), 3) end },
    { "a corner is a list {x, y}", function() F.perspective(image, { {}, {}, {}, {} }, { {}, {}, {}, {} }) end },
    { "the corners do not define a map", function()
      local points = { { 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 3 } }
      F.perspective(image, points, points)
    end },
    { "distortion_scale must be finite", function() T.RandomPerspective(0 / 0) end },
    { "dtype must be a dtype such as torch.float32, got number", function() F.convert_image_dtype(uint8, 3) end },
    { "alpha is a sequence its length should be 2. Got 3", function() T.ElasticTransform { alpha = { 1, 2, 3 } } end },
  }
  for _, fault in ipairs(faults) do
    it(fault[1], function() assert.error_matches(fault[2], fault[1]) end)
  end

  it("at the user's line", function()
    local ok, message = pcall(function() F.resize(image, { 0, 5 }) end)
    assert.is_false(ok)
    assert.matches("^tests/lua/transforms_spec.lua:%d+: resize: ", message)
  end)
end)

-- --- memory -----------------------------------------------------------------------------------------
describe("an image operation that runs out of memory", function()
  local image = input_of("ant", "image")
  local rgba = input_of("rgba", "image")
  local calls = {
    function() return F.resize(image, { 20, 30 }) end,
    function() return F.resize(rgba, { 9, 30 }, "bicubic") end,
    function() return F.rotate(image, 20, "bilinear") end,
    function() return F.pad(image, 3, 0, "reflect") end,
    function() return F.adjust_sharpness(image, 2) end,
    function() return F.adjust_hue(image, 0.1) end,
    function() return F.hflip(image) end,
    function() return F.to_tensor(image) end,
  }
  it("fails cleanly and leaks nothing", function()
    for _, call in ipairs(calls) do
      call()
      collectgarbage()
      collectgarbage()
      local before = core.memory_stats().live_bytes
      local failures = 0
      for n = 0, 40 do
        core.memory_fail_after(n)
        local ok, message = pcall(call)
        core.memory_fail_after(-1)
        if ok then break end
        failures = failures + 1
        assert.matches("memory", tostring(message))
      end
      assert.is_true(failures > 0 and failures < 40)
      collectgarbage()
      collectgarbage()
      assert.equal(before, core.memory_stats().live_bytes)
    end
  end)
end)
