-- torch.safetensors: files of the Python package, files for it, files that mean harm. tests/golden/files is written by
-- scripts/gen/golden_files.py.
local torch = require "lampad"
local core = require "lampad.core"
local st = torch.safetensors
local nn = torch.nn
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local command = dofile(here .. "/command.lua")
local golden = here .. "/../golden/files/"

local function fails(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, pattern)
  assert.truthy(tostring(message):find(pattern, 1, true), message)
  assert.truthy(message:find("safetensors_spec.lua:", 1, true), message)
end

-- A file from the text of its header and the bytes behind it.
local function file_of(header, data) return ("<s8"):pack(header) .. (data or "") end
local function entry(name, dtype, shape, first, last)
  return ('"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%s,%s]}'):format(name, dtype, shape, first, last)
end

local function same(a, b)
  return a.dtype == b.dtype and torch.Size(a.shape) == torch.Size(b.shape)
    and core.tensor_to_bytes(a:contiguous()) == core.tensor_to_bytes(b:contiguous())
end

describe("safetensors", function()
  local folder
  setup(function() folder = command.new_folder() end)
  teardown(command.clean)

  it("reads what the Python package wrote", function()
    local shapes = { {}, { 0, 3 }, { 5 }, { 2, 3 }, { 2, 1, 3 } }
    local tensors = st.load_file(golden .. "plain.safetensors")
    assert.are.equal(56, #tensors)
    for _, name in ipairs { "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
      "complex64" } do
      for i, shape in ipairs(shapes) do
        local t, count = tensors[("%s.%d"):format(name, i - 1)], 1
        for _, size in ipairs(shape) do count = count * size end
        assert.are.equal(torch[name], t.dtype)
        assert.are.same(shape, { t.shape:unpack() })
        local row = torch.arange(count)
        local want
        if name == "bool" then want = row:remainder(2):eq(1)
        elseif name == "complex64" then want = torch.complex(row:float(), -row:float())
        else want = row:to(torch[name]) end
        assert.is_true(torch.equal(want, t:flatten()), name)
      end
    end
    assert.are.equal("tensor([1., nan, -inf, -0.])", tostring(tensors['odd "name"\\\n é']))
  end)

  it("writes what the Python package would", function()
    local bytes = command.read(golden .. "plain.safetensors")
    local tensors = st.load(bytes)
    assert.are.equal(bytes, st.save(tensors, { format = "pt" }))
    local path = folder .. "/again.safetensors"
    st.save_file(tensors, path, { format = "pt" })
    assert.are.equal(bytes, command.read(path))
    for name, t in st.load_file(path, { backend = "pread" }):items() do assert.is_true(same(t, tensors[name]), name) end
    assert.are.equal(0, #st.load(st.save {}))
    local plain = st.load(st.save { tensors = torch.ones(1), metadata = torch.zeros(2) })
    assert.are.equal(2, #plain)
  end)

  it("opens files without reading them", function()
    local kept
    do
      local f <close> = st.safe_open(golden .. "plain.safetensors", "pt", "cpu")
      assert.are.same({ format = "pt" }, f:metadata())
      local keys = f:keys()
      assert.are.equal(56, #keys)
      assert.are.equal("bfloat16.0", keys[1])
      assert.are.equal("int64.0", f:offset_keys()[1])
      assert.are.same({ 2, 3 }, f:get_slice("int8.3"):get_shape())
      assert.are.equal("BF16", f:get_slice("bfloat16.3"):get_dtype())
      assert.are.same({ { 4. } }, f:get_slice("float32.3")["1:, 1:2"]:tolist())
      assert.are.equal(5, f:get_slice("int64.3")[1][2]:item())
      kept = f:get_tensor "float32.2"
      fails("no tensor 'float32.9'; did you mean", f.get_tensor, f, "float32.9")
      fails("no tensor", f.get_slice, f, "__metadata__")
      fails("must be a string", f.get_tensor, f, 3)
      assert.are.equal(56, #f:get_tensors())
      f:close()
      fails("has been closed", f.keys, f)
    end
    collectgarbage()
    assert.are.same({ 0., 1., 2., 3., 4. }, kept:tolist())
    kept:add_(1) -- the file stays as it is
    assert.are.equal(0., st.load_file(golden .. "plain.safetensors")["float32.2"][0]:item())
    fails("must be \"pt\"", st.safe_open, golden .. "plain.safetensors", "np")
    fails("must be \"cpu\"", st.load_file, golden .. "plain.safetensors", "cuda")
    fails("must be \"mmap\" or \"pread\"", st.load_file, golden .. "plain.safetensors", { backend = "ftp" })
  end)

  it("names dtypes that do not exist here, and reads the others", function()
    local path = golden .. "foreign.safetensors"
    do
      local f <close> = st.safe_open(path)
      assert.are.equal("F8_E4M3", f:get_slice("f8"):get_dtype())
      assert.are.same({ 1., 1. }, f:get_tensor("good"):tolist())
      assert.are.equal("torch.float8_e4m3fn", tostring(f:get_tensor("f8").dtype))
      assert.are.equal("torch.uint16", tostring(f:get_tensor("u16").dtype))
    end
    local bytes = file_of("{" .. entry("good", "F32", "1", 0, 4) .. "," .. entry("scale", "F8_E8M0", "2", 4, 6) .. "}", ("x"):rep(6))
    fails("tensor 'scale' has dtype F8_E8M0", st.load, bytes)
    fails("tensor 'scale' has dtype F8_E8M0", torch.load, bytes)
  end)

  it("reads tensors that are not aligned, and booleans that are none", function()
    local header = "{" .. entry("a", "BOOL", "3", 0, 3) .. "," .. entry("b", "F32", "2", 3, 11) .. "," ..
      entry("c", "F64", "", 11, 19) .. "}"
    for pad = 0, 7 do
      local t = st.load(file_of(header .. (" "):rep(pad), "\0\7\1" .. ("<ffd"):pack(1, 2, 3)))
      assert.are.same({ false, true, true }, t.a:tolist())
      assert.are.equal(2, t.a:long():sum():item())
      assert.are.same({ 1., 2. }, t.b:tolist())
      assert.are.equal(3., t.c:item())
    end
  end)

  it("refuses files that break a rule", function()
    local two = entry("a", "F32", "2", 0, 8)
    local function bad(pattern, header, data) fails(pattern, st.load, file_of(header, data or ("x"):rep(8))) end
    fails("it has only 0 bytes", st.load, "")
    fails("it has only 7 bytes", st.load, "1234567")
    fails("does not begin with '{'", st.load, ("\0"):rep(8))
    fails("at most 100000000 are allowed", st.load, ("\255"):rep(16))
    fails("truncated: its header should have 9 bytes", st.load, ("<I8"):pack(9) .. "{}")
    bad("does not begin with '{'", " {}")
    bad("does not begin with '{'", "[]")
    bad("not valid JSON", "{" .. two)
    bad("not valid JSON", "{" .. two .. "}}")
    bad("not valid JSON", "{" .. two .. ",}")
    bad("duplicate object key", "{" .. two .. "," .. two .. "}")
    bad("not valid JSON", '{"a\255":' .. "1}")
    bad("not valid JSON", '{"a\\u0000b":{}}')
    bad("maximum parsing depth", '{"a":' .. ("["):rep(1 << 20))
    bad("not valid JSON", "{" .. entry("a", "F32", "99999999999999999999", 0, 8) .. "}")
    bad("is no object", '{"a":1}')
    bad("has no dtype", '{"a":{}}')
    bad("has no dtype", '{"a":{"dtype":3,"shape":[2],"data_offsets":[0,8]}}')
    bad("'F31', which the format does not have", "{" .. entry("a", "F31", "2", 0, 8) .. "}")
    bad("has no shape", '{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}')
    bad("dim 0 of its shape is no size", "{" .. entry("a", "F32", "-2", 0, 8) .. "}")
    bad("dim 1 of its shape is no size", "{" .. entry("a", "F32", "1,2.0", 0, 8) .. "}")
    bad("no two positions", '{"a":{"dtype":"F32","shape":[2]}}')
    bad("no two positions", '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}')
    bad("no two positions", "{" .. entry("a", "F32", "2", -8, 0) .. "}")
    bad("ends before it begins", "{" .. entry("a", "F32", "2", 8, 0) .. "}")
    bad("do not make the 8 bytes", "{" .. entry("a", "F32", "3", 0, 8) .. "}")
    bad("do not make the 8 bytes", "{" .. entry("a", "F32", "4611686018427387904,4611686018427387906", 0, 8) .. "}")
    bad("do not make the 1 bytes", "{" .. entry("a", "F4", "3", 0, 1) .. "}")
    bad("do not make the 8 bytes", "{" .. entry("a", "F32", "0", 0, 8) .. "}")
    bad("at most 64 are supported", "{" .. entry("a", "F32", ("1,"):rep(65) .. "2", 0, 8) .. "}")
    bad("truncated: tensor 'a' ends at byte 16", "{" .. entry("a", "F32", "4", 0, 16) .. "}")
    bad("there is a hole before it", "{" .. entry("a", "F32", "1", 4, 8) .. "}")
    bad("it overlaps another", "{" .. two .. "," .. entry("b", "F32", "1", 4, 8) .. "}")
    bad("it overlaps another", "{" .. two .. "," .. entry("b", "F32", "2", 0, 8) .. "}")
    bad("8 bytes follow the last tensor", "{}")
    bad("1 bytes follow", "{" .. two .. "}", ("x"):rep(9))
    bad("__metadata__ is no object", '{"__metadata__":[]}')
    bad("__metadata__: 'a' is no text", '{"__metadata__":{"a":1}}')
    fails("No such file", st.load_file, folder .. "/none")
    fails("it is a folder", st.load_file, folder)
    fails("it is no regular file", st.load_file, "/dev/zero")
  end)

  it("survives every truncation and every changed byte", function()
    local bytes = st.save({ a = torch.arange(3), b = torch.ones(2, 2), c = torch.zeros(0) }, { k = "v" })
    for n = 0, #bytes - 1 do assert.is_false(pcall(st.load, bytes:sub(1, n))) end
    for n = 1, 8 + #bytes // 2 do
      for _, byte in ipairs { "\0", "\255", '"', "9", "[" } do
        pcall(st.load, bytes:sub(1, n - 1) .. byte .. bytes:sub(n + 1))
      end
    end
  end)

  it("refuses tensors that the format cannot hold", function()
    local x, path = torch.randn(4, 4), folder .. "/refused"
    fails("'a' and 'b' share memory", st.save_file, { a = x, b = x[0] }, path)
    assert.are.equal(2, #st.load(st.save { a = x["0:2"], b = x["2:4"] })) -- parts that do not overlap
    fails("'a' is not contiguous", st.save_file, { a = x:t() }, path)
    fails("is complex128", st.save_file, { a = x:to(torch.complex128) }, path)
    fails("is not UTF-8", st.save_file, { ["\255"] = x }, path)
    fails("zero byte", st.save_file, { ["a\0b"] = x }, path)
    fails("keeps that name", st.save_file, { __metadata__ = x }, path)
    fails("'a' must be a tensor", st.save_file, { a = 1 }, path)
    fails("names as keys", st.save_file, { x }, path)
    fails("strings to strings", st.save_file, { a = x }, path, { epoch = 3 })
    fails("is not UTF-8", st.save_file, { a = x }, path, { k = "\255" })
    fails("must be a table", st.save_file, x, path)
    assert.is_nil(io.open(path))
  end)

  it("leaves the old file when it cannot write the new one", function()
    local path = folder .. "/kept.safetensors"
    st.save_file({ a = torch.ones(2) }, path)
    local old = command.read(path)
    fails("No such file or directory", st.save_file, { a = torch.ones(2) }, folder .. "/none/x")
    fails("Is a directory", st.save_file, { a = torch.ones(2) }, folder)
    fails("No space left on device", st.save_file, { a = torch.ones(100000) }, "/dev/full")
    fails("No space left on device", st.save_file, { a = torch.ones(2) }, "/dev/full")
    -- A limit on the size of files stands for a full disk.
    local script = folder .. "/limited.lua"
    command.write(script, ([[
      local torch = require "lampad"
      local ok, message = pcall(torch.safetensors.save_file, { a = torch.ones(1 << 20) }, %q)
      print(ok, message)]]):format(path))
    local status, out = command.shell("trap '' XFSZ; ulimit -f 64; " .. command.quote(command.path) .. " "
      .. command.quote(script))
    assert.are.equal(0, status)
    assert.truthy(out:find("File too large; the file was left as it was", 1, true), out)
    assert.are.equal(old, command.read(path))
    local pipe = io.popen("ls -a " .. command.quote(folder))
    assert.is_nil(pipe:read("a"):find(".tmp", 1, true))
    pipe:close()
    -- A link stays a link, and permissions stay what they were.
    os.execute(("chmod 600 %s; ln -s kept.safetensors %s/link"):format(path, folder))
    st.save_file({ a = torch.zeros(3) }, folder .. "/link")
    assert.are.equal(3, st.load_file(path).a:numel())
    local mode = io.popen(("stat -c %%a %s; readlink %s/link"):format(path, folder)):read "a"
    assert.are.equal("600\nkept.safetensors\n", mode)
  end)

  it("survives a process that is killed while it saves", function()
    local path, script = folder .. "/killed.safetensors", folder .. "/killed.lua"
    st.save_file({ a = torch.zeros(1 << 22) }, path)
    command.write(script, ([[
      local torch = require "lampad"
      for i = 1, 1000 do torch.safetensors.save_file({ a = torch.full({ 1 << 22 }, i) }, %q) end]]):format(path))
    command.shell(("timeout -s KILL 0.7 %s %s"):format(command.quote(command.path), command.quote(script)))
    local a = st.load_file(path).a
    assert.are.equal(1 << 22, a:numel())
    assert.are.equal(a:min():item(), a:max():item())
  end)

  it("holds modules, tied weights too", function()
    local path = folder .. "/model.safetensors"
    local function model()
      local net = nn.Module()
      net.embed = nn.Embedding(5, 3)
      net.head = nn.Linear(3, 5, { bias = false })
      net.head.weight = net.embed.weight
      return net
    end
    local net, other = model(), model()
    fails("share memory", st.save_file, net:state_dict(), path)
    st.save_model(net, path, { author = "me" })
    local file <close> = st.safe_open(path)
    assert.are.same({ "embed.weight" }, file:keys())
    assert.are.same({ author = "me", ["head.weight"] = "embed.weight" }, file:metadata())
    local missing, unexpected = st.load_model(other, path)
    assert.are.same({ {}, {} }, { missing, unexpected })
    assert.is_true(torch.equal(net.embed.weight, other.head.weight))
    local small = nn.Linear(3, 5)
    fails("Missing key(s) in state_dict: \"bias\", \"weight\"", st.load_model, small, path)
    missing, unexpected = st.load_model(small, path, false)
    assert.are.same({ { "bias", "weight" }, { "embed.weight" } }, { missing, unexpected })
  end)

  it("needs memory and says so", function()
    local bytes = st.save { a = torch.ones(3), b = torch.zeros(2, 2):to(torch.bool) }
    local tensors = st.load(bytes)
    for n = 0, 60 do
      core.memory_fail_after(n)
      local ok = pcall(st.load, bytes)
      local saved, text = pcall(st.save, tensors)
      core.memory_fail_after(-1)
      if saved then assert.are.equal(bytes, text) end
      if ok and saved then break end
      assert.is_true(n < 60)
    end
    assert.are.equal(2, #st.load(bytes))
  end)
end)
