-- Checkpoints that mean harm or are damaged, built byte by byte: what hostile_checkpoints_spec.lua tries, and a seed corpus
-- for fuzzers. Each case is {name, bytes, wants}: wants is "refused", "inert" (it loads, nothing has run) or "any".
--   build/lampad tests/lua/hostile_checkpoints.lua FOLDER   writes the cases as files
local core = require "lampad.core"

local M = {}

-- --- pickles ------------------------------------------------------------------------------------------------

local function global(name) return "c" .. name:gsub("^(.*)%.", "%1\n", 1) .. "\n" end
local function str(text) return "X" .. ("<s4"):pack(text) end
local function short(text) return "\x8c" .. ("<s1"):pack(text) end
local function int(i) return "J" .. ("<i4"):pack(i) end
local function long(i) return "\x8a\x08" .. ("<i8"):pack(i) end
local function tuple(...) return "(" .. table.concat { ... } .. "t" end
local function ints(list)
  local parts = {}
  for i, n in ipairs(list) do parts[i] = (n >= -2 ^ 31 and n < 2 ^ 31) and int(n) or long(n) end
  return tuple(table.unpack(parts))
end

-- A storage of the given key, class and number of elements.
local function storage(key, class, count, id)
  return tuple(str(id or "storage"), global("torch." .. (class or "FloatStorage")), str(key or "0"), str "cpu",
    long(count or 4)) .. "Q"
end

local ordered = global "collections.OrderedDict" .. ")R"
local function tensor(at, offset, sizes, strides)
  return global "torch._utils._rebuild_tensor_v2" .. tuple(at, long(offset), ints(sizes), ints(strides), "\x89", ordered) .. "R"
end

local function pickle(body) return "\x80\x02" .. body .. "." end

-- --- archives -----------------------------------------------------------------------------------------------

