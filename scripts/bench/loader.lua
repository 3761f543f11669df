-- Images per second of DataLoader: decode, RandomResizedCrop(224), flip, ToTensor, Normalize; one line a number of workers:
-- "workers<TAB>images per second<TAB>milliseconds to the first batch", the best of three epochs. The twin of loader.py.
--   build/lampad scripts/bench/loader.lua FOLDER [WORKERS ...]     FOLDER: of an ImageFolder, e.g. .../hymenoptera_data/train
local torch = require "lampad"
local vision, data = torch.vision, torch.utils.data
local core = require "lampad.core"
local T = vision.transforms

local EPOCHS = 3
local root = arg[1]
if not root then
  print("usage: lampad scripts/bench/loader.lua FOLDER [WORKERS ...]")
  os.exit(1)
end
local workers = { table.unpack(arg, 2) }
if #workers == 0 then workers = { 0, 1, 2 } end

local function measure(count)
  local dataset = vision.datasets.ImageFolder(root, T.Compose { T.RandomResizedCrop(224), T.RandomHorizontalFlip(),
    T.ToTensor(), T.Normalize({ 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }) })
  local best, first = 0, math.huge
  for _ = 1, EPOCHS do
    local loader = data.DataLoader(dataset, { batch_size = 32, shuffle = true, num_workers = count })
    torch.manual_seed(0)
    local start = core.now()
    local images_seen = 0
    for images in loader:iter() do
      if images_seen == 0 then first = math.min(first, core.now() - start) end
      images_seen = images_seen + images:size(0)
    end
    best = math.max(best, images_seen / (core.now() - start))
  end
  return best, first
end

for _, count in ipairs(workers) do
  local rate, first = measure(math.tointeger(count))
  print(("%d\t%.1f\t%.0f"):format(count, rate, first * 1000))
end
