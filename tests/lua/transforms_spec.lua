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
  if distance ~= distance or distance > (how == "level" and 1 or 1e-5) then return "values differ by " .. distance end
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
