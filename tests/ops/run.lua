--- Schema-driven op tests: build/lampad tests/ops/run.lua [PATTERN]
-- Every sample call of the schema is replayed as function, method, in-place and out variant, on
-- contiguous and strided tensors, over every dtype that has golden values, and its gradients are
-- compared; the first cases are also checked by gradcheck and gradgradcheck, and run with each of
-- their allocations failing. Then come the error cases of errors.lua. PATTERN selects rows whose C
-- name contains it. The last line is "N passed, N failed".
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path
local torch = require "lampad"
local samples = require "samples"
local golden = require "golden"

local pattern = arg[1] or ""
local build = os.getenv("LAMPAD_BUILD") or "build"
local op_db = dofile(build .. "/gen/op_db.lua")

local passed, failed, stale = 0, 0, {}
local reported = {}
local MAX_REPORTS = 6 -- of one op

local function report(row, where, message)
  failed = failed + 1
  reported[row.cname] = (reported[row.cname] or 0) + 1
  if reported[row.cname] <= MAX_REPORTS then
    print(("FAILED %s %s: %s"):format(row.cname, where, (tostring(message):gsub("\n.*", ""))))
  end
end

-- --- what to call -------------------------------------------------------------------------------

local function has(row, variant)
  for _, v in ipairs(row.variants) do
    if v == variant then return true end
  end
  return false
end

local core = require "lampad.core"

local function module_of(name)
  return name == "torch" and torch or core.modules[name]
end

