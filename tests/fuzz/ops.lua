--- The fuzzer: random calls of every public op, in every form, with arguments right and wrong.
--   build/lampad tests/fuzz/ops.lua [--seed S] [--from K] [--steps N] [--seconds T] [--op PART] [--skip NAME]
--     [--log FILE]
--   build/lampad tests/fuzz/ops.lua --seed S --step K        replays step K alone and tells what it does
-- A step depends on the seed and its number only, so a failing one can be replayed by itself. Before each call
-- its description is written to FILE, where it is found when the process does not survive. After a call come
-- the checks of checks.lua. A crash, a leak, a wrong message, forms that disagree or a call that takes seconds
-- is a finding. The last line is "N passed, N failed" (steps without and with a finding).
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. here .. "/../ops/?.lua;" .. package.path
local torch = require "lampad"
local core = require "lampad.core"
local samples = require "samples"
local values = require "values"
local actions = require "actions"
local checks = require "checks"

local chance, pick, random = values.chance, values.pick, math.random
local build = os.getenv "LAMPAD_BUILD" or "build"

local options = { seconds = nil, steps = nil, seed = os.time() % 1000000, op = "" }
do
  local i = 1
  while arg[i] do
    local name = arg[i]:match "^%-%-(%l+)$"
    if not name or not arg[i + 1] then error("usage: [--seed S] [--from K] [--steps N] [--seconds T] [--step K] [--op PART] [--skip NAME] [--log FILE]") end
    options[name] = tonumber(arg[i + 1]) or arg[i + 1]
    i = i + 2
  end
end
local alone = options.step
if alone then values.most_shown = 40 end
if not options.steps and not options.seconds then options.steps = 2000 end

local SLOW_SECONDS = tonumber(os.getenv "LAMPAD_FUZZ_SLOW") or 4 -- of processor time, in one call
local MEMORY_LIMIT = 256 << 20
local LEAK_INTERVAL = 250 -- steps
local MAX_REPORTS = 3     -- of one kind and op

core.memory_set_limit(MEMORY_LIMIT)

-- --- the rows -----------------------------------------------------------------------------------

local function has(row, variant)
  for _, v in ipairs(row.variants) do
    if v == variant then return true end
  end
  return false
end

