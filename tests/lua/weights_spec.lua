-- Every file under ../shared/data/weights, made by others: what PyTorch reads from it (tests/golden/weights.txt, written by
-- scripts/gen/golden_weights.py) is read here, to the last bit; the others are refused with a clear error. The answers of the
-- nets are in pretrained_spec.lua and onnx_spec.lua. Skips when the files are not there.
local torch = require "lampad"
local core = require "lampad.core"

local root = arg and arg[0] and arg[0]:match("^(.*)/tests/lua/") or "."
local weights = root .. "/../shared/data/weights"

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The files below the folder, without it.
local function files_of(folder)
  local list = {}
  local pipe <close> = assert(io.popen(("cd '%s' 2>/dev/null && find . -type f | sort"):format(folder)))
  for line in pipe:lines() do list[#list + 1] = line:sub(3) end
  return list
end

local function line_of(at, t)
  local data = t:numel() > 0 and core.tensor_to_bytes(t:detach():contiguous()) or ""
  return ("%s %s (%s) (%s) %08x"):format(at, tostring(t.dtype), table.concat({ t.shape:unpack() }, ","),
    table.concat(t:stride(), ","), core.crc32(data))
end

local function add_tensors(value, at, lines)
  if torch.is_tensor(value) then
    lines[#lines + 1] = line_of(at, value)
  elseif type(value) == "table" and value.items then
    for key, item in value:items() do add_tensors(item, at == "" and tostring(key) or at .. "." .. tostring(key), lines) end
  elseif type(value) == "table" then
    for i = 1, value.n or #value do add_tensors(value[i], ("%s[%d]"):format(at, i), lines) end
  end
end

-- What PyTorch reads: file -> lines; no lines for a file that it refuses.
local golden = {}
for line in io.lines(root .. "/tests/golden/weights.txt") do
  local file, rest = line:match "^(%S+) ?(.*)$"
  golden[file] = golden[file] or {}
  if rest ~= "" then table.insert(golden[file], rest) end
end

-- PyTorch itself refuses these files of other writers, which hold what PyTorch before 0.1.9 wrote: the values they say.
local tars = {
  tar_2d_tensor = { matrix = { { 1., 2., 3., 4. }, { 5., 6., 7., 8. }, { 9., 10., 11., 12. } } },
  tar_float32 = { tensor = { 1., 2.5, -3.7, 0. } }, tar_float64 = { tensor = { 1.1, 2.2, 3.3 } },
  tar_int64 = { tensor = { 100, -200, 300, 0 } },
  tar_multi_dtype = { float_tensor = { 1.5, 2.5, 3.5 }, double_tensor = { 1.111, 2.222 }, int_tensor = { 10, 20, 30, 40 } },
  tar_weight_bias = { weight = { { .1, .2, .3 }, { .4, .5, .6 } }, bias = { .01, .02 } },
}

local function check_tar(name, value)
  local want = assert(tars[name], name)
  for key, list in pairs(want) do
    local t = torch.tensor(list):to(value[key].dtype)
    assert.is_true(torch.allclose(t, value[key], { rtol = 1e-6 }), name)
  end
end

describe("files made by others", function()
  local files = files_of(weights)
  if #files == 0 then
    it("(skipped)", function() pending("skipped: " .. weights .. " is not there") end)
    return
  end

  for _, name in ipairs(files) do
    local path = weights .. "/" .. name
    local ending = name:match "%.(%w+)$"
    if ending == "safetensors" then
      it("load: " .. name, function()
        local tensors, keys, lines = torch.safetensors.load_file(path), {}, {}
        for key in pairs(tensors) do keys[#keys + 1] = key end
        table.sort(keys)
        for i, key in ipairs(keys) do lines[i] = line_of(key, tensors[key]) end
        assert.same(golden[name], lines)
      end)
    elseif golden[name] then
      it("load: " .. name, function()
        local ok, value = pcall(torch.load, path)
        if name:find "broken" then
          assert.is_false(ok)
          assert.matches("it is no file that torch.save wrote", value)
          return
        end
        assert.is_true(ok, tostring(value))
        if ending == "tar" then return check_tar(name:match "([%w_]+)%.tar$", value) end
        local lines = {}
        add_tensors(value, "", lines)
        assert.same(golden[name], lines)
        local file <close> = assert(io.open(path, "rb"))
        if file:read(2) == "PK" then -- the zip format can be mapped
          lines = {}
          add_tensors(torch.load(path, { mmap = true }), "", lines)
          assert.same(golden[name], lines)
        end
      end)
    elseif ending == "bin" then
      it("a raw dump of floats, which no reader here takes: " .. name, function()
        assert.is_false(pcall(torch.load, path))
        pending "skipped: it is no checkpoint but llama2.c's own layout"
      end)
    else -- ONNX and a licence
      it("are no checkpoints, and that is said: " .. name, function()
        assert.error_matches(function() torch.load(path) end, "it is no file that torch.save wrote")
      end)
    end
  end

  it("are all there", function()
    for name in pairs(golden) do assert.is_true(exists(weights .. "/" .. name), name) end
  end)
end)
