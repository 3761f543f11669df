-- Images per second of a DataLoader: decode, RandomResizedCrop(224), flip, normalise, batches of 32.
--   lampad scripts/bench/loader.lua [FOLDER] [PASSES]     one line "workers images_per_second first_batch_ms" for 0, 1, 2
-- loader.py is the same in PyTorch. FOLDER (default ../shared/data/hymenoptera_data/train) is an ImageFolder.
local core = require "lampad.core"
local torch = require "lampad"
local vision = require "lampad.vision"
local data, T = torch.utils.data, vision.transforms

local folder = arg[1] or "../shared/data/hymenoptera_data/train"
local passes = tonumber(arg[2] or 3)

local set = vision.datasets.ImageFolder(folder, {
  transform = T.Compose {
    T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor(),
    T.Normalize({ 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }),
  },
})

-- Images per second and milliseconds to the first batch.
local function measure(workers)
  local loader = data.DataLoader(set, { batch_size = 32, shuffle = true, num_workers = workers })
  local begin, first, count = core.now(), nil, 0
  for images in loader:iter() do
    first = first or core.now() - begin
    count = count + images:size(0)
  end
  return count / (core.now() - begin), first * 1000
end

for workers = 0, 2 do
  local best, first = 0, math.huge
  for _ = 1, passes do
    local rate, ms = measure(workers)
    best, first = math.max(best, rate), math.min(first, ms)
  end
  print(("%d %.1f %.1f"):format(workers, best, first))
end
