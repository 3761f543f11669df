-- torch.onnx: models built byte by byte, what the loader says of them, broken files, real networks.
local torch = require "lampad"
local onnx = torch.onnx

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local root = here .. "/../.."
local command = dofile(here .. "/command.lua")
local build = dofile(root .. "/tests/onnx/build.lua")

local function floats(...) return ("<" .. ("f"):rep(select("#", ...))):pack(...) end

-- y = relu(x w + b) for x [n, 2], w [2, 3]
local function dense()
  return {
    name = "dense",
    inputs = { { "x", "float32", { "n", 2 } } }, outputs = { { "y", "float32", { "n", 3 } } },
    nodes = {
      { "MatMul", { "x", "w" }, { "xw" } }, { "Add", { "xw", "b" }, { "sum" } }, { "Relu", { "sum" }, { "y" } },
    },
    tensors = {
      { name = "w", type = "float32", dims = { 2, 3 }, raw = floats(1, 2, 3, 4, 5, 6) },
      { name = "b", type = "float32", dims = { 3 }, raw = floats(-5, 0, 0.5) },
    },
    fields = build.bytes(14, build.bytes(1, "author") .. build.bytes(2, "spec")),
  }
end

-- A model of one node.
local function single(node, inputs, outputs, more)
  local m = more or {}
  m.nodes, m.inputs, m.outputs = { node }, inputs, outputs
  return onnx.load(build.model(m))
end

