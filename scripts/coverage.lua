--- How much of PyTorch's surface there is: reads the lists of names (one file a module, one name a line) and
-- prints names present / total for each module, then the missing ones.
--   build/lampad scripts/coverage.lua [FOLDER] [MODULE...]
-- FOLDER (default ../shared/surface) holds torch.txt, Tensor.txt, linalg.txt, ... A name listed under
-- "Missing names" in docs/limits.md counts as excused. Fails when a name is missing without an excuse, or when
-- more than 2% are.
local torch = require "lampad"
local folder = arg[1] or "../shared/surface"

local here = arg[0]:match("^(.*)/") or "."
local default_modules = { "torch", "Tensor", "linalg", "special", "fft", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.prune",
  "optim", "optim.lr_scheduler", "distributions", "utils.data", "vision.ops", "vision.models", "vision.datasets", "vision.transforms",
  "vision.transforms.functional" }
-- torchvision's lists stand without their package, but for vision.ops.
local function list_of(module)
  return folder .. "/" .. (module == "vision.ops" and module or module:gsub("^vision%.", "")) .. ".txt"
end
local modules = #arg > 1 and { table.unpack(arg, 2) } or default_modules

local function names_in(path)
  local file, message = io.open(path)
  if not file then error(message, 0) end
  local names = {}
  for line in file:lines() do
    local name = line:match("^%s*([%w_%.]+)")
    if name then names[#names + 1] = name end
  end
  file:close()
  return names
end

--- Lines "- `module.name`: reason" of docs/limits.md.
local function excuses()
  local found = {}
  local file = io.open(here .. "/../docs/limits.md")
  if not file then return found end
  for line in file:lines() do
    local name, reason = line:match("^%- `([%w_%.]+)`: (.+)$")
    if name then found[name] = reason end
  end
  file:close()
  return found
end

local sample = torch.ones(2, 2)
sample.requires_grad = true
local function is_present(module, name)
  if module == "Tensor" then
    if name == "grad" or name == "grad_fn" then return pcall(function() return sample[name] end) end
    local ok, value = pcall(function() return sample[name] end)
    return ok and value ~= nil
  end
  local at = torch
  if module ~= "torch" then
    for part in module:gmatch("[^%.]+") do
      at = at and at[part]
    end
  end
  for part in name:gmatch("[^%.]+") do -- nn.utils has names such as parametrizations.orthogonal
    at = at and at[part]
  end
  return at ~= nil
end

local excused = excuses()
local total, present, pardoned, failed = 0, 0, 0, false
for _, module in ipairs(modules) do
  local names, missing, n = names_in(list_of(module)), {}, 0
  for _, name in ipairs(names) do
    if is_present(module, name) then n = n + 1
    else
      local key = module == "torch" and "torch." .. name or module == "Tensor" and "Tensor." .. name
        or "torch." .. module .. "." .. name
      if excused[key] then
        pardoned = pardoned + 1
        missing[#missing + 1] = name .. " (" .. excused[key] .. ")"
      else
        failed = true
        missing[#missing + 1] = name
      end
    end
  end
  total, present = total + #names, present + n
  print(("%-30s %4d / %-4d"):format(module == "torch" and "torch" or "torch." .. module, n, #names))
  for _, name in ipairs(missing) do print("    missing: " .. name) end
end
print(("%-30s %4d / %-4d  %.1f%%"):format("all", present, total, 100 * present / total))
os.exit(not failed and pardoned <= 0.02 * total)
