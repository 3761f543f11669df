-- The checks of one golden file of distributions; called by distributions_1_spec.lua and distributions_2_spec.lua.
local assert = require "luassert"
local torch = require "lampad"
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/distributions_golden.lua")
local close, close_gradients = golden.close, golden.close_gradients

local function check_attributes(record, d, params)
  assert.equal(record.text, tostring(d))
  assert.same(record.batch_shape, { d.batch_shape:unpack() })
  assert.same(record.event_shape, { d.event_shape:unpack() })
  assert.equal(record.has_rsample, d.has_rsample)
  assert.equal(record.has_enumerate_support, d.has_enumerate_support)
  if record.support then assert.equal(record.support, tostring(d.support)) end
  for _, name in ipairs { "mean", "mode", "variance", "stddev" } do
    if record[name] then close(record[name], d[name], name) end
  end
  if record.variance_grad then close_gradients(record.variance_grad, d.variance, params, "variance") end
end

local function check_draws(record, d, params)
  torch.manual_seed(3)
  if record.sample then close(record.sample, d:sample(), "sample") end
  if record.samples then close(record.samples, d:sample { 2, 3 }, "sample{2, 3}") end
  if record.rsample then
    torch.manual_seed(5)
    local drawn = d:rsample(2)
    close(record.rsample, drawn, "rsample")
    if record.rsample_grad then close_gradients(record.rsample_grad, drawn, params, "rsample", 20) end
  end
  if record.expanded_sample then
    local wide = golden.make(record):expand { 2, table.unpack(record.batch_shape) }
    assert.equal(record.expanded_text, tostring(wide))
    torch.manual_seed(7)
    close(record.expanded_sample, wide:sample(), "expanded sample")
  end
end

local function check_functions(record, d, params)
  local value = golden.tensor(record.value)
  if record.log_prob then
    local log_prob = d:log_prob(value)
    close(record.log_prob, log_prob, "log_prob", 5)
    if record.log_prob_grad then close_gradients(record.log_prob_grad, log_prob, params, "log_prob", 20) end
    if record.value_grad then
      local leaf = value:clone():requires_grad_(true)
      close_gradients(record.value_grad, d:log_prob(leaf), { leaf }, "log_prob by value", 20)
    end
  end
  for _, name in ipairs { "entropy", "perplexity" } do
    if record[name] then close(record[name], d[name](d), name) end
  end
  if record.entropy_grad then close_gradients(record.entropy_grad, d:entropy(), params, "entropy", 5) end
  if record.cdf then close(record.cdf, d:cdf(value), "cdf") end
  if record.cdf_grad then close_gradients(record.cdf_grad, d:cdf(value), params, "cdf", 20) end
  if record.icdf then
    local quantile = d:icdf(golden.tensor(record.u))
    close(record.icdf, quantile, "icdf")
    if record.icdf_grad then close_gradients(record.icdf_grad, quantile, params, "icdf", 20) end
  end
  if record.enumerate then
    close(record.enumerate, d:enumerate_support(), "enumerate_support")
    close(record.enumerate_narrow, d:enumerate_support { expand = false }, "enumerate_support{expand = false}")
  end
end

local methods = { enumerate = "enumerate_support", enumerate_narrow = "enumerate_support", sample = "rsample", samples = "rsample" }
local arguments = { cdf = true, icdf = true, log_prob = true }

local function check_absences(record, d)
  for _, name in ipairs(record.absent or {}) do
    local method = methods[name] or name
    local ok, message = pcall(function()
      local value = d[method]
      if type(value) == "function" then return value(d, arguments[method] and golden.tensor(record.value)) end
    end)
    if ok then error(name .. " should be absent", 2) end
    assert.truthy(message:find("implement", 1, true) or message:find("not supported", 1, true), message)
  end
end

return function(it, file)
  for _, record in ipairs(golden.load(file)) do
    local shape = "{" .. table.concat(record.batch_shape, ", ") .. "}"
    it(("%s of %s %s"):format(record.code, shape, record.value[1]), function()
      local d, params = golden.make(record)
      check_attributes(record, d, params)
      check_draws(record, d, params)
      check_functions(record, d, params)
      check_absences(record, d)
    end)
  end
end
