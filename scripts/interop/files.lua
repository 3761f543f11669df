-- Checks what Lampad reads from files.py's files, writes them again into again/, and its own files into own/.
--   build/lampad scripts/interop/files.lua FOLDER
local torch = require "lampad"
local here = arg[0]:match "^(.*)/" or "."
local D = dofile(here .. "/describe.lua")
local folder = arg[1]

os.execute(("mkdir -p '%s/again' '%s/own'"):format(folder, folder))

local function names(pattern)
  local list = {}
  local pipe <close> = assert(io.popen(("cd '%s' && ls %s"):format(folder, pattern)))
  for name in pipe:lines() do list[#list + 1] = name end
  return list
end

local function describe_all(tensors)
  local keys, lines = {}, {}
  for key in pairs(tensors) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    for _, line in ipairs(D.describe { [key] = tensors[key] }) do lines[#lines + 1] = line end
  end
  return lines
end

-- --- checkpoints --------------------------------------------------------------------------------------------------

for _, name in ipairs(names "*.pt") do
  local path = folder .. "/" .. name
  local want = D.read_lines(path .. ".txt")
  local holds_weights = name:find "^module" or name:find "^script"
  local ok, value = pcall(torch.load, path)
  if not ok then
    -- A dtype that Lampad has not is refused by its name.
    local dtype = name:match "^rare_dtype_(.*)%.pt$"
    D.result(name, dtype and tostring(value):find(dtype, 1, true) and {} or { tostring(value) })
    if dtype then print(("%s is refused: %s"):format(dtype, tostring(value):match "'.-': (.*)$" or value)) end
  else
    if holds_weights then
      local weights = value.state_dict and value:state_dict() or value
      D.same(name, want, D.describe(weights))
      torch.save(weights, folder .. "/again/" .. name)
    else
      D.same(name, want, D.describe(value))
      torch.save(value, folder .. "/again/" .. name)
      if not name:find "legacy" then
        D.same(name .. " mapped", want, D.describe(torch.load(path, { mmap = true })))
      end
      local file <close> = assert(io.open(path, "rb"))
      D.same(name .. " from its bytes", want, D.describe(torch.load(file:read "a")))
    end
  end
end

-- --- safetensors and NumPy ----------------------------------------------------------------------------------------

for _, name in ipairs(names "*.safetensors") do
  local path = folder .. "/" .. name
  local want = D.read_lines(path .. ".txt")
  -- Tensors lie over the file: their storage is not the one that Python had.
  local function plain(lines)
    local out = {}
    for i, line in ipairs(lines) do out[i] = line:gsub(" at %d+ of storage %d+ of %d+:", ":") end
    return out
  end
  D.same(name, plain(want), plain(describe_all(torch.safetensors.load_file(path))))
  D.same(name .. " read", plain(want), plain(describe_all(torch.safetensors.load_file(path, { backend = "pread" }))))
  local f <close> = torch.safetensors.safe_open(path)
  torch.safetensors.save_file(torch.safetensors.load_file(path), folder .. "/again/" .. name, f:metadata())
end

local function without_storage(lines)
  local out = {}
  for i, line in ipairs(lines) do out[i] = line:gsub(" at %d+ of storage %d+ of %d+:", ":") end
  return out
end

for _, name in ipairs(names "*.npy") do
  local path = folder .. "/" .. name
  local want = D.read_lines(path .. ".txt")
  local x = torch.numpy.load(path)
  D.same(name, without_storage(want), without_storage(D.describe(x)))
  torch.numpy.save(folder .. "/again/" .. name, x)
end

for _, name in ipairs(names "*.npz") do
  local path = folder .. "/" .. name
  local arrays = {}
  for key, x in pairs(torch.numpy.load(path)) do arrays[key] = x end
  D.same(name, without_storage(D.read_lines(path .. ".txt")), without_storage(describe_all(arrays)))
  local save = name:find "packed" and torch.numpy.savez_compressed or torch.numpy.savez
  save(folder .. "/again/" .. name, arrays)
end

-- --- files of our own ---------------------------------------------------------------------------------------------

local function own(name, value)
  local path = ("%s/own/%s.pt"):format(folder, name)
  torch.save(value, path)
  D.write_lines(path .. ".txt", D.describe(torch.load(path)))
end

for _, dtype in ipairs { "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64",
  "complex128", "bool" } do
  local x = torch.arange(120):remainder(7):to(torch[dtype])
  local whole = x:view(4, 5, 6)
  own("dtype_" .. dtype, { whole = whole, turned = whole:transpose(0, 2), part = whole["1:3, ::2, 1:5:3"], number = whole[1][2][3],
    expanded = whole[0][":1, :1"]:expand(3, 7), empty = x[":0"], middle = x["17:63"], alone = torch.tensor(3):to(torch[dtype]),
    parameter = torch.nn.Parameter(x:clone(), x:is_floating_point()) })
end
own("values", { 1, 2.5, "text", "\0\xff", true, false, { a = { b = { c = {} } } }, { 1, { 2, { 3 } } }, math.huge, -0.0,
  math.mininteger, torch.float16, torch.device "cpu", torch.Size { 2, 3 } })
own("with_none", table.pack(1, nil, 3, nil))
own("integer_keys", { [0] = "zero", [5] = "five", [-1] = "minus", [true] = "true" })
own("number", 7)
own("text", "h\u{e9}")
local shared = torch.ones(4)
own("shared", { a = shared, b = shared, c = shared["1:"], d = shared:view(2, 2), row = { shared, shared } })
local net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.LSTM(2, 3))
own("state_dict", net:state_dict())
own("tied", torch.nn.Sequential(net, net):state_dict())
own("storage_dtype_views", { torch.arange(8):float():view(torch.int32) })
own("generator", { rng = torch.get_rng_state() })

D.finish()
