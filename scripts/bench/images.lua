-- Times image operations on one thread; one line an operation: "name<TAB>milliseconds of processor time", the best of five
-- runs. The twin of images.py, which times Pillow through torchvision.
--   build/lampad scripts/bench/images.lua
local torch = require "lampad"
local transforms = torch.vision.transforms
local F, Image = transforms.functional, torch.vision.Image

torch.set_num_threads(1)
torch.manual_seed(0)

local function noise(height, width, channels)
  return Image(torch.randint(0, 256, { height, width, channels }, { dtype = torch.uint8 }))
end

local function bench(name, run)
  run()
  local best = math.huge
  for _ = 1, 5 do
    local start = os.clock()
    for _ = 1, 20 do run() end
    best = math.min(best, (os.clock() - start) / 20)
  end
  print(("%s\t%.3f"):format(name, best * 1000))
end

local photo, grey, large, small = noise(375, 500, 3), noise(375, 500, 1), noise(1080, 1920, 3), noise(224, 224, 3)
for _, mode in ipairs { "bilinear", "bicubic", "lanczos", "nearest" } do
  bench("resize 500x375 to 224x224, " .. mode, function() return F.resize(photo, { 224, 224 }, mode) end)
end
bench("resize 500x375 grey, bilinear", function() return F.resize(grey, { 224, 224 }) end)
bench("resize 1920x1080 to 455x256, bilinear", function() return F.resize(large, 256) end)
bench("enlarge 224x224 to 500x500, bicubic", function() return F.resize(small, { 500, 500 }, "bicubic") end)
bench("hflip", function() return F.hflip(photo) end)
bench("rotate, nearest", function() return F.rotate(photo, 20) end)
bench("rotate, bilinear", function() return F.rotate(photo, 20, "bilinear") end)
bench("affine, bicubic", function() return F.affine(photo, 20, { 3, 4 }, 1.1, 5, "bicubic") end)
bench("adjust_brightness", function() return F.adjust_brightness(photo, 1.3) end)
bench("adjust_contrast", function() return F.adjust_contrast(photo, 1.3) end)
bench("adjust_saturation", function() return F.adjust_saturation(photo, 1.3) end)
bench("adjust_hue", function() return F.adjust_hue(photo, 0.1) end)
bench("adjust_sharpness", function() return F.adjust_sharpness(photo, 1.7) end)
bench("equalize", function() return F.equalize(photo) end)
local finish = transforms.Compose { transforms.RandomHorizontalFlip(1.0), transforms.ToTensor(),
  transforms.Normalize({ 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }) }
bench("hflip, ToTensor, Normalize of 224x224", function() return finish(small) end)
