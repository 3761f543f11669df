--- Replays PyTorch's own op samples: build/lampad tests/opinfo/run.lua [-v] [PATTERN] [FILE...]
-- A file (default: tests/golden/opinfo/*.bin) is written by scripts/gen/golden_opinfo.py, which describes the
-- format: calls with their inputs, PyTorch's results and gradients. Each call is made as a function where there is one,
-- as a method, and in place, where PyTorch has these. PATTERN selects variants whose name contains it; -v prints
-- every failure with its call. The last line is "N passed, N failed".
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/../ops/?.lua;" .. here .. "/?.lua;" .. package.path
local torch = require "lampad"
local golden = require "golden"
local samples = require "samples"
local special = require "calls"

local verbose, pattern, files = false, "", {}
for _, word in ipairs(arg) do
  if word == "-v" then verbose = true
  elseif word:match("%.bin$") then files[#files + 1] = word
  else pattern = word end
end
if #files == 0 then
  local list = assert(io.popen("ls '" .. here .. "/../golden/opinfo'"))
  for name in list:lines() do files[#files + 1] = here .. "/../golden/opinfo/" .. name end
  list:close()
end

local arguments = require "arguments"
local NONE, read_argument, make = arguments.NONE, arguments.read, arguments.make

local function read_file(path, into)
  local file = assert(io.open(path, "rb"))
  local data = file:read("a")
  file:close()
  assert(data:sub(1, 4) == "LPO1", path .. " holds no op samples")
  local pos = 5
  while pos <= #data do
    local r = { named = {} }
    local number, n, key
    r.name, r.variant, number, r.flags, pos = string.unpack("<s2s2BB", data, pos)
    r.dtype = golden.dtypes[number]
    r.args, pos = read_argument(data, pos)
    n, pos = string.unpack("<B", data, pos)
    for i = 1, n do
      key, pos = string.unpack("<s2", data, pos)
      r.named[i] = { key }
      r.named[i][2], pos = read_argument(data, pos)
    end
    r.result, pos = golden.read_value(data, pos)
    n, pos = string.unpack("<B", data, pos)
    r.grads = {}
    for i = 1, n do r.grads[i], pos = golden.read_value(data, pos) end
    into[#into + 1] = r
  end
end

-- --- calling ------------------------------------------------------------------------------------

local function sample_of(r)
  local sample = { inputs = {}, args = { n = r.args.items.n }, named = {} }
  for i = 1, r.args.items.n do sample.args[i] = make(r.args.items[i], sample.inputs) end
  -- Python's x[[1, 2]] is x[{{1, 2}}] in Lua: a table is a tuple of indices.
  local index = r.args.items[2]
  if r.name == "__getitem__" and type(index) == "table" and index.is_list and not index.is_tuple then
    sample.args[2] = { sample.args[2] }
  end
  for _, pair in ipairs(r.named) do sample.named[pair[1]] = make(pair[2], sample.inputs) end
  return sample
end

local function function_of(name)
  local at = torch
  for part in name:gmatch("[^%.]+") do
    at = at and at[part]
  end
  return at
end

local function invoke(fn, sample)
  local args = table.pack(table.unpack(sample.args, 1, sample.args.n))
  torch.manual_seed(42) -- as PyTorch's samples of random ops do
  if next(sample.named) ~= nil then
    args.n = args.n + 1
    args[args.n] = sample.named
  end
  return table.pack(fn(table.unpack(args, 1, args.n)))
end

local function method_of(name)
  return function(self, ...)
    local method = self[name]
    if not method then error("there is no method " .. name, 0) end
    return method(self, ...)
  end
end

--- {text, function} for each form of the variant that there is.
local function forms_of(r)
  local full = r.variant ~= "" and r.name .. "." .. r.variant or r.name
  if special.calls[full] or special.calls[r.name] then
    return { { "call", special.calls[full] or special.calls[r.name] } }
  end
  local forms = {}
  local fn = function_of(r.name)
  if type(fn) == "function" then forms[1] = { "function", fn } end
  if r.name:match("[^_]_$") then return { { "in place", method_of(r.name), on_copy = true } } end
  if r.flags & 1 ~= 0 and not r.name:find(".", 1, true) then
    forms[#forms + 1] = { "method", method_of(r.name) }
  end
  if r.flags & 2 ~= 0 and not r.name:find(".", 1, true) then
    forms[#forms + 1] = { "in place", method_of(r.name .. "_"), inplace = true }
  end
  return forms
end

local function flat(results, into)
  for i = 1, results.n or #results do
    local value = results[i]
    if type(value) == "table" and not torch.is_tensor(value) then flat(value, into) else into[#into + 1] = value end
  end
  return into
end

local function flat_expected(expected, into)
  if expected.kind == "list" then
    for _, item in ipairs(expected) do flat_expected(item, into) end
  else
    into[#into + 1] = expected
  end
  return into
end

local function tensors_with_gradient(results)
  local list = {}
  for _, t in ipairs(flat(results, {})) do
    if torch.is_tensor(t) and t.requires_grad then list[#list + 1] = t end
  end
  return list
end

local function compare_results(r, results, how)
  local expected, actual = flat_expected(r.result, {}), flat(results, {})
  if #actual == 1 and #expected > 1 and tostring(actual[1]):match("^torch%.Size") then actual = actual[1]:tolist() end
  if #expected ~= #actual then return ("expected %d results, got %d"):format(#expected, #actual) end
  for i, item in ipairs(expected) do
    local trouble = golden.compare(item, { actual[i] }, how)
    if trouble then return (#expected > 1 and ("result %d: "):format(i - 1) or "") .. trouble end
  end
end

local function check_form(r, form, how)
  local sample = sample_of(r)
  if form.on_copy then sample.args[1] = sample.args[1]:clone() end
  if form.inplace then
    local self = sample.args[1]
    local expected = r.result
    if expected.kind ~= "tensor" or not torch.is_tensor(self) or self.dtype ~= expected.dtype
      or self.shape ~= torch.Size(expected.shape) then return nil, true end
    for _, stride in ipairs(self:stride()) do
      if stride == 0 then return nil, true end
    end
    sample.args[1] = self:clone()
  end
  local results = invoke(form[2], sample)
  if r.flags & 8 ~= 0 then return "raised no error" end
  local trouble = compare_results(r, results, how)
  if trouble or #r.grads == 0 or how.signless or how.shape_only then return trouble end
  local outputs, fed = tensors_with_gradient(results), {}
  if #outputs == 0 then return "no result requires grad" end
  for i, t in ipairs(outputs) do fed[i] = samples.weights(t:detach(), "opinfo|w" .. i - 1) end
  local grads = table.pack(torch.autograd.grad(outputs, sample.inputs, { grad_outputs = fed, allow_unused = true }))
  for i, expected in ipairs(r.grads) do
    trouble = golden.compare_gradient(expected, grads[i], how)
    if trouble then return ("gradient of input %d: %s"):format(i - 1, trouble) end
  end
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
  return ("%s[%s]"):format(tostring(spec.dtype):gsub("torch%.", ""), table.concat(spec.sizes, ","))
end

local function call_text(r)
  local parts = {}
  for i = 1, r.args.items.n do parts[i] = shown(r.args.items[i]) end
  for _, pair in ipairs(r.named) do parts[#parts + 1] = pair[1] .. "=" .. shown(pair[2]) end
  return r.name .. "(" .. table.concat(parts, ", ") .. ")"
end

local records = {}
for _, path in ipairs(files) do read_file(path, records) end

--- Numbers beside tensors: PyTorch's binary functions refuse them, here a number stands for a tensor.
local function has_number(r)
  for i = 1, math.min(2, r.args.items.n) do
    if type(r.args.items[i]) == "number" then return true end
  end
  return false
end

local function is_allowed(r, full)
  return r.flags & 8 ~= 0 and (special.allowed_here[full] or has_number(r))
end

local passed, failed, by_variant, order = 0, 0, {}, {}
for _, r in ipairs(records) do
  local full = r.variant ~= "" and r.name .. "." .. r.variant or r.name
  if full:find(pattern, 1, true) and not special.left_out[full] and not special.left_out[r.name]
    and not is_allowed(r, full) and not special.is_free(r) then
    local how = special.how[full] or special.how[r.name] or {}
    local forms = forms_of(r)
    if #forms == 0 then forms = { { "function", function() error("there is no torch." .. r.name) end } } end
    for _, form in ipairs(forms) do
      local ok, trouble, skipped = pcall(check_form, r, form, how)
      if r.flags & 8 ~= 0 and not ok then ok, trouble = true, nil end
      if ok and trouble == nil then
        if not skipped then passed = passed + 1 end
      else
        failed = failed + 1
        if not by_variant[full] then
          by_variant[full] = 0
          order[#order + 1] = full
        end
        by_variant[full] = by_variant[full] + 1
        if verbose or by_variant[full] <= 2 then
          print(("FAILED %s %s [%s] %s: %s"):format(full, form[1], tostring(r.dtype), call_text(r),
            (tostring(trouble):gsub("\n.*", ""))))
        end
      end
    end
  end
end
for _, full in ipairs(order) do
  if by_variant[full] > 2 and not verbose then print(("... %d failures of %s"):format(by_variant[full], full)) end
end
print(("%d samples, %d variants fail"):format(#records, #order))
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
