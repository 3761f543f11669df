-- Says what is on a picture: the most probable classes, after drawing it in the terminal.
--   lampad scripts/predict.lua PICTURE --net best.pt                        a network that finetune.lua kept with --best
--   lampad scripts/predict.lua PICTURE --model resnet18 [--weights DEFAULT] [--classes names.txt]
-- Without --classes, a file with a name a line, networks of 1000 classes know ImageNet's. PICTURE may be a folder: all pictures
-- in it. The last line is "probability: ...", of the last picture's first class.
local torch = require "lampad"
local core = require "lampad.core"
local folder = arg[0]:match "^.*/" or "./"
local script = dofile(folder .. "lib/script.lua")
local networks = dofile(folder .. "lib/networks.lua")
local terminal = dofile(folder .. "lib/terminal.lua")

local options = script.options {
  file = "PICTURE",
  { "net", "", "file of a network that finetune.lua kept with --best", kind = "file" },
  { "model", "resnet18", "a network of vision.models, or efficientnet_lite0" },
  { "weights", "DEFAULT", "published weights, a file of a state_dict, or none" },
  { "classes", "", "file of the classes' names, one a line", kind = "file" },
  { "top", 5, "classes to name" },
  { "width", 64, "columns of the picture in the terminal; 0: do not draw", least = 0 },
}
if not options.file then script.fail "name a picture; --help shows the options" end

local function check(ok, ...)
  if not ok then script.fail("%s", networks.message((...))) end
  return ...
end

-- --- the network and its classes -----------------------------------------------------------------------------
local net, classes, pictures
if options.net then
  net, classes, pictures = check(pcall(networks.load, options.net))
else
  net, pictures = check(pcall(networks.build, options.model, options.weights))
end
if options.classes then
  local file = io.open(options.classes)
  if not file then script.fail("cannot read %s", options.classes) end
  classes = {}
  for line in file:lines() do
    if line:find "%S" then classes[#classes + 1] = (line:gsub("%s+$", "")) end
  end
  file:close()
end
net:eval()

-- --- pictures ----------------------------------------------------------------------------------------------------
local paths = { options.file }
if core.file_kind(options.file) == "folder" then
  paths = {}
  local _, files = core.list_folder(options.file)
  for _, name in ipairs(files or {}) do
    if torch.vision.datasets.folder.is_image_file(name) then paths[#paths + 1] = options.file .. "/" .. name end
  end
  table.sort(paths)
  if #paths == 0 then script.fail("there are no pictures in %s", options.file) end
end

local transform = networks.plain_transform(pictures)
local last
for _, path in ipairs(paths) do
  local image = check(pcall(torch.vision.Image.open, path, "RGB"))
  if options.width > 0 then terminal.draw(image:tensor(), options.width) end
  local probabilities
  torch.no_grad(function() probabilities = net(transform(image):unsqueeze(0)):softmax(1)[0] end)
  local count = probabilities:size(0)
  if classes == nil and count == 1000 then classes = require "lampad.vision.models.imagenet" end
  if classes and #classes ~= count then
    script.fail("the network tells %d classes apart, %s has %d names", count, options.classes or options.net, #classes)
  end
  local values, indices = probabilities:topk(math.min(options.top, count))
  print(path)
  for i = 0, values:size(0) - 1 do
    local class, p = indices[i]:item(), values[i]:item()
    print(("  %6.2f %%  %s  %s"):format(100 * p, terminal.bar(p, 20), classes and classes[class + 1] or "class " .. class))
  end
  last = values[0]:item()
end
script.final("probability", last)
