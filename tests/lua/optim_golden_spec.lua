-- torch.optim against PyTorch's trajectories (tests/golden/optim.lua, written by scripts/gen/golden_optim.py, which says
-- what net, data and parameters these are).
local torch = require "lampad"
local optim = torch.optim
local warnings = torch.warnings
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/optim.lua")
local SHAPES = { { 4, 3 }, { 4 }, { 2, 4 }, { 2 }, {} }
local MATRICES = { { 4, 3 }, { 2, 4 } }

local function wave(shape, phase, dtype)
  local count, values = 1, {}
  for _, n in ipairs(shape) do count = count * n end
  for k = 0, count - 1 do values[k + 1] = math.sin(0.7 * k + phase) end
  local t = torch.tensor(values, { dtype = torch.float64 })
  if dtype.is_complex then
    for k = 0, count - 1 do values[k + 1] = math.cos(1.3 * k + phase) end
    t = torch.complex(t, torch.tensor(values, { dtype = torch.float64 }))
  end
  return t:reshape(shape):to(dtype)
end

local function parameters(dtype, shapes)
  local result = {}
  for i, shape in ipairs(shapes) do result[i] = (wave(shape, i - 1, dtype) * 0.5):requires_grad_() end
  return result
end

local function loss_of(p, step, dtype)
  local x, y = wave({ 6, 3 }, 0.2 + 0.1 * step, dtype), wave({ 6, 2 }, 0.9, dtype)
  if #p == 2 then
    local out = torch.tanh(x:mm(p[1].T)):mm(p[2].T) - y
    return (out * out):mean()
  end
  local hidden = torch.tanh(x:mm(p[1].T) + p[2])
  local out = (hidden:mm(p[3].T) + p[4]) * (p[5] + 1) - y
  return dtype.is_complex and torch.real(out * out:conj()):mean() or (out * out):mean()
end

local function flat(params)
  local parts = {}
  for i, p in ipairs(params) do
    p = p:detach()
    if p.dtype.is_complex then p = torch.view_as_real(p) end
    parts[i] = p:reshape(-1):double()
  end
  return torch.cat(parts)
end

local function checksum(params)
  local total = 0
  for k, v in ipairs(flat(params):tolist()) do total = total + v * math.cos(0.3 * (k - 1)) end
  return total
end

local function near(expected, got, tolerance, what)
  if expected ~= expected and got ~= got then return end
  local bound = tolerance * math.max(1, math.abs(expected))
  if not (math.abs(expected - got) <= bound) then
    error(("%s is %.12g, expected %.12g"):format(what, got, expected), 2)
  end
end

-- Muon computes in bfloat16, whose roundings may fall otherwise.
local function tolerance_of(row) return row.name == "Muon" and 2e-2 or 1e-6 end

local function make(row, params)
  local options = {}
  for k, v in pairs(row.options) do options[k] = torch.is_tensor(v) and v:clone() or v end
  return optim[row.name](params, options)
end

local function step(row, optimizer, params, number, dtype)
  if row.name == "LBFGS" then number = 0 end
  local function closure()
    optimizer:zero_grad()
    local loss = loss_of(params, number, dtype)
    if row.options.maximize then loss = -loss end
    loss:backward()
    return loss
  end
  if row.name == "LBFGS" then
    optimizer:step(closure)
  else
    closure()
    optimizer:step()
  end
end

