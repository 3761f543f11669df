--- Replays PyTorch's own module samples: build/lampad tests/modules/run.lua [-v] [PATTERN] [FILE...]
-- A file (default: tests/golden/modules/*.bin) is written by scripts/gen/golden_modules.py, which describes the format. For
-- each sample: the initial values for torch.manual_seed(0), state_dict's names and sizes, printed text, results, gradients of
-- inputs and parameters, buffers after forward; then again with inputs that are not contiguous, and in float32. PATTERN
-- selects modules whose name contains it ("=Name": that one); -v prints every failure. The last line is "N passed, N failed".
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/../ops/?.lua;" .. here .. "/../opinfo/?.lua;" .. here .. "/?.lua;" .. package.path
local torch = require "lampad"
local golden = require "golden"
local samples = require "samples"
local arguments = require "arguments"
local special = require "special"
local nn = torch.nn
local NONE, read_argument, make = arguments.NONE, arguments.read, arguments.make

local verbose, pattern, files = false, "", {}
for _, word in ipairs(arg) do
  if word == "-v" then verbose = true
  elseif word:match("%.bin$") then files[#files + 1] = word
  else pattern = word end
end
if #files == 0 then
  local list = assert(io.popen("ls '" .. here .. "/../golden/modules'"))
  for name in list:lines() do
    if name:match("%.bin$") then files[#files + 1] = here .. "/../golden/modules/" .. name end
  end
  list:close()
end

-- --- reading ------------------------------------------------------------------------------------

local TRAIN, NO_GRAD, BAD_MAKE, BAD_CALL = 1, 2, 4, 8
local function has(flags, bit) return flags & bit ~= 0 end

local call_tensors -- those of the call that is being made, in order
local mode -- how it is made: "double", "strided" (inputs that are not contiguous) or "single" (float32)

local function read_call(data, pos)
  local call = { named = {} }
  local n, key
  call.args, pos = read_argument(data, pos)
  n, pos = string.unpack("<B", data, pos)
  for i = 1, n do
    key, pos = string.unpack("<s2", data, pos)
    call.named[i] = { key }
    call.named[i][2], pos = read_argument(data, pos)
  end
  return call, pos
end

--- The arguments of a call as Lua values: a table.pack whose last one is the table of named ones, if there are any.
local function make_call(call, inputs, none_is_false)
  local list, named = { n = call.args.items.n }, {}
  for i = 1, list.n do
    local item = call.args.items[i]
    -- PyTorch's None where the default is another value is false.
    if item == NONE and none_is_false then list[i] = false else list[i] = make(item, inputs) end
  end
  for _, pair in ipairs(call.named) do named[pair[1]] = make(pair[2], inputs) end
  if next(named) ~= nil then
    list.n = list.n + 1
    list[list.n] = named
  end
  return list
end

-- Tensors are counted, so that 'R' finds them.
local function counted(spec)
  local plain = setmetatable({ make = false }, { __index = spec })
  return { sizes = spec.sizes, dtype = spec.dtype, make = function(inputs)
    local t = make(plain, {})
    if mode == "single" and t.dtype == torch.float64 then t = t:detach():float() end
    if mode == "strided" then t = torch.stack({ t:detach(), t:detach() }, -1):select(-1, 1) end
    t = t:detach()
    if spec.wants then
      t:requires_grad_()
      inputs[#inputs + 1] = t
    end
    call_tensors[#call_tensors + 1] = t
    return t
  end }
end

local read_view = arguments.kinds.V
function arguments.kinds.V(data, pos)
  local spec, after = read_view(data, pos)
  return counted(spec), after
end

function arguments.kinds.W(data, pos)
  local spec = read_view(data, pos)
  local begin = spec.pos
  spec.format = "<f"
  return counted(spec), begin + 4 * spec.count
end

function arguments.kinds.R(data, pos)
  local number, after = string.unpack("<H", data, pos)
  return { make = function() return call_tensors[number + 1] end }, after
end

function arguments.kinds.F(data, pos)
  local name, after = string.unpack("<s2", data, pos)
  local at = torch
  for part in name:gmatch "[^.]+" do at = at[part] end
  return at, after
end

function arguments.kinds.M(data, pos)
  local name, call
  name, pos = string.unpack("<s2", data, pos)
  call, pos = read_call(data, pos)
  return { module = name, make = function(inputs)
    local list = make_call(call, inputs)
    return nn[name](table.unpack(list, 1, list.n))
  end }, pos
end

function arguments.kinds.Q(data, pos)
  local parts = {}
  for i = 1, 4 do parts[i], pos = read_argument(data, pos) end
  return { make = function(inputs)
    local values = {}
    for i = 1, 4 do values[i] = make(parts[i], inputs) end
    return nn.utils.rnn.PackedSequence(table.unpack(values, 1, 4))
  end }, pos
end

-- A digest of a tensor.
local function read_digest(data, pos)
  local value = { kind = "digest", shape = {}, picked = {} }
  local number, ndim
  number, ndim, pos = string.unpack("<BB", data, pos)
  value.dtype = golden.dtypes[number]
  for i = 1, ndim do value.shape[i], pos = string.unpack("<I4", data, pos) end
  local n
  value.sum, value.magnitude, value.step, n, pos = string.unpack("<ddI4H", data, pos)
  for i = 1, n do value.picked[i], pos = string.unpack("<f", data, pos) end
  return value, pos
end

local function read_result(data, pos)
  local kind = data:sub(pos, pos)
  if kind == "D" then return read_digest(data, pos + 1) end
  if kind ~= "L" then return golden.read_value(data, pos) end
  local list = { kind = "list" }
  local n
  n, pos = string.unpack("<I2", data, pos + 1)
  for i = 1, n do list[i], pos = read_result(data, pos) end
  return list, pos
end

local function read_initial(data, pos)
  local state = {}
  local n
  n, pos = string.unpack("<B", data, pos)
  for i = 1, n do
    local entry = { sizes = {}, first = {} }
    local there, count
    entry.key, there, pos = string.unpack("<s2B", data, pos)
    entry.there = there == 1
    if entry.there then
      count, pos = string.unpack("<B", data, pos)
      for d = 1, count do entry.sizes[d], pos = string.unpack("<I4", data, pos) end
      entry.sum, count, pos = string.unpack("<dB", data, pos)
      for k = 1, count do entry.first[k], pos = string.unpack("<d", data, pos) end
    end
    state[i] = entry
  end
  return state, pos
end

local function read_pairs(data, pos)
  local list = {}
  local n, key
  n, pos = string.unpack("<B", data, pos)
  for i = 1, n do
    key, pos = string.unpack("<s2", data, pos)
    list[i] = { key }
    list[i][2], pos = read_result(data, pos)
  end
  return list, pos
end

local function read_record(data, pos)
  local r = { grads = {} }
  local n
  r.name, r.what, r.flags, pos = string.unpack("<s2s2B", data, pos)
  r.make, pos = read_call(data, pos)
  r.call, pos = read_call(data, pos)
  if has(r.flags, BAD_MAKE | BAD_CALL) then
    r.message, pos = string.unpack("<s2", data, pos)
    return r, pos
  end
  r.state, pos = read_initial(data, pos)
  r.text, pos = string.unpack("<s2", data, pos)
  r.result, pos = read_result(data, pos)
  r.text_after, pos = string.unpack("<s2", data, pos)
  if r.text_after == "" then r.text_after = r.text end
  n, pos = string.unpack("<B", data, pos)
  for i = 1, n do r.grads[i], pos = read_result(data, pos) end
  r.parameters, pos = read_pairs(data, pos)
  r.buffers, pos = read_pairs(data, pos)
  return r, pos
end

local function read_file(path, into)
  local file = assert(io.open(path, "rb"))
  local data = file:read("a")
  file:close()
  assert(data:sub(1, 4) == "LPM1", path .. " holds no module samples")
  local pos = 5
  while pos <= #data do into[#into + 1], pos = read_record(data, pos) end
end

-- --- comparing ----------------------------------------------------------------------------------

-- Differences of float32 are allowed to be larger.
local function is_single(actual) return torch.is_tensor(actual) and mode == "single" and actual.dtype == torch.float32 end

local function near(a, b, scale)
  if a == b or a ~= a and b ~= b then return true end
  local wide = mode == "single"
  return math.abs(a - b) <= (wide and 1e-5 or 1e-9) + (wide and 1e-3 or 1e-6) * scale
end

local function compare(expected, actual)
  if expected.kind == "list" then
    if type(actual) ~= "table" then actual = { actual } end
    for i, item in ipairs(expected) do
      local trouble = compare(item, actual[i])
      if trouble then return ("result %d: %s"):format(i - 1, trouble) end
    end
    return nil
  end
  local how = {}
  if is_single(actual) then actual, how.scale = actual:double(), 1e4 end
  if expected.kind ~= "digest" then return golden.compare(expected, { actual }, how) end
  if actual == nil then return "expected a tensor, got nil" end
  if actual.dtype ~= expected.dtype then return "expected " .. tostring(expected.dtype) .. ", got " .. tostring(actual.dtype) end
  if actual.shape ~= torch.Size(expected.shape) then
    return ("expected shape [%s], got %s"):format(table.concat(expected.shape, ", "), tostring(actual.shape))
  end
  local values = actual:detach():reshape(-1):tolist()
  local sum, magnitude = 0, 0
  for _, v in ipairs(values) do sum, magnitude = sum + v, magnitude + math.abs(v) end
  for i, want in ipairs(expected.picked) do
    local at = (i - 1) * expected.step
    if not near(values[at + 1], want, math.abs(want)) then
      return ("element %d: expected %.9g, got %.9g"):format(at, want, values[at + 1])
    end
  end
  if not near(sum, expected.sum, expected.magnitude) or not near(magnitude, expected.magnitude, expected.magnitude) then
    return ("sum: expected %.12g, got %.12g"):format(expected.sum, sum)
  end
end

local function compare_gradient(expected, actual)
  if expected.kind == "digest" then return compare(expected, actual) end
  if not is_single(actual) then return golden.compare_gradient(expected, actual, {}) end
  return golden.compare_gradient(expected, actual:double(), { scale = 1e4 })
end

local function is_uninitialized(t) return tostring(t):find "^<Uninit" ~= nil end

local function check_initial(r, module)
  local state, i = module:state_dict(), 0
  for key, t in state:items() do
    i = i + 1
    local entry = r.state[i]
    if not entry then return "state_dict has a further entry " .. key end
    if entry.key ~= key then return ("state_dict entry %d: expected %s, got %s"):format(i - 1, entry.key, key) end
    if is_uninitialized(t) == entry.there then return key .. ": initialised or not" end
    if entry.there then
      if t.shape ~= torch.Size(entry.sizes) then return ("%s: expected shape [%s], got %s"):format(key,
        table.concat(entry.sizes, ", "), tostring(t.shape)) end
      local values = t:double():reshape(-1):tolist()
      local sum, magnitude = 0, 0
      for k, v in ipairs(values) do
        sum, magnitude = sum + v, magnitude + math.abs(v)
        if entry.first[k] and entry.first[k] ~= v then
          return ("initial %s: element %d: expected %.9g, got %.9g"):format(key, k - 1, entry.first[k], v)
        end
      end
      if not near(sum, entry.sum, magnitude) then
        return ("initial %s: sum: expected %.12g, got %.12g"):format(key, entry.sum, sum)
      end
    end
  end
  if i ~= #r.state then return "state_dict lacks " .. r.state[i + 1].key end
end

--- The same numbers as the generator of the files puts there.
local function fill(module)
  torch.no_grad(function()
    local function fill_with(key, t)
      if not t.dtype.is_floating_point then return end
      local values = samples.weights(t:detach():double(), "module|" .. key) * 0.5
      if key:find "running_var$" then values = values:abs() + 0.5 end
      t:copy_(values)
    end
    for key, p in module:named_parameters() do fill_with(key, p) end
    for key, b in module:named_buffers() do fill_with(key, b) end
  end)
end

local function flat_results(value, into)
  if torch.is_tensor(value) then
    into[#into + 1] = value
  elseif type(value) == "table" then
    for i = 1, value.n or #value do flat_results(value[i], into) end
  end
  return into
end

local function make_module(r)
  call_tensors = {}
  torch.manual_seed(0)
  local list = make_call(r.make, {}, special.none_is_false(r.name))
  local class = nn[r.name] or error("there is no nn." .. r.name, 0)
  return class(table.unpack(list, 1, list.n))
end

local function call_module(r, module, inputs)
  call_tensors = {}
  local list = make_call(r.call, inputs)
  return function() return module(table.unpack(list, 1, list.n)) end
end

local function check_text(what, expected, module)
  local text = tostring(module)
  if text ~= expected then return ("%s: expected %s, got %s"):format(what, expected:gsub("\n", "|"), (text:gsub("\n", "|"))) end
end

local function check_state(r, module)
  local i = 0
  for key, b in module:named_buffers() do
    i = i + 1
    local pair = r.buffers[i]
    if not pair or pair[1] ~= key then return "buffer " .. i - 1 .. ": got " .. key end
    local trouble = compare(pair[2], b)
    if trouble then return ("buffer %s: %s"):format(key, trouble) end
  end
  if i ~= #r.buffers then return "there is no buffer " .. r.buffers[i + 1][1] end
end

local function check_gradients(r, module, outputs, inputs)
  local wanted, names = table.move(inputs, 1, #inputs, 1, {}), {}
  for key, p in module:named_parameters() do
    names[#names + 1] = key
    if p.requires_grad then wanted[#wanted + 1] = p end
  end
  if #names ~= #r.parameters then return ("expected %d parameters, got %d"):format(#r.parameters, #names) end
  local fed = {}
  for i, t in ipairs(outputs) do fed[i] = samples.weights(t:detach():double(), "opinfo|w" .. i - 1):to(t.dtype) end
  local grads = table.pack(torch.autograd.grad(outputs, wanted, { grad_outputs = fed, allow_unused = true }))
  for i, expected in ipairs(r.grads) do
    local trouble = compare_gradient(expected, grads[i])
    if trouble then return ("gradient of input %d: %s"):format(i - 1, trouble) end
  end
  for i, pair in ipairs(r.parameters) do
    if names[i] ~= pair[1] then return ("parameter %d: expected %s, got %s"):format(i - 1, pair[1], names[i]) end
    local trouble = compare_gradient(pair[2], grads[#inputs + i])
    if trouble then return ("gradient of %s: %s"):format(pair[1], trouble) end
  end
end

local function has_uninitialized(module)
  for _, t in module:state_dict():items() do
    if is_uninitialized(t) then return true end
  end
  return false
end

local function check(r)
  local module = make_module(r)
  local trouble = check_initial(r, module) or check_text("text", r.text, module)
  if trouble then return trouble end
  module:to(mode == "single" and torch.float32 or torch.float64):train(has(r.flags, TRAIN))
  if has_uninitialized(module) then
    torch.no_grad(call_module(r, module, {}))
  end
  fill(module)
  local inputs = {}
  local call = call_module(r, module, inputs)
  torch.manual_seed(42)
  local results = table.pack((function()
    if has(r.flags, NO_GRAD) then return torch.no_grad(call) end
    return call()
  end)())
  if r.result.kind == "list" and results.n ~= 1 then
    trouble = compare(r.result, results)
  else
    trouble = compare(r.result, results[1])
  end
  trouble = trouble or check_text("text after forward", r.text_after, module) or check_state(r, module)
  if trouble then return trouble end
  local outputs = {}
  for _, t in ipairs(flat_results(results, {})) do
    if t.requires_grad then outputs[#outputs + 1] = t end
  end
  if #outputs > 0 then return check_gradients(r, module, outputs, inputs) end
  for _, g in ipairs(r.grads) do
    if g.kind ~= "none" then return "no result requires grad" end
  end
end

--- A sample that must raise: nil when it does; verbose shows both messages.
local function check_error(r)
  local ok, message = pcall(make_module, r)
  if has(r.flags, BAD_MAKE) then
    if ok then return "the constructor raised no error" end
  elseif ok then -- else the constructor says already what forward would say
    local module = message
    if module:parameters()() ~= nil then module:double() end
    ok, message = pcall(call_module(r, module, {}))
    if ok then return "forward raised no error" end
  end
  if verbose then print(("error of %s\n  PyTorch: %s\n  Lampad:  %s"):format(r.name, r.message, (message:gsub("\n", "\n    ")))) end
end

-- --- telling ------------------------------------------------------------------------------------

local function shown(spec)
  if spec == NONE then return "nil" end
  if type(spec) == "string" then return ("%q"):format(spec) end
  if type(spec) ~= "table" then return tostring(spec) end
  if spec.is_list then
    local list = {}
    for i = 1, spec.items.n do list[i] = shown(spec.items[i]) end
    return "{" .. table.concat(list, ", ") .. "}"
  end
  if spec.module then return spec.module .. "(...)" end
  if not spec.sizes then return "*" end
  return ("%s[%s]"):format(tostring(spec.dtype):gsub("torch%.", ""), table.concat(spec.sizes, ","))
end

local function call_text(call)
  local parts = {}
  for i = 1, call.args.items.n do parts[i] = shown(call.args.items[i]) end
  for _, pair in ipairs(call.named) do parts[#parts + 1] = pair[1] .. "=" .. shown(pair[2]) end
  return "(" .. table.concat(parts, ", ") .. ")"
end

local function selected(name)
  if pattern:sub(1, 1) == "=" then return name == pattern:sub(2) end
  return name:find(pattern, 1, true) ~= nil
end

local records = {}
for _, path in ipairs(files) do read_file(path, records) end

local passed, failed, by_module, order = 0, 0, {}, {}
for _, r in ipairs(records) do
  if selected(r.name) and not special.left_out(r) then
    local ok, trouble
    for _, name in ipairs(has(r.flags, BAD_MAKE | BAD_CALL) and { "double" } or { "double", "strided", "single" }) do
      mode = name
      if not special.skips(r, mode) then
        ok, trouble = pcall(has(r.flags, BAD_MAKE | BAD_CALL) and check_error or check, r)
        if not ok or trouble then
          if mode ~= "double" then trouble = mode .. ": " .. tostring(trouble) end
          break
        end
      end
    end
    if ok and trouble == nil then
      passed = passed + 1
    else
      failed = failed + 1
      if not by_module[r.name] then
        by_module[r.name] = 0
        order[#order + 1] = r.name
      end
      by_module[r.name] = by_module[r.name] + 1
      if verbose or by_module[r.name] <= 2 then
        print(("FAILED %s%s%s%s %s: %s"):format(r.name, call_text(r.make), call_text(r.call),
          has(r.flags, TRAIN) and "" or " eval", r.what, verbose and tostring(trouble) or tostring(trouble):gsub("\n.*", "")))
      end
    end
  end
end
for _, name in ipairs(order) do
  if by_module[name] > 2 and not verbose then print(("... %d failures of %s"):format(by_module[name], name)) end
end
print(("%d samples, %d modules fail"):format(#records, #order))
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