describe("torch.onnx.load", function()
  teardown(command.clean)

  it("gives a model that can be called and tells of itself", function()
    local model = onnx.load(build.model(dense()))
    local x = torch.tensor { { 1.0, 0.0 }, { 0.0, 1.0 } }
    local expected = { { 0, 2, 3.5 }, { 0, 5, 6.5 } }
    assert.same(expected, model(x):tolist())
    assert.same(expected, model { x = x }:tolist())
    assert.equal("dense", model.name)
    assert.equal("spec", model.producer_name)
    assert.equal(8, model.ir_version)
    assert.equal(17, model.opset[""])
    assert.same({ author = "spec" }, model.metadata)
    assert.same({ { name = "x", type = "float32", shape = { "n", 2 } } }, model.inputs)
    assert.same({ { name = "y", type = "float32", shape = { "n", 3 } } }, model.outputs)
    assert.equal("ONNX model 'dense' by spec, opset 17, 3 nodes\n  input   x: float32 [n, 2]\n  output  y: float32 [n, 3]",
      tostring(model))
  end)

  it("reads files, and data that lies in other files of the folder", function()
    local folder = command.new_folder()
    command.write(folder .. "/dense.onnx", build.model(dense()))
    assert.same({ { 0, 2, 3.5 } }, onnx.load(folder .. "/dense.onnx")(torch.tensor { { 1.0, 0.0 } }):tolist())

    command.write(folder .. "/weights.bin", floats(9, 9) .. floats(1, 2, 3, 4, 5, 6))
    local function external(location, offset)
      local m = dense()
      local function entry(key, v) return build.bytes(13, build.bytes(1, key) .. build.bytes(2, v)) end
      m.tensors[1].raw = nil
      m.tensors[1].fields = entry("location", location) .. entry("offset", offset or "8") .. entry("length", "24") .. build.int(14, 1)
      return build.model(m)
    end
    command.write(folder .. "/outside.onnx", external "weights.bin")
    assert.same({ { 0, 2, 3.5 } }, onnx.load(folder .. "/outside.onnx")(torch.tensor { { 1.0, 0.0 } }):tolist())
    local function fails(location, message, offset)
      command.write(folder .. "/outside.onnx", external(location, offset))
      assert.error_matches(function() onnx.load(folder .. "/outside.onnx") end, message)
    end
    fails("../weights.bin", "not in the model's folder")
    fails("/etc/passwd", "not in the model's folder")
    fails("a/../../weights.bin", "not in the model's folder")
    fails("absent.bin", "cannot open")
    fails("weights.bin", "too short", "16")
    fails("weights.bin", "too short", "-8")
    assert.error_matches(function() onnx.load(external "weights.bin") end, "load the model by its path")
    assert.error_matches(function() onnx.load "/nonexistent.onnx" end, "onnx.load: cannot open /nonexistent.onnx")
    assert.error_matches(function() onnx.load(3) end, "argument 'f' must be a path or the bytes of a file, got number %(3%)")
  end)

  it("names what is wrong with a call", function()
    local model = onnx.load(build.model(dense()))
    local function fails(message, ...)
      local arguments = table.pack(...)
      assert.error_matches(function() model(table.unpack(arguments, 1, arguments.n)) end, message)
    end
    fails("input 'x' is missing")
    fails("takes 1 input, got 2", torch.ones(1, 2), torch.ones(1, 2))
    fails("unknown argument 'z'; did you mean 'x'", { x = torch.ones(1, 2), z = torch.ones(1) })
    fails("input 'x' must be float32, got int64", torch.tensor { { 1, 2 } })
    fails("input 'x' must be float32, got string %('text'%)", "text")
    fails("input x: float32 %[n, 2%] does not fit a tensor of sizes %[1, 3%]", torch.ones(1, 3))
    local m = dense()
    m.nodes[2][2] = { "xw", "x" }
    model = onnx.load(build.model(m))
    fails("add: shapes %[4, 3%] and %[4, 2%] .*in Add node 'sum'", torch.ones(4, 2))
  end)

  it("passes gradients to its inputs", function()
    local x = torch.ones(1, 2):requires_grad_()
    onnx.load(build.model(dense()))(x):sum():backward()
    assert.same({ { 5, 11 } }, x.grad:tolist())
  end)

  it("keeps types that torch lacks in wider ones", function()
    local model = single({ "Add", { "a", "b" }, { "c" } }, { { "a", "uint16", { 2 } }, { "b", "uint16", { 2 } } },
      { { "c", "uint16", { 2 } } })
    local c = model(torch.tensor({ 65535, 3 }, { dtype = torch.int32 }), torch.tensor({ 2, 4 }, { dtype = torch.int32 }))
    assert.same({ 1, 7 }, c:tolist())
    assert.equal(torch.int32, c.dtype)
    assert.error_matches(function() model(torch.ones(2), torch.ones(2)) end, "must be uint16 %(held in torch.int32%), got float32")

    model = single({ "Div", { "a", "b" }, { "c" } }, { { "a", "uint64" }, { "b", "uint64" } }, { { "c", "uint64" } })
    local function divide(a, b) return model(torch.tensor { a }, torch.tensor { b }):item() end
    assert.equal(math.maxinteger, divide(-1, 2)) -- 2^64 - 1 over 2
    assert.equal(1, divide(-1, -2))
    assert.equal(0, divide(5, -1))
    assert.equal(3, divide(-1, 0x5555555555555555))
  end)

  it("takes and gives strings as tables", function()
    local model = single({ "StringConcat", { "a", "b" }, { "c" } }, { { "a", "string" }, { "b", "string" } }, { { "c", "string" } },
      { opset = 20 })
    assert.same({ { "ax", "bx" }, { "cx", "dx" } }, model({ { "a", "b" }, { "c", "d" } }, { "x" }))
    model = single({ "Transpose", { "a" }, { "c" } }, { { "a", "string" } }, { { "c", "string" } })
    assert.same({ { "a", "c" }, { "b", "d" } }, model { { "a", "b" }, { "c", "d" } })
    assert.error_matches(function() model { { "a" }, "b" } end, "input 'a' must be string")
  end)

  it("runs subgraphs and functions", function()
    -- if x > 0 then x + k else k, where k is seen from outside
    local function branch(name, nodes) return { graph = build.graph { name = name, nodes = nodes, outputs = { { name, "float32" } } } } end
    local model = onnx.load(build.model {
      inputs = { { "x", "float32", {} } }, outputs = { { "y", "float32" } },
      tensors = { { name = "k", type = "float32", dims = {}, raw = floats(10) }, { name = "zero", type = "float32", raw = floats(0) } },
      nodes = {
        { "Greater", { "x", "zero" }, { "positive" } },
        { "If", { "positive" }, { "y" }, {
          then_branch = branch("t", { { "Add", { "x", "k" }, { "t" } } }), else_branch = branch("e", { { "Identity", { "k" }, { "e" } } }),
        } },
      },
    })
    assert.equal(12, model(torch.tensor(2.0)):item())
    assert.equal(10, model(torch.tensor(-2.0)):item())

    local function with_functions(functions)
      return build.model {
        inputs = { { "x", "float32" } }, outputs = { { "y", "float32" } }, functions = functions,
        nodes = { { "Leaky", { "x" }, { "y" }, { slope = 0.5 }, domain = "own" } },
      }
    end
    local leaky = { name = "Leaky", domain = "own", inputs = { "a" }, outputs = { "b" }, attributes = { "slope" },
      nodes = { { "LeakyRelu", { "a" }, { "b" }, { alpha = { ref = "slope", type = 1 } } } } }
    assert.same({ -1, 4 }, onnx.load(with_functions { leaky })(torch.tensor { -2.0, 4.0 }):tolist())

    -- A function that is handed a graph, which sees the names around the call.
    local twice = { name = "Twice", domain = "own", inputs = { "a" }, outputs = { "b" }, attributes = { "body" }, nodes = {
      { "Constant", {}, { "two" }, { value_int = 2 } },
      { "Loop", { "two", "", "a" }, { "b" }, { body = { ref = "body", type = 5 } } } } }
    local loop = build.graph { inputs = { { "i", "int64" }, { "c", "bool" }, { "v", "float32" } }, nodes = {
      { "Identity", { "c" }, { "c2" } }, { "Mul", { "v", "k" }, { "v2" } } }, outputs = { { "c2", "bool" }, { "v2", "float32" } } }
    assert.same({ 300 }, onnx.load(build.model { inputs = { { "x", "float32" } }, outputs = { { "y", "float32" } },
      functions = { twice }, tensors = { { name = "ten", type = "float32", raw = floats(10) } }, nodes = {
        { "Identity", { "ten" }, { "k" } }, { "Twice", { "x" }, { "y" }, { body = { graph = loop } }, domain = "own" } },
    })(torch.tensor { 3.0 }):tolist())

    leaky.nodes = { { "Leaky", { "a" }, { "b" }, domain = "own" } }
    assert.error_matches(function() onnx.load(with_functions { leaky }) end, "functions call each other more than 100 deep")
    -- Thirty functions, each of which calls the next one twice: 2^30 nodes.
    local many = {}
    for i = 1, 30 do
      local following = i < 30 and "F" .. i + 1 or "F30x"
      many[i] = { name = i == 1 and "Leaky" or "F" .. i, domain = "own", inputs = { "a" }, outputs = { "c" }, nodes = {
        { following, { "a" }, { "b" }, domain = "own" }, { following, { "b" }, { "c" }, domain = "own" } } }
    end
    assert.error_matches(function() onnx.load(with_functions(many)) end, "more than 100000 nodes in calls of functions")
  end)

  it("follows the definitions where the node tests do not look", function()
    -- A start before the first element with a negative step is moved to the first element.
    local model = single({ "Slice", { "x", "from", "to", "axes", "steps" }, { "y" } },
      { { "x", "float32" }, { "from", "int64" }, { "to", "int64" }, { "axes", "int64" }, { "steps", "int64" } }, { { "y", "float32" } })
    local function slice(from, to, step)
      return model(torch.arange(5.0), torch.tensor { from }, torch.tensor { to }, torch.tensor { 0 }, torch.tensor { step }):tolist()
    end
    assert.same({ 0 }, slice(-8, math.mininteger, -3))
    assert.same({ 4, 2, 0 }, slice(9, math.mininteger, -2))
    assert.same({}, slice(3, 1, 1))
    -- Aligned corners span the whole length of the result, as in PyTorch.
    model = single({ "Resize", { "x", "", "scales" }, { "y" }, { mode = "linear", coordinate_transformation_mode = "align_corners" } },
      { { "x", "float32" }, { "scales", "float32" } }, { { "y", "float32" } })
    assert.same({ 0, 1, 2, 3 }, model(torch.tensor { 0.0, 3.0 }, torch.tensor { 2.2 }):tolist())
  end)

  it("has the operators that no published case tests", function()
    local function run(op, attributes, ...)
      local given, inputs, names = { ... }, {}, {}
      for i, v in ipairs(given) do
        names[i] = "i" .. i
        inputs[i] = { names[i], tostring(v.dtype):match "%a+%d*$" }
      end
      return single({ op, names, { "y" }, attributes }, inputs, { { "y", "float32" } }, { opset = 15 })(...)
    end
    local picture = torch.arange(16.0):reshape(1, 1, 4, 4)
    assert.same({ { { { 5, 7 }, { 13, 15 } } } },
      run("MaxRoiPool", { pooled_shape = { 2, 2 } }, picture, torch.tensor { { 0.0, 0, 0, 3, 3 } }):tolist())
    assert.equal(120, run("GlobalLpPool", { p = 1 }, picture):item())
    for _, op in ipairs { "RandomNormal", "RandomUniform" } do
      local first = run(op, { shape = { 100 }, seed = 3.0 })
      assert.is_true(torch.equal(first, run(op, { shape = { 100 }, seed = 3.0 })))
      assert.is_false(torch.equal(first, run(op, { shape = { 100 }, seed = 4.0 })))
    end
    assert.equal(torch.float64, run("RandomNormalLike", { dtype = build.codes.float64 }, picture).dtype)
    assert.same({ 0, 1, 1 }, run("Bernoulli", {}, torch.tensor { 0.0, 1.0, 1.0 }):tolist())
    assert.same({ { 1, 1, 1 } }, run("Multinomial", { sample_size = 3 }, torch.tensor { { -1000.0, 0, -1000 } }):tolist())
    local dropped = run("Dropout", { seed = 1 }, torch.ones(1000), torch.tensor(0.25), torch.tensor(true))
    local kept = dropped:count_nonzero():item()
    assert.is_true(kept > 700 and kept < 800)
    assert.is_true(math.abs(dropped:max():item() - 4 / 3) < 1e-6)
  end)

  it("refuses graphs that cannot run", function()
    local function fails(node, message, more)
      assert.error_matches(function()
        single(node, { { "x", "float32" } }, { { "y", "float32" } }, more)
      end, message)
    end
    fails({ "Relu", { "q" }, { "y" } }, "Relu node 'y' reads 'q', which nothing before it makes")
    fails({ "Relu", { "x" }, { "z" } }, "the output of graph 'g' reads 'y', which nothing before it makes")
    fails({ "Add", { "x" }, { "y" } }, "Add node 'y' has 1 inputs, expected 2")
    fails({ "Unsqueeze", { "x" }, { "y" } }, "Unsqueeze node 'y' has 1 inputs, expected 2")
    fails({ "FusedMatMul", { "x" }, { "y" }, domain = "com.microsoft" },
      "needs operators that are not there: com.microsoft.FusedMatMul %(1%)")
    local model = single({ "Flatten", { "x" }, { "y" }, { axis = "a" } }, { { "x", "float32" } }, { { "y", "float32" } })
    assert.error_matches(function() model(torch.ones(2)) end, "attribute 'axis' of Flatten must be like 1, got string %('a'%)")
    model = single({ "Flatten", { "x" }, { "y" }, { axis = 7 } }, { { "x", "float32" } }, { { "y", "float32" } })
    assert.error_matches(function() model(torch.ones(2)) end, "axis must be in %[%-2, 1%], got 7\n  in Flatten node 'y'")
  end)

  it("finds broken tensors", function()
    local function fails(tensor, message)
      tensor.name = "w"
      local m = dense()
      m.tensors[1] = tensor
      assert.error_matches(function() onnx.load(build.model(m)) end, message)
    end
    fails({ type = "float32", dims = { 2, 3 }, raw = floats(1, 2) }, "tensor 'w' %(float32, sizes {2, 3}%) has 8 bytes of data, expected 24")
    fails({ type = "float32", dims = { -1 }, raw = "" }, "has the negative size %-1")
    fails({ type = "float32", dims = { 1 << 40, 1 << 40 }, raw = "" }, "more than 2^56 elements")
    fails({ type = "float32", dims = { 1 << 40 }, raw = "" }, "has 0 bytes of data")
    fails({ type = 99, dims = { 1 }, raw = "" }, "unknown element type 99")
    fails({ type = "string", dims = { 2 }, fields = build.bytes(6, "a") }, "has 1 strings, expected 2")
    local many = {}
    for i = 1, 65 do many[i] = 1 end
    fails({ type = "float32", dims = many, raw = floats(1) }, "65 dimensions")
  end)

  it("finds truncation, whatever the place", function()
    local bytes = build.model(dense())
    for length = 1, #bytes - 1 do
      local ok, err = pcall(onnx.load, bytes:sub(1, length))
      -- Up to the end of a field a file is whole, but then it lacks what the graph needs.
      if not ok then assert.matches("onnx.load: ", err) end
    end
    assert.error_matches(function() onnx.load(bytes:sub(1, 60)) end,
      "onnx.load: corrupted or truncated: a field of %d+ bytes, where %d+ are left, at byte %d+")
  end)

  it("survives bytes that were changed", function()
    local bytes = build.model(dense())
    local seed = os.time()
    math.randomseed(seed)
    for at = 1, #bytes do
      local changed = bytes:sub(1, at - 1) .. string.char(math.random(0, 255)) .. bytes:sub(at + 1)
      local ok, model = pcall(onnx.load, changed)
      if not ok then assert.matches("onnx.load: ", model, nil, nil, "seed " .. seed) else tostring(model) end
    end
  end)

  it("limits what a small file can ask for", function()
    local function fails(bytes, message) assert.error_matches(function() onnx.load(bytes) end, message) end
    fails("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a number of more than 10 bytes")
    fails("\x08", "a number ends too early")
    fails("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a field of 2^63 or more bytes")
    fails("\x7b\x01", "unknown wire type 3")
    fails("\x38\x01", "field graph has wire type 0")
    fails("\x08\x08", "this is no ONNX model: it has no graph")
    fails("\0\0", "a field of number 0")
    -- A graph in an attribute in a node in a graph ...
    local graph = build.graph {}
    for _ = 1, 60 do
      graph = build.bytes(1, build.bytes(5, build.bytes(6, graph)))
    end
    fails(build.bytes(7, graph), "nested more than 100 deep")
    fails(build.bytes(7, ("\x0a\x00"):rep(1000000)), "more than 1000000 messages")
  end)
end)