local function functions_of(row)
  local list = {}
  for name in row.module:gmatch "%S+" do
    local module = name == "torch" and torch or core.modules[name]
    list[#list + 1] = module and module[row.name]
  end
  return list
end

-- Recurrences over the degree: with a degree of billions they take minutes, here and in PyTorch (interrupts stop them).
local by_degree = { laguerre_polynomial_l = true, legendre_polynomial_p = true, hermite_polynomial_h = true,
  hermite_polynomial_he = true }

local rows = {}
for _, row in ipairs(dofile(build .. "/gen/op_db.lua")) do
  if not by_degree[row.name] and not (#row.variants == 1 and row.variants[1] == "internal") and row.cname:find(options.op, 1, true)
    and row.name ~= options.skip then
    row.functions = has(row, "function") and functions_of(row) or {}
    row.has_method, row.has_inplace, row.has_out = has(row, "method"), has(row, "inplace"), has(row, "out")
    rows[#rows + 1] = row
  end
end

-- --- one call -----------------------------------------------------------------------------------

-- Arguments from a sample call of the row, some of them changed.
local function from_case(pool, row)
  local ok, sample = pcall(samples.sample, row, pick(row.cases), chance(0.6) and pick { torch.float32, torch.float64 } or pool.dtype)
  if not ok then return nil end
  local args, named = sample.args, sample.named
  local by_name = {}
  for _, a in ipairs(row.args) do by_name[a.name] = a end
  local change = pick { 0, 0.1, 0.1, 0.3 }
  local function mutate(value, declared)
    if torch.is_tensor(value) then
      if declared and chance(change) then return values.argument(pool, declared) end
      if chance(0.35) then value = values.relayout(value) end
      if pool.wants_grad and chance(0.7) then value = values.with_grad(pool, value) end
      pool.tensors[#pool.tensors + 1] = value
      return value
    end
    if declared and chance(change) then return values.argument(pool, declared) end
    if type(value) == "table" and torch.is_tensor(value[1]) then
      for i = 1, #value do value[i] = mutate(value[i]) end
    end
    return value
  end
  for i = 1, args.n do args[i] = mutate(args[i], row.args[i]) end
  local order = {}
  for name in pairs(named) do order[#order + 1] = name end
  table.sort(order)
  for _, name in ipairs(order) do named[name] = mutate(named[name], by_name[name]) end
  for i = args.n + 1, #row.args do
    local a = row.args[i]
    if named[a.name] == nil and chance(0.1) then named[a.name] = values.argument(pool, a) end
  end
  return args, named
end

-- Arguments made from the types of the signature.
local function from_types(pool, row)
  local args, named, positional = { n = 0 }, {}, true
  for _, a in ipairs(row.args) do
    local optional = a.type:sub(-1) == "?" or a.default ~= nil
    if a.keyword_only or chance(0.1) then positional = false end
    if optional and chance(0.5) or chance(0.01) then positional = false
    else
      local value = values.argument(pool, a)
      if positional then
        args.n = args.n + 1
        args[args.n] = value
      else named[a.name] = value end
    end
  end
  return args, named
end

local function packed(call)
  local args = { n = call.args.n }
  for i = 1, args.n do args[i] = call.args[i] end
  local named = call.named
  if call.out ~= nil then
    named = { out = call.out }
    for k, v in pairs(call.named) do named[k] = v end
  end
  if next(named) ~= nil then
    args.n = args.n + 1
    args[args.n] = named
  end
  return args
end

--- Runs a call (a table of fn, args, named, out): ok, results (table.pack) or the error, processor seconds.
local function invoke(call)
  local args = packed(call)
  torch.manual_seed(1)
  for _, generator in ipairs(call.generators) do generator:manual_seed(1) end
  local start = os.clock()
  local results = table.pack(pcall(call.fn, table.unpack(args, 1, args.n)))
  local seconds = os.clock() - start
  if not results[1] then return false, results[2], seconds end
  return true, table.pack(table.unpack(results, 2, results.n)), seconds
end

local function method_of(row, args, suffix)
  local self = args[1]
  if not torch.is_tensor(self) then return nil end
  local ok, fn = pcall(function() return self[row.name .. (suffix or "")] end)
  return ok and fn or nil
end

-- A tensor, or a list of them, to write results to: fresh, of any kind, or one of the arguments.
local function make_out(pool, row, reference)
  local function one(i)
    local r, like = random(), reference and reference[i]
    if r < 0.35 then return torch.empty({ 0 }, { dtype = torch.is_tensor(like) and like.dtype or pool.dtype }) end
    if r < 0.55 and torch.is_tensor(like) and like:numel() < 2000 then
      local zeros = torch.zeros_like(like:detach())
      local ok, view = pcall(values.relayout, zeros) -- a size may be absurd where another is 0
      return ok and view or zeros
    end
    if r < 0.75 and #pool.tensors > 0 then return pick(pool.tensors) end
    return values.tensor(pool)
  end
  if chance(0.02) then return values.wrong(pool) end
  if #row.results == 1 and row.results[1].type == "Tensor" then return one(1) end
  local list = {}
  for i = 1, chance(0.95) and #row.results or random(0, 5) do list[i] = one(i) end
  return list
end

local function describe_call(call)
  local seen, parts = {}, {}
  for i = 1, call.args.n do parts[i] = values.describe(call.args[i], seen) end
  local names = {}
  for name in pairs(call.named) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = name .. " = " .. values.describe(call.named[name], seen) end
  if call.out ~= nil then parts[#parts + 1] = "out = " .. values.describe(call.out, seen) end
  return ("%s (%s): %s"):format(call.row.cname, call.form, table.concat(parts, ", "))
end

-- --- steps --------------------------------------------------------------------------------------

local log = options.log and assert(io.open(options.log, "w"))
local step_number, step_findings, n_failed, n_passed = 0, 0, 0, 0
local reports = {}

local function note(text)
  if alone then
    print(text)
    io.stdout:flush()
  end
  if not log then return end
  log:seek "set"
  log:write(("step %d of seed %d: %s\n\n"):format(step_number, options.seed, text))
  log:flush()
end

local description = "" -- of the current call
local function finding(kind, name, message)
  step_findings = step_findings + 1
  local id = kind .. " " .. name
  reports[id] = (reports[id] or 0) + 1
  if reports[id] > MAX_REPORTS then return end
  print(("FAILED step %d, %s of %s: %s\n    %s"):format(step_number, kind, name, (tostring(message):gsub("\n.*", "")), description))
  io.stdout:flush()
end

local context = { torch = torch, core = core, values = values, invoke = invoke, finding = finding, note = note,
  method_of = method_of, slow_seconds = SLOW_SECONDS }
checks.bind(context)

local function call_step(pool)
  local row = pick(rows)
  local args, named
  if #row.cases > 0 and chance(0.6) then args, named = from_case(pool, row) end
  if not args then args, named = from_types(pool, row) end
  if chance(0.01) then named[pick { "nonsense", "dimm", "keepdims", "self" }] = values.wrong(pool) end
  local call = { row = row, args = args, named = named, generators = pool.generators }
  local forms = {}
  for _, fn in ipairs(row.functions) do forms[#forms + 1] = { "function", fn } end
  local method = row.has_method and method_of(row, args)
  if method then forms[#forms + 1] = { "method", method } end
  if row.has_inplace and method_of(row, args, "_") then forms[#forms + 1] = { "inplace", method_of(row, args, "_") } end
  if row.has_out and row.functions[1] then forms[#forms + 1] = { "out", row.functions[1] } end
  if #forms == 0 then return end
  local form = pick(forms)
  call.form, call.fn = form[1], form[2]
  -- What the function gives for the same arguments, to compare with.
  local reference
  if call.form == "inplace" or call.form == "out" then
    local base = row.functions[1] or method
    if base then
      reference = { row = row, generators = pool.generators, args = args, named = named, form = "function", fn = base }
      description = describe_call(reference)
      note(description)
      reference.ok, reference.results = invoke(reference)
    end
    if call.form == "out" then
      call.out = make_out(pool, row, reference and reference.ok and reference.results) end
  end
  description = describe_call(call)
  note(description)
  checks.run(pool, call, reference)
end

local function action_step(pool)
  local text, action, word = pick(actions.list)(pool)
  description = text
  note(text)
  if chance(0.1) then core.memory_fail_after(random(0, 20)) end
  local start = os.clock()
  local ok, message = pcall(action)
  core.memory_fail_after(-1)
  if not ok then checks.message(message, nil, word) end
  if os.clock() - start > SLOW_SECONDS then finding("slowness", "an action", ("%.1f s"):format(os.clock() - start)) end
end

local function step(k)
  step_number, step_findings, description = k, 0, ""
  math.randomseed(options.seed, k)
  torch.manual_seed(k)
  local pool = values.pool()
  local made, message = pcall(chance(0.8) and call_step or action_step, pool)
  core.memory_fail_after(-1)
  if not made then finding("a fault of the fuzzer", "itself", message) end
  if not torch.is_grad_enabled() or torch.is_inference_mode_enabled() or torch.get_default_dtype() ~= torch.float32 then
    finding("a mode left behind", "torch", "grad mode, inference mode or default dtype changed")
    torch.set_grad_enabled(true)
    torch.set_default_dtype(torch.float32)
  end
  -- As in PyTorch, a gradient with a history holds its leaf, and the leaf the gradient.
  for _, t in ipairs(pool.tensors) do pcall(function() t.grad = nil end) end
  for _, t in ipairs(pool.leaves) do pcall(function() t.grad = nil end) end
  if step_findings > 0 then n_failed = n_failed + 1 else n_passed = n_passed + 1 end
end

-- --- leaks --------------------------------------------------------------------------------------

local function live()
  collectgarbage()
  collectgarbage()
  core.memory_empty_cache() -- and with it the plans of transforms
  return core.memory_stats().live_count
end

-- What the steps left behind a first time may be a cache's (plans of transforms): only what grows again when they
-- are repeated is a leak.
local live_before
local function check_leaks(from, to)
  local now = live()
  if live_before and now > live_before then
    local passed, failed = n_passed, n_failed
    for k = from, to do step(k) end
    n_passed, n_failed = passed, failed
    live_before, now = now, live()
  end
  if live_before and now > live_before then
    description = ("between steps %d and %d"):format(from, to)
    finding("a leak", "storages", ("%d more are alive"):format(now - live_before))
    n_failed, n_passed = n_failed + 1, n_passed - 1
  end
  live_before = now
end

-- --- the run ------------------------------------------------------------------------------------

print(("seed %d, %d rows"):format(options.seed, #rows))
local begun = core.now()
if alone then
  -- What is made once and kept, such as the constant torch.j, is made now.
  for k = 1, 20 do
    math.randomseed(0, k)
    values.tensor(values.pool())
  end
  live_before = live()
  step(alone)
  check_leaks(alone, alone)
else
  local k = (options.from or 1) - 1
  local checked, last = k, options.steps and k + options.steps
  while (not last or k < last) and (not options.seconds or core.now() - begun < options.seconds) do
    k = k + 1
    step(k)
    if k % LEAK_INTERVAL == 0 then
      check_leaks(checked + 1, k)
      checked = k
    end
  end
  check_leaks(checked + 1, k)
end

local ids = {}
for id, n in pairs(reports) do ids[#ids + 1] = ("%6d  %s"):format(n, id) end
table.sort(ids)
for _, text in ipairs(ids) do print(text) end
print(("%d steps in %.0f s, seed %d"):format(n_passed + n_failed, core.now() - begun, options.seed))
print(("%d passed, %d failed"):format(n_passed, n_failed))
os.exit(n_failed == 0, true)