local function check_state(row, optimizer)
  local state = optimizer:state_dict().state
  for index, expected in pairs(row.state) do
    local entry = state[index]
    for name, value in pairs(expected) do
      local what = ("state[%d].%s"):format(index, name)
      local got = entry[name]
      if got == nil then error(what .. " is missing") end
      if type(value) ~= "table" then
        if torch.is_tensor(got) then got = got:item() end
        near(value, got, 1e-6, what)
      elseif torch.is_tensor(got) then
        near(value[1], checksum { got }, 1e-5, what)
        assert.same({ table.unpack(value, 2) }, { got.shape:unpack() })
        if name == "step" then assert.equal(torch.float32, got.dtype) end
      elseif type(got) == "number" then
        near(value[1], got, 1e-6, what)
      else
        assert.equal(value[1], #got)
      end
    end
    for name in pairs(entry) do
      if expected[name] == nil then error(("state[%d].%s is not in PyTorch's"):format(index, name)) end
    end
  end
end

describe("PyTorch's trajectories of", function()
  for number, row in ipairs(golden.optimizers) do
    local dtype = torch[row.dtype]
    local shapes = row.name == "Muon" and MATRICES or SHAPES
    it(("%s (%d)"):format(row.name, number), function()
      local params = parameters(dtype, shapes)
      local optimizer = make(row, params)
      for i, expected in ipairs(row.sums) do
        step(row, optimizer, params, i - 1, dtype)
        near(expected, checksum(params), tolerance_of(row), "the sum after step " .. i)
      end
      for k, v in ipairs(flat(params):tolist()) do
        near(row.values[k], v, tolerance_of(row), "value " .. k)
      end
      if row.name ~= "Muon" then check_state(row, optimizer) end
      assert.equal(row.text, tostring(optimizer))
    end)
  end

  it("go on from a state_dict saved in the middle", function()
    for _, row in ipairs(golden.optimizers) do
      local dtype = torch[row.dtype]
      local params = parameters(dtype, row.name == "Muon" and MATRICES or SHAPES)
      local optimizer = make(row, params)
      local half = #row.sums // 2
      for i = 1, half do step(row, optimizer, params, i - 1, dtype) end
      local others = {}
      for i, p in ipairs(params) do others[i] = p:detach():clone():requires_grad_() end
      local resumed = optim[row.name](others)
      resumed:load_state_dict(optimizer:state_dict())
      for i = half + 1, #row.sums do
        step(row, resumed, others, i - 1, dtype)
        near(row.sums[i], checksum(others), tolerance_of(row), row.name .. "'s sum after step " .. i)
      end
      assert.equal(row.text, tostring(resumed))
    end
  end)

  it("groups and names as text", function()
    local params = parameters(torch.float64, SHAPES)
    local optimizer = optim.SGD({ { params = { params[1], params[2] }, lr = 0.3, momentum = 0.5 },
      { params = { params[3], params[4], params[5] }, name = "head" } }, { lr = 0.1 })
    optim.lr_scheduler.StepLR(optimizer, 3)
    assert.equal(golden.texts[1], tostring(optimizer))
    local named = {}
    for i, name in ipairs { "a", "b", "c", "d", "e" } do named[i] = { name, params[i] } end
    assert.equal(golden.texts[2], tostring(optim.Adam(named, { lr = 0.1 })))
  end)
end)

describe("PyTorch's errors of", function()
  for number, row in ipairs(golden.errors) do
    it(("%s (%d): %s"):format(row.name, number, row.message), function()
      local params = row.name == "Muon" and MATRICES or SHAPES
      local ok, err = pcall(optim[row.name], parameters(torch.float64, params), row.options)
      assert.is_false(ok)
      assert.is_truthy(err:find(row.message, 1, true), err)
    end)
  end
end)

-- --- schedulers -----------------------------------------------------------------------------------------
local kinds = {
  SGD = function(groups) return optim.SGD(groups, { lr = 0.1, momentum = 0.9 }) end,
  Adam = function(groups) return optim.Adam(groups, { lr = 0.1 }) end,
  tensor = function(groups)
    return optim.SGD(groups, { lr = torch.tensor(0.1, { dtype = torch.float64 }), momentum = 0.9 })
  end,
}

local function two_groups(kind)
  local second = 0.3
  if kind == "tensor" then second = torch.tensor(0.3, { dtype = torch.float64 }) end
  return kinds[kind] { { params = { torch.zeros(1, { requires_grad = true }) } },
    { params = { torch.zeros(1, { requires_grad = true }) }, lr = second } }
end

-- A SequentialLR in another one warns of the order of steps, in PyTorch too.
local function scheduler_of(code, optimizer)
  local load_code = assert(load("return " .. code, "=golden", "t", {
    S = optim.lr_scheduler, swa = optim.swa_utils, o = optimizer,
    half = function(e) return 0.95 ^ e end, wave = function(e) return 1 / (1 + e) end,
  }))
  local result
  warnings.catch_warnings(function() result = load_code() end)
  return result
end

local function metric(i) return math.sin(0.4 * i) + 1 / (1 + i) end

local function number(v) return torch.is_tensor(v) and v:item() or v end

local function check_rates(row, optimizer, i)
  for g, group in ipairs(optimizer.param_groups) do
    near(row.rates[2 * i + g], number(group.lr), 1e-14, ("rate of group %d at step %d"):format(g - 1, i))
    if #row.momenta > 0 then
      near(row.momenta[2 * i + g], group.momentum or group.betas[1], 1e-14, "momentum at step " .. i)
    end
  end
end

local function advance(row, scheduler, optimizer, i)
  optimizer:step()
  if row.plateau then scheduler:step(metric(i)) else scheduler:step() end
end

describe("PyTorch's rates of", function()
  for _, row in ipairs(golden.schedulers) do
    it(row.kind .. " under " .. row.code, function()
      local optimizer = two_groups(row.kind)
      local scheduler = scheduler_of(row.code, optimizer)
      for i = 0, 31 do
        check_rates(row, optimizer, i)
        local last = scheduler:get_last_lr()
        for g, group in ipairs(optimizer.param_groups) do assert.equal(number(group.lr), number(last[g])) end
        if i == 15 then
          -- The second half runs from saved states.
          local states = { optimizer:state_dict(), scheduler:state_dict() }
          optimizer = two_groups(row.kind)
          scheduler = scheduler_of(row.code, optimizer)
          optimizer:load_state_dict(states[1])
          scheduler:load_state_dict(states[2])
        end
        advance(row, scheduler, optimizer, i)
      end
      local keys = {}
      for key, value in pairs(scheduler:state_dict()) do
        if value ~= nil then keys[#keys + 1] = key end
      end
      table.sort(keys)
      assert.same(row.keys, keys)
    end)
  end

  it("jumps to an epoch", function()
    for _, row in ipairs(golden.jumps) do
      local optimizer = two_groups "SGD"
      local scheduler = scheduler_of(row.code, optimizer)
      local warned = warnings.catch_warnings(function()
        for i, epoch in ipairs { 5, 2, 11, 30 } do
          optimizer:step()
          scheduler:step(epoch)
          for g, group in ipairs(optimizer.param_groups) do
            near(row.rates[2 * i - 2 + g], group.lr, 1e-14, row.code .. " at epoch " .. epoch)
          end
        end
      end)
      assert.is_true(#warned == 0 or warned[1].message:find("epoch parameter", 1, true) ~= nil)
    end
  end)
end)