describe("regular expressions of ONNX", function()
  local regex = require "lampad.onnx.regex"

  it("match whole strings as RE2 does", function()
    local function yes(pattern, ...)
      local matches = regex.compile(pattern)
      for _, s in ipairs { ... } do assert.is_true(matches(s), pattern .. " should match " .. s) end
    end
    local function no(pattern, ...)
      local matches = regex.compile(pattern)
      for _, s in ipairs { ... } do assert.is_false(matches(s), pattern .. " should not match " .. s) end
    end
    yes("a*", "", "a", "aaaa") no("a*", "b", "aab")
    yes("(ab|c)+d?", "ab", "abc", "ccd") no("(ab|c)+d?", "d", "abdd")
    yes("[a-c_-]{2,3}", "ab", "c-_") no("[a-c_-]{2,3}", "a", "abca", "ad")
    yes("[^\\d\\s]+", "x!y") no("[^\\d\\s]+", "x1", "x y", "")
    yes("\\w+@\\w+\\.(com|org)", "me@here.org") no("\\w+@\\w+\\.(com|org)", "me@hereXorg")
    yes("[[:alpha:]]+[[:^alpha:]]", "ab1") no("[[:alpha:]]+[[:^alpha:]]", "abc")
    yes("^(?i:AbC)x$", "abcx", "ABCx") no("^(?i:AbC)x$", "abcX")
    yes("(?i)a(?-i)b", "Ab") no("(?i)a(?-i)b", "AB")
    yes("(?s).", "\n") no(".", "\n")
    yes(".", "\u{e9}") yes("[\u{e0}-\u{ff}]", "\u{e9}")
    yes("\\bfoo\\b.*", "foo bar") no("\\bfoo\\b.*", "foobar")
    yes("(?P<n>a){3}", "aaa") yes("a{,2}", "a{,2}") yes("]", "]") yes("[]a]", "]") yes("\\x41\\x{42}", "AB")
    yes("(a?){50}a{50}", ("a"):rep(60)) -- no time lost in ways that fail
    yes("(a*)*", "aaa") yes("", "")
  end)

  it("are refused when they are none", function()
    for pattern, message in pairs { ["("] = "lacks a %)", ["a)"] = "%) too many", ["[a"] = "lacks a %]", ["*a"] = "repeats nothing",
      ["a{3,2}"] = "bad repetition", ["a{2000}"] = "bad repetition", ["\\"] = "ends with a backslash", ["\\q"] = "unknown escape",
      ["[b-a]"] = "bad range", ["(?x)a"] = "unknown flag", ["((a{900}){900}){900}"] = "more than %d+ steps",
      [("("):rep(200)] = "more than 100 deep", ["[[:x:]]"] = "unknown class", ["\\x{110000}"] = "bad escape" } do
      assert.error_matches(function() regex.compile(pattern) end, message)
    end
  end)
end)

