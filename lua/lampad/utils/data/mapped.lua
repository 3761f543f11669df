-- torch.utils.data.MappedDataset: tensors that stay in their files, larger than the memory perhaps. Beyond PyTorch.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local dataset = require "lampad.utils.data.dataset"

local torch = core.torch
local MappedDataset = dataset.TensorDataset:extend "MappedDataset"

-- The tensors of one file, mapped: those of the names, or its only one.
local function open(path, names)
  if path:find "%.npy$" then return { torch.numpy.load(path, { mmap_mode = "r" }) } end
  local all
  if path:find "%.safetensors$" then
    all = require("lampad.safetensors").load_file(path)
  else
    all = torch.load(path, { mmap = true })
    if torch.is_tensor(all) then return { all } end
  end
  if not names then
    args.fail("MappedDataset", "%s holds several tensors; say which with names = {\"images\", \"labels\"}", path)
  end
  local result = {}
  for i, name in ipairs(names) do
    result[i] = all[name]
    if not torch.is_tensor(result[i]) then args.fail("MappedDataset", "%s has no tensor '%s'", path, tostring(name)) end
  end
  return result
end

--- MappedDataset(path, ..., {names = {...}}): item i is the i-th row of every tensor, as TensorDataset's. Files: .npy, or torch.save's
--- and .safetensors with the names of the tensors that are wanted. Pages are read as rows are asked for.
function MappedDataset:init(...)
  local paths = { ... }
  local names
  if args.is_named(paths[#paths]) then
    local options = table.remove(paths)
    args.check_names("MappedDataset", options, { "names" })
    names = options.names
  end
  local tensors = {}
  for _, path in ipairs(paths) do
    if type(path) ~= "string" then args.fail("MappedDataset", "expected paths, got %s", text.describe(path)) end
    for _, t in ipairs(open(path, names)) do tensors[#tensors + 1] = t end
  end
  if #tensors == 0 then args.fail("MappedDataset", "expected at least one path") end
  dataset.TensorDataset.init(self, table.unpack(tensors))
  self.paths = paths
end

return { MappedDataset = MappedDataset }
