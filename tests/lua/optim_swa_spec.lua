-- optim.swa_utils against PyTorch (tests/golden/optim.lua), its errors; nn.utils' clipping of gradients.
local torch = require "lampad"
local nn, optim = torch.nn, torch.optim
local swa = optim.swa_utils
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local golden = dofile(here .. "/../golden/optim.lua")

local function wave(shape, phase)
  local count, values = 1, {}
  for _, n in ipairs(shape) do count = count * n end
  for k = 0, count - 1 do values[k + 1] = math.sin(0.7 * k + phase) end
  return torch.tensor(values, { dtype = torch.float64 }):reshape(shape)
end

local function make_net()
  local net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)):double()
  local i = 0
  for p in net:parameters() do
    torch.no_grad(function() p:copy_(wave({ p.shape:unpack() }, i) * 0.5) end)
    i = i + 1
  end
  return net
end

local function check(expected, model)
  local i = 0
  for key, value in model:state_dict():items() do
    i = i + 1
    for k, v in ipairs(value:reshape(-1):double():tolist()) do
      local difference = math.abs(expected[i][k] - v)
      if not (difference < 1e-7) then error(("%s[%d] is %.12g, expected %.12g"):format(key, k - 1, v, expected[i][k])) end
    end
  end
  assert.equal(#expected, i)
end

describe("swa_utils", function()
  for _, row in ipairs(golden.averages) do
    it(row.code .. " gives PyTorch's averages", function()
      local net = make_net()
      local averaged = assert(load("return " .. row.code, "=golden", "t", { swa = swa, net = net }))()
      local optimizer = optim.SGD(net:parameters(), { lr = 0.2, momentum = 0.5 })
      local batches = {}
      for step = 0, 4 do
        batches[step + 1] = { wave({ 6, 3 }, 0.3 * step), 0 }
        optimizer:zero_grad()
        local difference = net(batches[step + 1][1]) - wave({ 6, 2 }, 0.9)
        difference:square():mean():backward()
        optimizer:step()
        averaged:update_parameters(net)
      end
      local keys = {}
      for key in averaged:state_dict():keys() do keys[#keys + 1] = key end
      assert.same(row.keys, keys)
      check(row.before, averaged)
      averaged:eval()
      swa.update_bn(batches, averaged)
      assert.is_false(averaged.training)
      check(row.after, averaged)
      assert.equal(0.1, averaged.module[1].momentum)
    end)
  end

  it("keeps the model apart and goes on from its state_dict", function()
    local net = nn.Linear(2, 1)
    local averaged = swa.AveragedModel(net)
    local x = torch.ones(1, 2)
    assert.equal(net(x):item(), averaged(x):item())
    torch.no_grad(function() net.weight:add_(1) end)
    assert.not_equal(net(x):item(), averaged(x):item())
    averaged:update_parameters(net)
    assert.equal(net(x):item(), averaged(x):item())
    local other = swa.AveragedModel(nn.Linear(2, 1))
    other:load_state_dict(averaged:state_dict())
    assert.equal(1, other.n_averaged:item())
    assert.equal(net(x):item(), other(x):item())
  end)

  it("averages float and integer buffers, loaders and models without batch norm", function()
    local fn = swa.get_ema_multi_avg_fn(0.5)
    local counts = torch.tensor { 4 }
    fn({ counts }, { torch.tensor { 8 } }, 1)
    assert.same({ 6 }, counts:tolist())
    swa.update_bn({}, nn.Linear(2, 2))
    local bn = nn.BatchNorm1d(2)
    local data = torch.utils.data
    local loader = data.DataLoader(data.TensorDataset(torch.randn(8, 2), torch.zeros(8)), { batch_size = 4 })
    swa.update_bn(loader, bn, "cpu")
    assert.equal(2, bn.num_batches_tracked:item())
  end)

  it("says what is wrong", function()
    local net = nn.Linear(2, 1)
    local o = optim.SGD(net:parameters(), { lr = 0.1 })
    local wrong = {
      { function() swa.get_ema_multi_avg_fn(2) end, "Invalid decay value 2 provided" },
      { function() swa.get_ema_avg_fn(-1) end, "Invalid decay value %-1 provided" },
      { function() swa.AveragedModel(3) end, "'model' must be a module" },
      { function() swa.AveragedModel(net, { avg_fn = swa.get_swa_avg_fn(), multi_avg_fn = swa.get_swa_multi_avg_fn() }) end,
        "Only one of avg_fn and multi_avg_fn" },
      { function() swa.AveragedModel(net):update_parameters(3) end, "expected a module, got number" },
      { function() swa.SWALR(o, { 0.1, 0.2 }) end, "swa_lr must have the same length as optimizer.param_groups" },
      { function() swa.SWALR(o, 0.1, { anneal_strategy = "x" }) end, "anneal_strategy must be one of 'cos' or 'linear'" },
      { function() swa.SWALR(o, 0.1, { anneal_epochs = -1 }) end, "anneal_epochs must be equal or greater than 0" },
      { function() swa.SWALR(o, 0.1, { anneal_epochs = 1.5 }) end, "anneal_epochs must be equal or greater than 0" },
      { function() swa.SWALR(3, 0.1) end, "is not an Optimizer" },
      { function() swa.update_bn(3, nn.BatchNorm1d(2)) end, "loader must be a data loader" },
    }
    for _, row in ipairs(wrong) do assert.error_matches(row[1], row[2]) end
  end)
end)

describe("clipping of gradients", function()
  local utils = nn.utils
  local function with_grad(values, dtype)
    local p = torch.ones(#values, { dtype = dtype, requires_grad = true })
    p.grad = torch.tensor(values, { dtype = dtype })
    return p
  end

  it("scales by the norm of all", function()
    local a, b = with_grad { 3.0, 0.0 }, with_grad { 4.0 }
    local total = utils.clip_grad_norm_({ a, b }, 1.0)
    assert.equal(5, total:item())
    assert.is_true(math.abs(a.grad[0]:item() - 0.6) < 1e-6)
    assert.is_true(math.abs(b.grad[0]:item() - 0.8) < 1e-6)
    utils.clip_grad_norm_({ a, b }, 10)
    assert.is_true(math.abs(b.grad[0]:item() - 0.8) < 1e-6)
    assert.equal(4, utils.get_total_norm({ torch.tensor { 3.0 }, torch.tensor { -4.0 } }, math.huge):item())
    assert.equal(7, utils.get_total_norm({ torch.tensor { 3.0 }, torch.tensor { -4.0 } }, 1):item())
    assert.equal(4, utils.get_total_norm({ torch.tensor { 3.0 }, torch.tensor { -4.0 } }, "inf"):item())
    utils.clip_grads_with_norm_({ a, b }, 1, torch.tensor(2.0))
    assert.is_true(math.abs(b.grad[0]:item() - 0.4) < 1e-6)
  end)

  it("takes one tensor, an iterator, mixed dtypes, nothing", function()
    local a, b = with_grad { 3.0 }, with_grad({ 4.0 }, torch.bfloat16)
    assert.equal(3, utils.clip_grad_norm_(a, 5):item())
    local net = nn.Linear(2, 1)
    assert.equal(0, utils.clip_grad_norm_(net:parameters(), 5):item())
    assert.equal(torch.float32, utils.clip_grad_norm_({ a, b }, 50).dtype)
    assert.equal(0, utils.clip_grad_norm_({}, 1):item())
    local iterator = net:parameters()
    for _ in iterator do net.training = true end
    local warned = torch.warnings.catch_warnings(function() utils.clip_grad_norm_(iterator, 1) end)
    assert.is_truthy(warned[1].message:find("empty iterator", 1, true))
    utils.clip_grad_value_({ a, b, torch.ones(1) }, 0.5)
    assert.equal(0.5, a.grad[0]:item())
    assert.equal(0.5, b.grad[0]:item())
  end)

  it("passes non-finite norms on, or refuses them", function()
    local a = with_grad { 3.0, 0 / 0 }
    local total = utils.clip_grad_norm_({ a }, 1)
    assert.is_true(total:isnan():item())
    assert.is_true(a.grad:isnan():all():item())
    local b = with_grad { 3.0, math.huge }
    assert.error_matches(function() utils.clip_grad_norm_({ b }, 1, { error_if_nonfinite = true }) end,
      "The total norm of order 2.0 for gradients from `parameters` is non%-finite")
    assert.equal(3, b.grad[0]:item())
    assert.error_matches(function() utils.clip_grad_norm_({ b }, 1, { norm_type = "x" }) end, "norm_type must be a number")
    assert.error_matches(function() utils.clip_grad_norm_({ 3 }, 1) end, "parameters must be tensors, but number 0 is")
    assert.error_matches(function() utils.clip_grad_norm_(3, 1) end, "parameters must be a tensor, a list or an iterator")
  end)
end)