describe("torch.onnx.load_tensor", function()
  local function read(t, kind) return onnx.load_tensor(build.tensor(t), kind) end

  it("reads every way to write numbers", function()
    assert.same({ { 1, 2 }, { 3, 4 } }, read({ type = "float32", dims = { 2, 2 }, raw = floats(1, 2, 3, 4) }):tolist())
    assert.same({ 1, 2 }, read({ type = "float32", dims = { 2 }, fields = build.bytes(4, floats(1, 2)) }):tolist())
    assert.same({ 1, 2 }, read({ type = "float32", dims = { 2 }, fields = build.float(4, 1) .. build.float(4, 2) }):tolist())
    assert.same({ -1, 300 }, read({ type = "int64", dims = { 2 }, fields = build.int(7, -1) .. build.int(7, 300) }):tolist())
    assert.same({ -1, 7 }, read({ type = "int8", dims = { 2 }, fields = build.bytes(5, build.varint(-1) .. "\7") }):tolist())
    assert.same({ 1.5 }, read({ type = "float16", dims = { 1 }, fields = build.int(5, 0x3e00) }):tolist())
    assert.same({ 1.5 }, read({ type = "bfloat16", dims = { 1 }, fields = build.int(5, 0x3fc0) }):tolist())
    assert.same({ 0.5 }, read({ type = "float64", dims = { 1 }, fields = build.bytes(10, ("<d"):pack(0.5)) }):tolist())
    assert.same({ true, false }, read({ type = "bool", dims = { 2 }, raw = "\1\0" }):tolist())
    assert.same({ 65535 }, read({ type = "uint16", dims = { 1 }, raw = "\255\255" }):tolist())
    assert.same({ 0xfffffffe }, read({ type = "uint32", dims = { 1 }, fields = build.int(11, 0xfffffffe) }):tolist())
    assert.same({ -2 }, read({ type = "uint64", dims = { 1 }, fields = build.int(11, -2) }):tolist())
    assert.same({ 1, -8, 7 }, read({ type = "int4", dims = { 3 }, raw = "\x81\x07" }):tolist())
    assert.same({ 15, 1 }, read({ type = "uint4", dims = { 2 }, raw = "\x1f" }):tolist())
    assert.same({ { "a" }, { "b" } }, read { type = "string", dims = { 2, 1 }, fields = build.bytes(6, "a") .. build.bytes(6, "b") })
    assert.same({ 0, 2 }, { read({ type = "float32", dims = { 0, 2 } }).shape:unpack() })
    assert.equal(5, read({ type = "int32", raw = "\5\0\0\0" }):item())
  end)

  it("reads sequences, maps and optional values", function()
    local one = build.bytes(3, build.tensor { type = "int32", dims = { 1 }, raw = "\1\0\0\0" })
    local list = onnx.load_tensor(build.int(2, 1) .. one .. one, "sequence")
    assert.equal(2, #list)
    assert.same({ 1 }, list[2]:tolist())
    local map = onnx.load_tensor(build.bytes(4, "k") .. build.bytes(5, one), "map")
    assert.same({ 1 }, map.k:tolist())
    assert.same({ 1 }, onnx.load_tensor(build.int(2, 1) .. one, "optional"):tolist())
    assert.is_nil(onnx.load_tensor(build.int(2, 1), "optional"))
    assert.error_matches(function() onnx.load_tensor(one, "list") end, "unknown kind 'list'")
    assert.error_matches(function() onnx.load_tensor(build.bytes(4, "k"), "map") end, "a map has 1 keys and 0 values")
  end)
end)

describe("ONNX networks", function()
  local data = root .. "/../shared/data"

  local function file_exists(path)
    local file = io.open(path, "rb")
    if file then file:close() end
    return file ~= nil
  end

  -- ONNX's tolerance for values near 0, 1e-7, is below what a network's float32 sums keep.
  local function close(a, b) assert.is_true(torch.allclose(a, b, 1e-3, 1e-5)) end

  for _, name in ipairs { "mnist/mnist_8", "super_resolution_onnx" } do
    it("give the outputs that came with them: " .. name, function()
      local folder = data .. "/weights/" .. name
      if not file_exists(folder .. "/model.onnx") then pending(folder .. " is absent") return end
      local model = onnx.load(folder .. "/model.onnx")
      local set = 0
      repeat
        local path = ("%s/test_data_set_%d/"):format(folder, set)
        close(model(onnx.load_tensor(path .. "input_0.pb")), onnx.load_tensor(path .. "output_0.pb"))
        set = set + 1
      until not file_exists(("%s/test_data_set_%d/input_0.pb"):format(folder, set))
    end)
  end

  it("of well-known shapes with constant weights give the outputs that ONNX publishes", function()
    local archive = data .. "/goldens/onnx_backend_data_6be0677.tar.xz"
    if not file_exists(archive) then pending(archive .. " is absent") return end
    local folder = command.new_folder()
    assert.equal(0, (command.shell(("tar -xJf %s -C %s data/light"):format(command.quote(archive), command.quote(folder)))))
    for _, name in ipairs { "densenet121", "resnet50", "shufflenet", "squeezenet" } do
      local path = folder .. "/data/light/light_" .. name
      local model = onnx.load(path .. ".onnx")
      local count = 3 * 224 * 224
      local x = torch.arange(count, { dtype = torch.float64 }):div(count):to(torch.float32):reshape(model.inputs[1].shape)
      close(model(x), onnx.load_tensor(path .. "_output_0.pb"))
    end
  end)
end)