-- member: {name, data, and to lie: method, crc, size, packed, at, flags, local_name, extra}
local function zip(members, lie)
  lie = lie or {}
  local parts, directory, at = {}, {}, #(lie.before or "")
  for i, m in ipairs(members) do
    local data = m.data
    local crc, size, packed = m.crc or core.crc32(data), m.size or #data, m.packed or #data
    local own = m.local_name or m.name
    local head = ("<c4I2I2I2I2I2I4I4I4I2I2"):pack("PK\3\4", 20, m.flags or 0, m.local_method or m.method or 0, 0, 0, crc,
      packed, size, #own, #(m.extra or "")) .. own .. (m.extra or "")
    directory[i] = ("<c4I2I2I2I2I2I2I4I4I4I2I2I2I2I2I4I4"):pack("PK\1\2", 20, 20, m.flags or 0, m.method or 0, 0, 0, crc,
      packed, size, #m.name, #(m.central_extra or ""), 0, 0, 0, 0, m.at or at) .. m.name .. (m.central_extra or "")
    parts[i] = head .. data
    at = at + #head + #data
  end
  local central = table.concat(directory)
  return (lie.before or "") .. table.concat(parts) .. central .. ("<c4I2I2I2I2I4I4s2"):pack("PK\5\6", 0, 0,
    lie.count or #members, lie.count or #members, lie.directory_bytes or #central, lie.directory_at or at,
    lie.comment or "") .. (lie.after or "")
end

local numbers = ("<ffff"):pack(1, 2, 3, 4)
local function archive(body, data, more)
  local members = { { name = "a/data.pkl", data = pickle(body) }, { name = "a/data/0", data = data or numbers },
    { name = "a/version", data = "3\n" } }
  for _, m in ipairs(more or {}) do members[#members + 1] = m end
  return zip(members)
end

local MAGIC = pickle("\x8a\x0a" .. "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
local function legacy(body, keys, data)
  return MAGIC .. pickle "M\xe9\x03" .. pickle "}" .. pickle(body) .. pickle(keys or "]") .. (data or "")
end

local function tar(members)
  local parts = {}
  for i, m in ipairs(members) do
    local head = m[1] .. ("\0"):rep(100 - #m[1]) .. "0000644\0" .. ("\0"):rep(16) .. (m.size or ("%011o\0"):format(#m[2]))
      .. ("\0"):rep(20) .. "0" .. ("\0"):rep(100) .. "ustar\00000"
    parts[i] = head .. ("\0"):rep(512 - #head) .. m[2] .. ("\0"):rep(-#m[2] % 512)
  end
  return table.concat(parts) .. ("\0"):rep(1024)
end

-- --- the cases ------------------------------------------------------------------------------------------------

-- Zero bytes as deflate's fixed codes pack them (RFC 1951), 158 in one: a literal, then copies of 258 bytes at distance 1, each
-- of 13 bits. Returns the packed bytes and how many they unpack to.
local function zeros(rounds)
  local bits, bytes = "110" .. "00110000" .. ("1100010100000"):rep(16), {}
  local function pack(text) return (text:gsub(("."):rep(8), function(b) return string.char(tonumber(b:reverse(), 2)) end)) end
  for i = 1, 15 do bytes[i] = pack(bits:sub(8 * i - 7, 8 * i)) end
  local period = table.concat(bytes, "", 3, 15) -- eight copies
  return bytes[1] .. bytes[2] .. period:rep(rounds) .. pack(bits:sub(17, 24) .. "00000000"), 1 + 258 * (8 * rounds + 1)
end

--- What the test files of public scanners (picklescan, fickling, modelscan) name: a call of each would run something, open a
--- file, reach the network, or fetch what does.
local callables = [[
  _pickle.loads _posixsubprocess.fork_exec asyncio.unix_events._UnixSubprocessTransport._start bdb.Bdb.run builtins.breakpoint
  builtins.compile builtins.delattr builtins.globals builtins.open builtins.vars cProfile.run code.InteractiveInterpreter
  codeop.compile_command commands.getoutput cloudpickle.loads ctypes.CDLL dill.loads distutils.file_util.write_file
  doctest.debug_script ensurepip._run_pip functools.partial functools.reduce http.client.HTTPSConnection httplib.HTTPConnection
  idlelib.run.Executive.runcode importlib.import_module joblib.load lib2to3.pgen2.grammar.Grammar.loads
  linecache.getline logging.config.listen marshal.loads multiprocessing.util.spawnv_passfds nt.system numpy.f2py.crackfortran.myeval
  numpy.testing._private.utils.runstring operator.attrgetter operator.itemgetter operator.methodcaller os.execv os.popen os.spawnv
  os.unlink pathlib.Path.write_text pdb.run pickle.loads pip.main platform.popen posix.popen profile.Profile.runctx pty.spawn
  pydoc.locate pydoc.pipepager requests.api.get runpy._run_code runpy.run_path shelve.open shutil.rmtree signal.raise_signal
  smtplib.SMTP socket.create_connection sqlite3.connect ssl.get_server_certificate sys.exit sys.setprofile tempfile.mktemp
  test.support.script_helper.assert_python_ok timeit.timeit torch._dynamo.guards.GuardBuilder.get
  torch._inductor.codecache.compile_file torch.cuda._lazy_init torch.distributed.rpc.rpc_sync
  torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression torch.jit.load torch.jit.unsupported_tensor_ops.execWrapper
  torch.ops.load_library torch.serialization.load torch.utils._config_module.ConfigModule.load_config
  torch.utils.bottleneck.__main__.run_cprofile torch.utils.collect_env.run torch.utils.cpp_extension.load_inline
  torch.utils.data.datapipes.utils.decoder.basichandlers trace.Trace.run types.CodeType types.FunctionType urllib.request.urlopen
  uuid._get_command_stdout venv.create webbrowser.open xmlrpc.client.ServerProxy zipimport.zipimporter
]]

--- cases(marker): the list; a case that Python would run makes the file of that name.
function M.cases(marker)
  local list = {}
  local function add(name, wants, bytes) list[#list + 1] = { name = name, wants = wants, bytes = bytes } end
  local function run(name, wants, body) add(name, wants, archive(body)) end
  local command = str("touch " .. marker)

  -- Every way to name or call something.
  run("reduce os.system", "inert", global "os.system" .. tuple(command) .. "R")
  run("reduce posix.system", "inert", global "posix.system" .. tuple(command) .. "R")
  run("reduce builtins.eval", "inert", global "builtins.eval" .. tuple(command) .. "R")
  run("reduce builtins.exec of Python 2", "inert", global "__builtin__.exec" .. tuple(command) .. "R")
  run("reduce builtins.getattr chain", "inert", global "builtins.getattr" .. tuple(global "os.path", str "system") .. "R"
    .. tuple(command) .. "R")
  run("reduce builtins.__import__", "inert", global "builtins.__import__" .. tuple(str "os") .. "R")
  run("reduce subprocess.Popen", "inert", global "subprocess.Popen" .. tuple(command) .. "R")
  run("reduce torch.load", "inert", global "torch.load" .. tuple(str(marker)) .. "R")
  run("reduce torch.hub.load", "inert", global "torch.hub.load" .. tuple(str "a/b", str "c") .. "R")
  run("reduce load_from_bytes", "inert", global "torch.storage._load_from_bytes" .. tuple(str "x") .. "R")
  run("reduce numpy load", "inert", global "numpy.load" .. tuple(str(marker)) .. "R")
  run("inst", "inert", "(" .. command .. "ios\nsystem\n")
  run("obj", "inert", "(" .. global "os.system" .. command .. "o")
  run("newobj", "inert", global "os.system" .. tuple(command) .. "\x81")
  run("newobj_ex", "inert", global "os.system" .. tuple(command) .. "}\x92")
  run("newobj_ex with keywords", "inert", global "os.system" .. ")" .. "}" .. str "command" .. command .. "s\x92")
  run("stack_global", "inert", short "os" .. short "system" .. "\x93" .. tuple(command) .. "R")
  run("stack_global with dots", "inert", short "os" .. short "path.join" .. "\x93" .. tuple(command) .. "R")
  run("stack_global of numbers", "refused", int(1) .. int(2) .. "\x93")
  run("build with a setstate", "inert", global "os.system" .. ")\x81" .. "}" .. str "__setstate__" .. global "os.system"
    .. "sb" .. command .. "b")
  run("build on a number", "refused", int(1) .. "}b")
  run("build on a class", "refused", global "os.system" .. "}b")
  run("extension code 1", "refused", "\x82\x01")
  run("extension code 2", "refused", "\x83\x01\x00")
  run("extension code 4", "refused", "\x84\x01\x00\x00\x00")
  run("out-of-band buffer", "refused", "\x97")
  run("readonly buffer", "refused", "]\x98")
  run("call a number", "inert", int(1) .. tuple(command) .. "R")
  run("call with no tuple", "inert", global "os.system" .. command .. "R")
  run("call a known function with a dict", "inert", global "torch._utils._rebuild_tensor_v2" .. "}R")
  run("from_type of os.system", "refused", global "torch._tensor._rebuild_from_type_v2"
    .. tuple(global "os.system", global "torch.Tensor", tuple(command), "N") .. "R")
  run("from_type of itself", "refused", global "torch._tensor._rebuild_from_type_v2"
    .. tuple(global "torch._tensor._rebuild_from_type_v2", "N", tuple("N", "N", ")", "N"), "N") .. "R")
  run("reconstructor of os.system", "inert", global "copyreg._reconstructor" .. tuple(global "os.system", "N", "N") .. "R")
  run("global with a newline trick", "inert", "cos\nsystem\r\n" .. tuple(command) .. "R")
  run("global without a name", "refused", "cos")
  run("defaultdict with a factory", "inert", global "collections.defaultdict" .. tuple(global "os.system") .. "R")
  run("bytes by another codec", "inert", global "_codecs.encode" .. tuple(command, str "rot13") .. "R")
  run("append to an object", "inert", global "os.system" .. ")\x81" .. command .. "a")
  run("set in an object", "inert", global "os.system" .. ")\x81" .. command .. int(1) .. "s")

  -- The machine.
  run("stack underflow", "refused", "0")
  run("reduce on an empty stack", "refused", "R")
  run("mark missing", "refused", "t")
  run("stops within a mark", "refused", "(" .. int(1))
  run("nothing on the stack", "refused", "")
  run("tuple below the mark", "refused", int(1) .. "(\x86")
  run("setitems of an odd number", "refused", "}(" .. int(1) .. "u")
  run("append to a number", "refused", int(1) .. int(2) .. "a")
  run("set in a list", "refused", "]" .. int(1) .. int(2) .. "s")
  run("list as a key", "refused", "}]" .. int(2) .. "s")
  run("None as a key", "any", "}N" .. int(2) .. "s")
  run("nan as a key", "any", "}G\x7f\xf8\0\0\0\0\0\0" .. int(2) .. "s")
  run("memo of nothing", "refused", "h\x05")
  run("memo number far away", "refused", "Nr\xff\xff\xff\x7f")
  run("memo number of text", "refused", "Np999999999999\n")
  run("unknown opcode", "refused", "\xff")
  run("protocol 9", "refused", "\x80\x09N")
  run("string of 4 GiB", "refused", "X\xff\xff\xff\xffa")
  run("string of 2^63", "refused", "\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa")
  run("bytes of 2^64 - 1", "refused", "\x8e" .. ("\xff"):rep(8) .. "a")
  run("bytearray of 2^40", "refused", "\x96\0\0\0\0\0\1\0\0a")
  run("negative length", "refused", "T\xff\xff\xff\xffa")
  run("long of 2 GiB", "refused", "\x8b\xff\xff\xff\x7f1")
  run("frame past the end", "refused", "\x95" .. ("\xff"):rep(8) .. "N")
  run("number without end", "refused", "I" .. ("9"):rep(5000))
  run("number of 5000 digits", "refused", "L" .. ("9"):rep(5000) .. "L\n")
  run("bad float", "refused", "Fnot a number\n")
  run("string without quotes", "refused", "Sabc\n")
  run("string of one quote", "refused", "S'\n")
  run("bad escape", "refused", "S'\\xzz'\n")
  run("bytes after the end", "refused", "N.N")
  run("deep lists", "refused", ("]"):rep(5000) .. ("a"):rep(4999))
  run("deep tuples", "refused", ")" .. ("\x85"):rep(100000))
  run("many marks", "refused", ("("):rep(200000))
  run("list in itself", "any", "]q\0h\0a")
  run("tuple in itself", "any", "](h\0q\0tq\1")
  run("dict in itself", "any", "}q\0" .. str "a" .. "h\0s")
  -- 2^40 items for a reader that copies, 41 for one that keeps what is shared.
  local bomb = { "]q\0" }
  for i = 1, 40 do bomb[#bomb + 1] = ("]q%c(h%ch%ce"):format(i, i - 1, i - 1) end
  run("memo bomb", "any", table.concat(bomb))

  -- Tensors.
  run("past the end", "refused", tensor(storage(), 0, { 5 }, { 1 }))
  run("offset past the end", "refused", tensor(storage(), 2, { 3 }, { 1 }))
  run("offset of 2^62", "refused", tensor(storage(), 1 << 62, { 1 }, { 1 }))
  run("negative offset", "refused", tensor(storage(), -1, { 1 }, { 1 }))
  run("negative stride", "refused", tensor(storage(), 3, { 4 }, { -1 }))
  run("negative size", "refused", tensor(storage(), 0, { -4 }, { 1 }))
  run("stride past the end", "refused", tensor(storage(), 0, { 2, 2 }, { 3, 2 }))
  run("sizes that overflow", "refused", tensor(storage(), 0, { 1 << 40, 1 << 40 }, { 1, 1 }))
  run("strides that overflow", "refused", tensor(storage(), 0, { 3, 3 }, { 1 << 62, 1 << 62 }))
  run("more strides than sizes", "refused", tensor(storage(), 0, { 2 }, { 1, 1 }))
  local many = {}
  for i = 1, 100 do many[i] = 1 end
  run("a hundred dims", "refused", tensor(storage(), 0, many, many))
  run("storage shorter than said", "refused", tensor(storage("0", "FloatStorage", 5), 0, { 5 }, { 1 }))
  run("storage of negative size", "refused", tensor(storage("0", "FloatStorage", -1), 0, { 1 }, { 1 }))
  run("storage of 2^60 elements", "refused", tensor(storage("0", "DoubleStorage", 1 << 60), 0, { 1 }, { 1 }))
  run("storage that is not there", "refused", tensor(storage "7", 0, { 1 }, { 1 }))
  run("storage key with a path", "refused", tensor(storage "../../etc/passwd", 0, { 1 }, { 1 }))
  run("storage key of 1000 bytes", "refused", tensor(storage(("0"):rep(1000)), 0, { 1 }, { 1 }))
  run("storage of two dtypes", "refused", tuple(tensor(storage(), 0, { 1 }, { 1 }),
    tensor(storage("0", "IntStorage"), 0, { 1 }, { 1 })))
  run("storage of no class", "refused", tensor(tuple(str "storage", str "FloatStorage", str "0", str "cpu", int(4)) .. "Q",
    0, { 1 }, { 1 }))
  run("another kind of id", "refused", tensor(storage("0", "FloatStorage", 4, "file"), 0, { 1 }, { 1 }))
  run("id of text", "refused", "P0\n")
  run("tensor of a string", "refused", tensor(str "0", 0, { 1 }, { 1 }))
  run("sizes of text", "refused", global "torch._utils._rebuild_tensor_v2"
    .. tuple(storage(), int(0), tuple(str "a"), tuple(int(1)), "\x89", ordered) .. "R")
  run("parameter of a string", "refused", global "torch._utils._rebuild_parameter" .. tuple(str "a", "\x88", ordered) .. "R")
  run("quantized", "refused", global "torch._utils._rebuild_qtensor" .. tuple(storage()) .. "R")
  run("size of text", "refused", global "torch.Size" .. tuple(tuple(str "a")) .. "R")
  run("device of a long text", "refused", global "torch.device" .. tuple(str(("x"):rep(5000))) .. "R")
  run("grad of integers", "any", global "torch._utils._rebuild_tensor_v2"
    .. tuple(storage("0", "IntStorage"), int(0), ints { 2 }, ints { 1 }, "\x88", ordered) .. "R")
  add("truths of other values than 0 and 1", "any", archive(tensor(storage("0", "BoolStorage", 4), 0, { 4 }, { 1 }),
    "\0\1\2\xff"))
  local array = global "numpy.core.multiarray._reconstruct" .. tuple(global "numpy.ndarray", tuple(int(0)), str "b") .. "R"
  local dtype = global "numpy.dtype" .. tuple(str "f4", int(0), int(1)) .. "R"
  run("numpy array shorter than said", "refused", array .. tuple(int(1), ints { 1000 }, dtype, "\x89", str "abcd") .. "b")
  run("numpy array of negative size", "refused", array .. tuple(int(1), ints { -1 }, dtype, "\x89", str "abcd") .. "b")
  run("numpy array of objects", "inert", array .. tuple(int(1), ints { 1 }, global "numpy.dtype" .. tuple(str "O8") .. "R",
    "\x89", "]") .. "b")

  -- Archives.
  local good = tensor(storage(), 0, { 4 }, { 1 })
  local first = { name = "a/data.pkl", data = pickle(good) }
  add("wrong CRC", "refused", zip { first, { name = "a/data/0", data = numbers, crc = 1 } })
  add("wrong CRC of the pickle", "refused", zip { { name = "a/data.pkl", data = pickle "N", crc = 1 } })
  add("overlapping members", "refused", zip { first, { name = "a/data/0", data = numbers },
    { name = "a/data/1", data = numbers, at = 0, local_name = "a/data.pkl" } })
  add("two members of one name", "refused", zip { first, { name = "a/data/0", data = numbers }, first })
  add("path traversal", "refused", zip { first, { name = "a/../../x", data = "x" } })
  add("absolute path", "refused", zip { first, { name = "/etc/x", data = "x" } })
  add("backslash", "refused", zip { first, { name = "a\\x", data = "x" } })
  add("zero in a name", "refused", zip { first, { name = "a/x\0y", data = "x" } })
  add("empty name", "refused", zip { first, { name = "", data = "x" } })
  add("another name in the header", "refused", zip { first, { name = "a/data/0", local_name = "a/data/9", data = numbers } })
  add("another method in the header", "refused", zip { first, { name = "a/data/0", local_method = 8, data = numbers } })
  add("member past the end", "refused", zip { first, { name = "a/data/0", data = numbers, size = 1000, packed = 1000 } })
  add("stored of two sizes", "refused", zip { first, { name = "a/data/0", data = numbers, size = 1000 } })
  add("zip bomb by its claim", "refused", zip { first, { name = "a/data/0", data = "\3\0", method = 8, size = 1 << 31 } })
  add("deflate that ends early", "refused", zip { { name = "a/data.pkl", data = "\3\0", method = 8, size = 100 } })
  add("deflate of noise", "refused", zip { { name = "a/data.pkl", data = ("\xff"):rep(50), method = 8, size = 100 } })
  add("method 99", "refused", zip { { name = "a/data.pkl", data = "x", method = 99 } })
  add("encrypted", "refused", zip { { name = "a/data.pkl", data = pickle "N", flags = 1 } })
  add("no data.pkl", "refused", zip { { name = "a/x", data = "x" } })
  add("empty archive", "refused", zip {})
  add("directory outside", "refused", zip({ first }, { directory_at = 1 << 30 }))
  add("directory too long", "refused", zip({ first }, { directory_bytes = 1 << 20 }))
  add("more members than said", "refused", zip({ first, { name = "a/data/0", data = numbers } }, { count = 1 }))
  add("fewer members than said", "refused", zip({ first }, { count = 3 }))
  add("bytes before it", "refused", zip({ first }, { before = "PK\3\4" .. ("x"):rep(60), directory_at = 30 }))
  add("bytes after it", "refused", zip({ first }, { after = "x" }))
  add("cut in the middle", "refused", (zip { first, { name = "a/data/0", data = numbers } }):sub(1, 120))
  add("zip64 without its field", "refused", zip { { name = "a/data.pkl", data = pickle "N", size = 0xffffffff,
    packed = 0xffffffff } })
  add("zip64 field too short", "refused", zip { { name = "a/data.pkl", data = pickle "N", size = 0xffffffff,
    packed = 0xffffffff, central_extra = "\1\0\8\0" .. ("\0"):rep(8) } })
  add("zip64 field of 2^64 - 1", "refused", zip { { name = "a/data.pkl", data = pickle "N", size = 0xffffffff,
    packed = 0xffffffff, central_extra = "\1\0\x10\0" .. ("\xff"):rep(16) } })
  add("extra field too long", "refused", zip { { name = "a/data.pkl", data = pickle "N", central_extra = "\1\0\xff\xff" } })
  add("unknown byte order", "refused", archive("N", nil, { { name = "a/byteorder", data = "middle" } }))
  add("constants that are damaged", "refused", archive("N", nil, { { name = "a/constants.pkl", data = "\x80" } }))

  -- The old formats.
  add("plain pickle of os.system", "refused", pickle(global "os.system" .. tuple(command) .. "R") .. "\0")
  add("old format of os.system", "inert", legacy(global "os.system" .. tuple(command) .. "R"))
  add("old format of a class with its source", "inert", legacy(tuple(str "module", global "a.Net", str "net.py",
    str "import os") .. "Q)\x81"))
  local old = tensor(tuple(str "storage", global "torch.FloatStorage", str "0", str "cpu", int(4), "N") .. "Q", 0, { 4 }, { 1 })
  local eight = ("<i8"):pack(4)
  add("old format without the bytes", "refused", legacy(old, "]" .. str "0" .. "a"))
  add("old format with too few bytes", "refused", legacy(old, "]" .. str "0" .. "a", eight .. "abc"))
  add("old format with another size", "refused", legacy(old, "]" .. str "0" .. "a", ("<i8"):pack(1 << 40) .. numbers))
  add("old format that lists no storage", "refused", legacy(old, "]", eight .. numbers))
  add("old format that lists another", "refused", legacy(old, "]" .. str "1" .. "a", eight .. numbers))
  add("old format of a huge storage", "refused", legacy(tensor(storage("0", "FloatStorage", 1 << 40), 0, { 4 }, { 1 })))
  add("old format, view past the end", "refused", legacy(tensor(tuple(str "storage", global "torch.FloatStorage", str "0",
    str "cpu", int(4), tuple(str "v", int(3), int(3))) .. "Q", 0, { 4 }, { 1 }), "]" .. str "0" .. "a", eight .. numbers))
  add("old format, bad version", "refused", MAGIC .. pickle "K\1" .. "\0")
  add("old format, cut", "refused", MAGIC .. "\0")
  local described = pickle "K\1" .. pickle(tuple(int(1), str "cpu", global "torch.FloatStorage"))
  add("tar of nothing", "refused", tar { { "x", "y" } })
  add("tar of os.system", "inert", tar { { "storages", pickle "K\0" .. pickle "]" }, { "tensors", pickle "K\0" },
    { "pickle", pickle(global "os.system" .. tuple(command) .. "R") } })
  add("tar of a huge storage", "refused", tar { { "storages", described .. ("<i8"):pack(1 << 50) }, { "tensors", pickle "K\0" },
    { "pickle", pickle "N" } })
  add("tar of many storages", "refused", tar { { "storages", pickle("\x8a\x08" .. ("<i8"):pack(1 << 60)) }, { "pickle",
    pickle "N" } })
  add("tar, view past the end", "refused", tar { { "storages", described .. eight .. numbers
    .. pickle("]" .. tuple(int(2), int(1), int(2), int(9)) .. "a") }, { "tensors", pickle "K\0" }, { "pickle", pickle "N" } })
  add("tar, tensor past the end", "refused", tar { { "storages", described .. eight .. numbers .. pickle "]" },
    { "tensors", pickle "K\1" .. pickle(tuple(int(5), int(1), "N")) .. ("<i4I4i8i8i8"):pack(1, 0, 9, 1, 0) },
    { "pickle", pickle(str "5" .. "Q") } })
  add("tar, tensor of many dims", "refused", tar { { "storages", described .. eight .. numbers .. pickle "]" },
    { "tensors", pickle "K\1" .. pickle(tuple(int(5), int(1), "N")) .. ("<i4I4"):pack(1 << 30, 0) },
    { "pickle", pickle "N" } })
  add("tar of a bad size", "refused", tar { { "storages", "x", size = "77777777777\0" } })
  -- --- as public scanners' test files have it
  for name in callables:gmatch "%S+" do
    run("reduce " .. name, "inert", global(name) .. tuple(command) .. "R")
    run("stack_global " .. name, "inert", short(name:match "^(.*)%.") .. short(name:match "[^.]*$") .. "\x93" .. command .. "\x85R")
  end
  local payload = global "os.system" .. tuple(command) .. "R"
  run("protocol 0 obj", "inert", "(cos\nsystem\nS'touch " .. marker .. "'\no")
  run("protocol 0 reduce", "inert", "cposix\nsystem\np0\n(Vtouch " .. marker .. "\np1\ntp2\nRp3\n")
  run("names with escapes", "inert", "V\\u006fs\n" .. "V\\u0073ystem\n\x93" .. tuple(command) .. "R")
  run("names of the memo", "inert", short "system" .. "\x940" .. short "os" .. "\x940h\1h\0\x93" .. tuple(command) .. "R")
  run("names of bytes", "refused", "C\2osC\6system\x93")
  run("names that a call joins", "refused", global "builtins.getattr" .. tuple(str "", str "join") .. "R"
    .. tuple(tuple(str "o", str "s")) .. "R" .. short "system" .. "\x93")
  run("names that are no UTF-8", "any", "cos\xff\xfe\nsys\x80tem\n" .. tuple(command) .. "R")
  run("name with zeros", "any", short "os\0" .. short "system\0x" .. "\x93" .. tuple(command) .. "R")
  run("name of no bytes", "inert", "c\n\n" .. tuple(command) .. "R")
  run("name of 100,000 bytes", "inert", "c" .. ("a"):rep(100000) .. "\nb\n)R")
  run("call that is taken off again", "any", payload .. "0N")
  run("calls above a mark, taken off", "any", "(" .. payload .. payload .. "1N")
  run("item set in a module", "refused", global "sys.modules" .. str "os" .. global "posix.system" .. "s")
  run("modules of sys overridden", "inert", global "builtins.getattr" .. tuple(global "sys.modules", str "__setitem__") .. "R"
    .. tuple(str "sys", global "builtins.eval") .. "R")
  run("call of a call of a call", "inert", ")" .. global "a.b" .. ")R" .. ")R" .. ")R" .. "\x86")
  run("call as a key", "any", "}" .. payload .. int(1) .. "s")
  run("call as a tuple's item and a set's", "any", "(" .. payload .. tuple(payload) .. "\x8f(" .. payload .. "\x90t")
  run("call as state of a dict", "any", "}" .. payload .. "b")
  run("call as state of an OrderedDict", "any", ordered .. payload .. "b")
  run("call as state of a tensor", "any", tensor(storage(), 0, { 4 }, { 1 }) .. payload .. "b")
  run("call as a tensor's hooks", "any", global "torch._utils._rebuild_tensor_v2"
    .. tuple(storage(), int(0), ints { 4 }, ints { 1 }, "\x89", payload) .. "R")
  run("call as a tensor's metadata", "any", global "torch._utils._rebuild_tensor_v2"
    .. tuple(storage(), int(0), ints { 4 }, ints { 1 }, "\x89", ordered, payload) .. "R")
  run("call as a tensor's storage", "refused", global "torch._utils._rebuild_tensor_v2"
    .. tuple(payload, int(0), ints { 4 }, ints { 1 }, "\x89", ordered) .. "R")
  run("call as a tensor's sizes", "refused", global "torch._utils._rebuild_tensor_v2"
    .. tuple(storage(), int(0), payload, ints { 1 }, "\x89", ordered) .. "R")
  run("call as a tensor's offset", "refused", global "torch._utils._rebuild_tensor_v2"
    .. tuple(storage(), payload, ints { 1 }, ints { 1 }, "\x89", ordered) .. "R")
  run("call as a Parameter's state", "any", global "torch._utils._rebuild_parameter_with_state"
    .. tuple(tensor(storage(), 0, { 4 }, { 1 }), "\x88", ordered, payload) .. "R")
  run("call as a storage's class", "refused", tensor(tuple(str "storage", payload, str "0", str "cpu", int(4)) .. "Q", 0, { 4 }, { 1 }))
  run("call as a storage's key", "refused", tensor(tuple(str "storage", global "torch.FloatStorage", payload, str "cpu", int(4)) .. "Q",
    0, { 4 }, { 1 }))
  run("call as a storage's device", "any", tensor(tuple(str "storage", global "torch.FloatStorage", str "0", payload, int(4)) .. "Q",
    0, { 4 }, { 1 }))
  run("call as a storage's size", "refused", tensor(tuple(str "storage", global "torch.FloatStorage", str "0", str "cpu", payload) .. "Q",
    0, { 4 }, { 1 }))
  run("call kept apart", "refused", payload .. "Q")
  run("call as a numpy dtype", "any", array .. tuple(int(1), ints { 1 }, payload, "\x89", str "abcd") .. "b")
  run("call as a numpy array's class", "inert", global "numpy.core.multiarray._reconstruct" .. tuple(payload, tuple(int(0)), str "b") .. "R")
  run("numpy scalar of an object", "inert", global "numpy.core.multiarray.scalar" .. tuple(global "numpy.dtype" .. tuple(str "O8") .. "R",
    payload) .. "R")
  run("class with a metaclass of six", "inert", global "six.with_metaclass" .. tuple(global "builtins.type", payload) .. "R")
  run("type that is made anew", "inert", global "builtins.type" .. tuple(str "T", tuple(global "builtins.object"), "}" .. str "__reduce__"
    .. global "os.system" .. "s") .. "R)\x81")
  run("code object", "inert", global "types.FunctionType" .. tuple(global "marshal.loads" .. tuple("B\4\0\0\0\xe3\0\0\0") .. "R", "}") .. "R)R")
  run("printing to a file", "inert", global "builtins.print" .. tuple(command) .. "}" .. str "file" .. global "builtins.open"
    .. tuple(str(marker), str "w") .. "R" .. "s\x92")
  run("a pickle in a pickle", "inert", global "pickle.loads" .. tuple("C" .. ("s1"):pack(pickle "N")) .. "R")
  run("a checkpoint in a checkpoint", "inert", global "torch.storage._load_from_bytes" .. tuple("B" .. ("<s4"):pack(archive(payload))) .. "R")
  run("a second pickle behind the first", "refused", "N." .. payload)
  run("a mark in front of all", "refused", "(" .. payload)

  -- Where a checkpoint has more than one pickle.
  add("old format, call as the magic number", "refused", pickle(payload) .. pickle "M\xe9\x03" .. pickle "}" .. pickle "N" .. pickle "]")
  add("old format, call that gives the magic number", "refused", pickle(global "builtins.int" .. tuple(str "0x1950a86a20f9469cfc6c") .. "R")
    .. pickle "M\xe9\x03" .. pickle "}" .. pickle "N" .. pickle "]")
  add("old format, call as the version", "refused", MAGIC .. pickle(payload) .. pickle "}" .. pickle "N" .. pickle "]")
  add("old format, call as the machine's description", "any", MAGIC .. pickle "M\xe9\x03" .. pickle(payload) .. pickle "N" .. pickle "]")
  add("old format, call as the list of storages", "refused", legacy("N", payload))
  add("old format, pickle behind the last", "any", legacy("N", "]", pickle(payload)))
  add("constants that call", "inert", archive("N", nil, { { name = "a/constants.pkl", data = pickle(payload) } }))
  add("pickles that nobody asks for", "any", archive("N", nil, { { name = "a/evil.pkl", data = pickle(payload) },
    { name = "a/code/__torch__.py", data = "import os" }, { name = "a/attributes.pkl", data = pickle(payload) } }))
  add("two data.pkl", "any", zip { { name = "a/data.pkl", data = pickle "N" }, { name = "b/c/data.pkl", data = pickle(payload) } })
  add("data.pkl at the top", "inert", zip { { name = "data.pkl", data = pickle(payload) }, { name = "version", data = "3\n" } })
  add("call as the byte order", "refused", archive("N", nil, { { name = "a/byteorder", data = pickle(payload) } }))
  add("archive in an archive", "refused", zip { { name = "a.pt", data = archive(payload) } })
  add("array of objects", "refused", "\x93NUMPY\1\0\x56\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    .. (" "):rep(34) .. "\n" .. pickle(payload))
  add("archive of an array of objects", "refused", zip { { name = "a.npy", data = "\x93NUMPY\1\0\x56\0{'descr': '|O', "
    .. "'fortran_order': False, 'shape': (1,), }" .. (" "):rep(34) .. "\n" .. pickle(payload) } })
  add("pickle under another name", "refused", "\x80\4" .. payload .. ".")
  add("pickle without its protocol", "refused", payload .. ".")
  add("joblib's compressed pickle", "refused", "\x78\x9c\1\2\0\xfd\xff\x80\4\0")

  -- More that an archive can say.
  for _, flag in ipairs { 0x20, 0x40, 0x2000 } do
    add(("flag 0x%x in the directory"):format(flag), "refused", zip { { name = "a/data.pkl", data = pickle(payload), flags = flag } })
  end
  add("archive of two disks", "refused", ((zip { { name = "a/data.pkl", data = pickle "N" } }):gsub("PK\5\6\0\0", "PK\5\6\1\0")))
  local inner = zip { { name = "a/data.pkl", data = pickle(payload) } }
  add("archive in the comment of another", "refused", zip({ { name = "a/data.pkl", data = pickle "N" } }, { comment = inner }))
  add("two archives one after the other", "refused", zip { { name = "a/data.pkl", data = pickle "N" } } .. inner)
  add("member within another's bytes", "refused", zip { { name = "a/data.pkl", data = pickle "N" },
    { name = "a/data/0", data = "PK\3\4" .. ("\0"):rep(22) .. "\8\0\0\0a/data/1xy" }, { name = "a/data/1", data = "xy", at = 80 } })
  local bomb_data, bomb_bytes = zeros(300000)
  add("storage of 619 MB in 4", "refused", archive(tensor(storage("1", "ByteStorage", bomb_bytes), 0, { 1 }, { 1 }), nil,
    { { name = "a/data/1", data = bomb_data, method = 8, size = bomb_bytes, crc = 0 } }))
  add("pickle of 619 MB in 4", "refused", zip { { name = "a/data.pkl", data = bomb_data, method = 8, size = bomb_bytes, crc = 0 } })
  bomb_data, bomb_bytes = zeros(2000)
  add("pickle of 4 MB of zeros in 26 KB", "refused", zip { { name = "a/data.pkl", data = bomb_data, method = 8, size = bomb_bytes,
    crc = core.crc32(("\0"):rep(bomb_bytes)) } })

  -- Much from little.
  local marks = ("("):rep(100000) .. ("t"):rep(100000)
  run("tuples a hundred thousand deep", "refused", marks)
  run("calls five thousand deep", "refused", ("ca\nb\n("):rep(5000) .. ("tR"):rep(5000))
  run("states five thousand deep", "refused", ("ca\nb\n)R"):rep(5000) .. ("b"):rep(4999))
  run("dicts five thousand deep", "refused", ("}K\1"):rep(5000) .. "N" .. ("s"):rep(5000))
  run("object whose state is itself", "any", "ca\nb\n)Rq\0h\0b")
  run("object whose arguments hold it", "any", "ca\nb\n](q\0h\0eR")
  run("tensor whose state is itself", "any", tensor(storage(), 0, { 4 }, { 1 }) .. "q\0h\0b")
  run("frozenset as its own member's key", "any", "(K\1\x91q\0}h\0h\0s")
  run("a number of 255 bytes", "any", "\x8a\xff" .. ("\x7f"):rep(255))
  run("a list copied without end", "refused", "(" .. ("N"):rep(100000) .. "lq\0" .. ("cbuiltins\nlist\nh\0\x85R"):rep(20000))
  run("bytes copied without end", "refused", "X\64\66\15\0" .. ("a"):rep(1000000) .. "q\0"
    .. ("c_codecs\nencode\nh\0X\6\0\0\0latin1\x86R"):rep(3000))
  run("arrays copied without end", "refused", "B\64\66\15\0" .. ("a"):rep(1000000) .. "q\0" .. dtype .. "q\1"
    .. ("cnumpy.core.numeric\n_frombuffer\n(h\0h\1(J\x90\xd0\3\0tX\1\0\0\0CtR"):rep(3000))
  run("tensors without end over nothing", "any", "(" .. (tensor(storage("9", "FloatStorage", 0), 0, { 0 }, { 1 })):rep(1000) .. "t")
  run("a tensor of 2^60 elements that are one", "any", tensor(storage(), 0, { 1 << 30, 1 << 30 }, { 0, 0 }))

  add("a text", "refused", "hello\0")
  add("zeros", "refused", ("\0"):rep(4096))
  return list
end

if arg and arg[0] and arg[0]:find("hostile_checkpoints%.lua$") then
  for i, case in ipairs(M.cases "hostile-marker") do
    local file <close> = assert(io.open(("%s/%03d.pt"):format(arg[1] or ".", i), "wb"))
    file:write(case.bytes)
  end
end

return M
