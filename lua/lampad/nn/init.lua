-- torch.nn: layers, containers, losses, nn.functional, nn.init, nn.utils. Everything loads at first use.
local files = {
  Module = "module", Parameter = "parameter", Linear = "linear", Bilinear = "bilinear",
  Embedding = "embedding", PReLU = "prelu",
  functional = "functional", init = "initializers", utils = "utils",
}
-- Files that return several classes.
local groups = {
  conv = { "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d" },
  batchnorm = { "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d" },
  norm = { "LayerNorm", "GroupNorm", "RMSNorm" },
  containers = { "Sequential", "ModuleList", "ModuleDict", "ParameterList" },
}
local group_of = {}
for file, names in pairs(groups) do
  for _, name in ipairs(names) do group_of[name] = file end
end

local nn = {}

local function load(name)
  if files[name] then return require("lampad.nn." .. files[name]) end
  if group_of[name] then return require("lampad.nn." .. group_of[name])[name] end
  for _, file in ipairs { "stateless", "losses" } do
    local library = require("lampad.nn." .. file)
    if library.rows[name] then return library.make(name) end
  end
end

--- Every name in torch.nn, sorted: for completion and help.
function nn.names()
  local names = {}
  for name in pairs(files) do names[#names + 1] = name end
  for name in pairs(group_of) do names[#names + 1] = name end
  for _, file in ipairs { "stateless", "losses" } do
    for name in pairs(require("lampad.nn." .. file).rows) do names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

return setmetatable(nn, {
  __index = function(_, name)
    if type(name) ~= "string" then return nil end
    local value = load(name)
    nn[name] = value
    return value
  end,
})