-- Functions of the row, as {text, function}: one for each module it lives in.
local function functions_of(row)
  local list = {}
  for name in row.module:gmatch("%S+") do
    local module = module_of(name)
    local fn = module and module[row.name]
    list[#list + 1] = { name == "torch" and "torch." .. row.name or "torch." .. name .. "." .. row.name, fn }
  end
  return list
end

-- How results are compared where PyTorch's values are not the only right ones.
local only_shape = { empty = true, empty_like = true, empty_strided = true, new_empty = true, new_empty_strided = true,
  resize = true }
local free_signs = { svd = true, linalg_svd = true, linalg_eigh = true, qr = true, linalg_qr = true, linalg_eig = true }

-- Ops whose input may not be strided, because they read its memory as it lies.
local dense_only = { view_dtype = true, as_strided = true, as_strided_scatter = true, view_as_complex = true }
-- Ops whose gradient is by design not the derivative: rows left out, matrices taken as symmetric, rows taken as
-- log-probabilities.
local no_differences = { embedding = true, ctc_loss = true, ctc_loss_tensor = true, linalg_cholesky = true,
  linalg_cholesky_ex = true, linalg_eigvalsh = true,
  cholesky_solve = true, cholesky_inverse = true,
  linalg_eigh = true, cholesky = true, linalg_matrix_sqrth = true, fake_quantize_per_tensor_affine = true }

local function how_of(row)
  return { shape_only = only_shape[row.name], signless = free_signs[row.cname] }
end

-- Calls fn with a sample's arguments; extra: one more named argument.
local function call(fn, sample, extra)
  local args = table.pack(table.unpack(sample.args, 1, sample.args.n))
  local named = sample.named
  if extra then
    named = {}
    for k, v in pairs(sample.named) do named[k] = v end
    for k, v in pairs(extra) do named[k] = v end
  end
  torch.manual_seed(0)
  if next(named) == nil then return table.pack(fn(table.unpack(args, 1, args.n))) end
  args[args.n + 1] = named
  return table.pack(fn(table.unpack(args, 1, args.n + 1)))
end

-- One check: body returns nil or what is wrong.
local function check(row, where, body)
  local ok, trouble = xpcall(body, function(e) return "raised " .. tostring(e) end)
  if ok and trouble == nil then passed = passed + 1 else report(row, where, trouble) end
end

local function self_of(sample)
  return torch.is_tensor(sample.args[1]) and sample.args[1] or nil
end

-- --- the checks of one record -------------------------------------------------------------------

local function same_shape(expected, t)
  if expected.kind ~= "tensor" or expected.dtype ~= t.dtype then return false end
  return t.shape == torch.Size(expected.shape)
end

local function check_inplace(row, case, record, where, strided)
  check(row, where, function()
    local sample = samples.sample(row, case, record.dtype, strided)
    local self = self_of(sample)
    local results = call(self[row.name .. "_"], sample)
    if results[1] ~= self then return "did not return self" end
    return golden.compare(record.result, results, how_of(row))
  end)
end

local function out_like(expected)
  if expected.kind == "tensor" then return torch.empty({ 0 }, { dtype = expected.dtype }) end
  local list = {}
  for i, item in ipairs(expected) do list[i] = out_like(item) end
  return list
end

local function check_forward(row, case, record)
  local dtype = record.dtype
  local label = ("(%s) %s"):format(case, tostring(dtype))
  local how = how_of(row)
  local functions = has(row, "function") and functions_of(row) or {}
  for _, f in ipairs(functions) do
    check(row, label .. " function", function()
      if not f[2] then return "there is no " .. f[1] end
      return golden.compare(record.result, call(f[2], samples.sample(row, case, dtype)), how)
    end)
    if not dense_only[row.cname] then
      check(row, label .. " strided", function()
        if not f[2] then return "there is no " .. f[1] end
        return golden.compare(record.result, call(f[2], samples.sample(row, case, dtype, true)), how)
      end)
    end
    if has(row, "out") then
      check(row, label .. " out", function()
        local out = out_like(record.result)
        local results = call(f[2], samples.sample(row, case, dtype), { out = out })
        if record.result.kind == "tensor" and results[1] ~= out then return "did not return out" end
        return golden.compare(record.result, torch.is_tensor(out) and { out } or out, how)
      end)
    end
  end
  if has(row, "method") and row.args[1] and row.args[1].type:match("^Tensor%??$") then
    check(row, label .. " method", function()
      local sample = samples.sample(row, case, dtype, #functions == 0 and not dense_only[row.cname])
      local self = self_of(sample)
      if not self then return nil end
      return golden.compare(record.result, call(self[row.name], sample), how)
    end)
  end
  if has(row, "inplace") then
    local self = self_of(samples.sample(row, case, dtype))
    if self and same_shape(record.result, self) then
      check_inplace(row, case, record, label .. " in place", false)
      check_inplace(row, case, record, label .. " in place, strided", true)
    end
  end
end

local function tensors_of(results)
  local list = {}
  local function add(value)
    if torch.is_tensor(value) then list[#list + 1] = value
    elseif type(value) == "table" then
      for i = 1, #value do add(value[i]) end
    end
  end
  for i = 1, results.n do add(results[i]) end
  return list
end

local function differentiable_results(results)
  local list = {}
  for _, t in ipairs(tensors_of(results)) do
    if t.requires_grad then list[#list + 1] = t end
  end
  return list
end

-- The function that gradients are taken of, on a sample's own arguments.
local function forward_of(row)
  if has(row, "function") then
    local f = functions_of(row)[1][2]
    return function(sample) return call(f, sample) end
  elseif has(row, "method") then
    return function(sample) return call(sample.args[1][row.name], sample) end
  end
  return function(sample)
    sample.args[1] = sample.args[1]:clone()
    return call(sample.args[1][row.name .. "_"], sample)
  end
end

local function check_gradients(row, case, record)
  -- Signs chosen freely turn the gradients, too; differences check those.
  if #record.grads == 0 or free_signs[row.cname] then return end
  local label = ("(%s) %s gradient"):format(case, tostring(record.dtype))
  for _, strided in ipairs(dense_only[row.cname] and { false } or { false, true }) do
    check(row, label .. (strided and ", strided" or ""), function()
      local sample = samples.sample(row, case, record.dtype, strided)
      for i, t in ipairs(sample.inputs) do sample.inputs[i] = t:requires_grad_() end
      local outputs = differentiable_results(forward_of(row)(sample))
      local fed = {}
      for i, t in ipairs(outputs) do fed[i] = samples.weights(t, sample.seed .. "|w" .. i - 1) end
      local options = { grad_outputs = fed, allow_unused = true }
      local grads = #outputs == 0 and {} or table.pack(torch.autograd.grad(outputs, sample.inputs, options))
      if type(grads[1]) == "table" then grads = grads[1] end
      for i, expected in ipairs(record.grads) do
        local trouble = golden.compare_gradient(expected, grads[i])
        if trouble then return ("of input %d: %s"):format(i - 1, trouble) end
      end
    end)
  end
end

local function check_numerically(row, case, record)
  if #record.grads == 0 or record.dtype ~= torch.float64 or no_differences[row.cname] then return end
  if not golden.is_precise(record.result) then return end
  for _, grad in ipairs(record.grads) do
    if golden.has_nan(grad) then return end
  end
  local total = 0
  local probe = samples.sample(row, case, record.dtype)
  for _, t in ipairs(probe.inputs) do total = total + t:numel() end
  if total > 60 then return end
  for _, name in ipairs { "gradcheck", "gradgradcheck" } do
    if torch.autograd[name] then
      check(row, ("(%s) %s"):format(case, name), function()
        local sample = samples.sample(row, case, record.dtype)
        for i, t in ipairs(sample.inputs) do sample.inputs[i] = t:requires_grad_() end
        local forward, wanted = forward_of(row), nil
        -- The results that depend on the inputs; the differences run without recording, so the first call tells.
        local function body()
          local copy = { args = table.move(sample.args, 1, sample.args.n, 1, { n = sample.args.n }),
            named = sample.named }
          local all, list = tensors_of(forward(copy)), {}
          if not wanted then
            wanted = {}
            for i, t in ipairs(all) do wanted[i] = t.requires_grad end
          end
          for i, t in ipairs(all) do
            if wanted[i] then list[#list + 1] = t end
          end
          return table.unpack(list)
        end
        local ok, message = pcall(torch.autograd[name], body, sample.inputs)
        -- A constant gradient has no second derivative to check; some have none to give, as in PyTorch.
        local none = tostring(message):find("no output requires grad", 1, true)
          or tostring(message):find("is not differentiable: call backward", 1, true)
        if not ok and not (name == "gradgradcheck" and none) then
          return message
        end
      end)
    end
  end
end

-- --- failing allocations ------------------------------------------------------------------------

local function live_storages()
  collectgarbage()
  return core.memory_stats().live_count
end

-- Every allocation of the call (and of its gradient) fails in turn: an error that speaks of memory, and
-- no storage left behind.
local function check_allocations(row, case, with_gradient)
  check(row, ("(%s) failing allocations%s"):format(case, with_gradient and " with gradient" or ""), function()
    local sample, forward = samples.sample(row, case, torch.float64), forward_of(row)
    if with_gradient then
      for i, t in ipairs(sample.inputs) do sample.inputs[i] = t:requires_grad_() end
    end
    local function body()
      local copy = { args = table.move(sample.args, 1, sample.args.n, 1, { n = sample.args.n }), named = sample.named }
      local results = forward(copy)
      local outputs, fed = with_gradient and differentiable_results(results) or {}, {}
      for i, t in ipairs(outputs) do fed[i] = torch.ones_like(t:detach()) end
      if #outputs > 0 then
        torch.autograd.grad(outputs, sample.inputs, { grad_outputs = fed, allow_unused = true })
      end
    end
    if not pcall(body) then return nil end -- the other checks say why
    local before = live_storages()
    for n = 0, 5000 do
      core.memory_fail_after(n)
      local ok, message = pcall(body)
      core.memory_fail_after(-1)
      if ok then break end
      if not tostring(message):find("memory", 1, true) then
        return ("allocation %d failed with: %s"):format(n, tostring(message))
      end
    end
    local left = live_storages() - before
    return left ~= 0 and ("%d storages were left behind"):format(left) or nil
  end)
end

-- --- everything ---------------------------------------------------------------------------------

local records = {}
do
  local list = assert(io.popen("ls '" .. here .. "/../golden/ops'"))
  for name in list:lines() do
    if name:match("%.bin$") then golden.load(here .. "/../golden/ops/" .. name, records) end
  end
  list:close()
end


local n_ops, n_calls, n_records = 0, 0, 0
for _, row in ipairs(op_db) do
  local is_public = not (#row.variants == 1 and row.variants[1] == "internal")
  if is_public and row.cname:find(pattern, 1, true) then
    for _, alias in ipairs(row.aliases) do
      check(row, "alias " .. alias, function()
        local module = module_of(row.module:match("%S+"))
        if has(row, "function") and not module[alias] then return "there is no function " .. alias end
      end)
    end
    n_ops = n_ops + 1
    for i, case in ipairs(row.cases) do
      n_calls = n_calls + 1
      local list = records[row.cname] and records[row.cname][case]
      if not list then stale[#stale + 1] = row.cname .. "(" .. case .. ")" end
      for _, record in ipairs(list or {}) do
        n_records = n_records + 1
        check_forward(row, case, record)
        check_gradients(row, case, record)
        if i <= 2 and row.differentiable then check_numerically(row, case, record) end
      end
    end
    collectgarbage()
  end
end

for name in pairs(records) do records[name] = nil end -- the collections below are quicker without them
for _, row in ipairs(op_db) do
  local is_public = not (#row.variants == 1 and row.variants[1] == "internal")
  if is_public and row.cname:find(pattern, 1, true) and row.cases[1] then
    check_allocations(row, row.cases[1], false)
    if row.differentiable then check_allocations(row, row.cases[1], true) end
  end
end

local errors = require "errors"
for _, case in ipairs(errors) do
  if pattern == "" or case[1]:find(pattern, 1, true) then
    check({ cname = "error" }, case[1], function()
      local chunk = assert(load("local torch = ...; " .. case[1]))
      local ok, message = pcall(chunk, torch)
      if ok then return "raised no error" end
      for i = 2, #case do
        if not tostring(message):lower():find(case[i]:lower(), 1, true) then
          return ("the error %q does not say %q"):format(tostring(message), case[i])
        end
      end
    end)
  end
end

for name, n in pairs(reported) do
  if n > MAX_REPORTS then print(("... and %d more of %s"):format(n - MAX_REPORTS, name)) end
end
if #stale > 0 then
  print(("%d sample calls have no golden values (PyTorch lacks them, or run scripts/gen/golden.py)"):format(#stale))
  if pattern ~= "" or #stale <= 10 then
    for _, text in ipairs(stale) do print("  " .. text) end
  end
end
print(("%d ops, %d sample calls, %d of their golden results over all dtypes, %d error cases"):format(n_ops, n_calls,
  n_records, #errors))
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
