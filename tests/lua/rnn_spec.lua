-- Recurrent nets: nn.RNN, LSTM, GRU, their cells and nn.utils.rnn against PyTorch (scripts/gen/golden_rnn.py), higher
-- derivatives, vmap, arguments and the messages of wrong calls.
local torch = require "lampad"
local core = require "lampad.core"
local nn = torch.nn
local R = nn.utils.rnn

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local golden = dofile(here .. "/../golden/rnn.lua")
local command = dofile(here .. "/command.lua")

local function digest(t)
  t = t:detach():double():reshape(-1)
  local i = torch.arange(t:numel(), { dtype = torch.float64 })
  return { t:sum():item(), (t * i:cos()):sum():item(), (t * i:sin()):sum():item() }
end

local function check(what, expected, t, tolerance)
  local got = digest(t)
  for i = 1, 3 do
    local slack = tolerance * (1 + math.abs(expected[i]) + math.sqrt(t:numel()))
    assert.is_true(math.abs(got[i] - expected[i]) <= slack,
      ("%s, digest %d: expected %.12g, got %.12g"):format(what, i, expected[i], got[i]))
  end
end

-- The module, its input and states, as the generator made them.
local function make(case)
  torch.manual_seed(case.seed)
  local options, dtype = {}, torch[case.dtype]
  for k, v in pairs(case.shape.options) do options[k] = v end
  local input, hidden = options.input_size or 3, options.hidden_size or 4
  options.input_size, options.hidden_size, options.dtype = input, hidden, dtype
  if case.kind == "RELU" then options.nonlinearity = "relu" end
  local net = nn[case.kind == "RELU" and "RNN" or case.kind](options)
  local batch, steps = case.shape.batch or 4, 5
  local layers = net.num_layers * (net.bidirectional and 2 or 1)
  local x, state
  if case.shape.unbatched then
    x, state = torch.randn(steps, input, { dtype = dtype }), { layers }
  else
    local sizes = net.batch_first and { batch, steps, input } or { steps, batch, input }
    x, state = torch.randn(sizes, { dtype = dtype }), { layers, batch }
  end
  local function sized(n) return { state[1], state[2] or n, state[2] and n or nil } end
  local h = torch.randn(sized(net.proj_size > 0 and net.proj_size or hidden), { dtype = dtype })
  local c = torch.randn(sized(hidden), { dtype = dtype })
  return net, x:requires_grad_(), h:requires_grad_(), c:requires_grad_()
end

describe("recurrent modules", function()
  for _, case in ipairs(golden) do
    it(("give PyTorch's values and gradients: %s (%s, seed %d)"):format(case.text, case.dtype, case.seed), function()
      local net, x, h, c = make(case)
      assert.equal(case.text, tostring(net))
      local lstm, shape = case.kind == "LSTM", case.shape
      local hx = nil
      if shape.hx then hx = lstm and { h, c } or h end
      local given = x
      if shape.lengths then
        local sorted = true
        for i = 2, #shape.lengths do sorted = sorted and shape.lengths[i] <= shape.lengths[i - 1] end
        given = R.pack_padded_sequence(x, shape.lengths, net.batch_first, sorted)
      end
      local out, last = net(given, hx)
      if shape.lengths then
        assert.is_true(R.PackedSequence.is(out))
        out = R.pad_packed_sequence(out, net.batch_first)
      end
      local results = { out, table.unpack(lstm and last or { last }) }
      local tolerance = case.dtype == "float64" and 1e-9 or 2e-5
      local loss = 0
      for i, r in ipairs(results) do
        check("result " .. i, case.results[i], r, tolerance)
        loss = loss + (r:sin() * i):sum()
      end
      loss:backward()
      local leaves = { x }
      if hx then leaves[2] = h end
      if hx and lstm then leaves[3] = c end
      for p in net:parameters() do leaves[#leaves + 1] = p end
      assert.equal(#case.grads, #leaves)
      for i, leaf in ipairs(leaves) do check("gradient " .. i, case.grads[i], leaf.grad, tolerance) end
    end)
  end

  it("train like PyTorch: a char-LSTM's losses over 100 steps", function()
    local status, out, err = command.run { here .. "/../../scripts/bench/parity_rnn.lua",
      here .. "/../golden/parity_rnn.txt" }
    assert.equal(0, status, out .. err)
    assert.truthy(out:find("initial weights: equal to the last bit", 1, true), out)
  end)
  teardown(command.clean)

  it("take 16-bit floats, close to float32", function()
    for _, dtype in ipairs { torch.bfloat16, torch.float16 } do
      for _, kind in ipairs { "LSTM", "GRU", "RNN" } do
        torch.manual_seed(0)
        local net = nn[kind](4, 6, 2)
        local x = torch.randn(5, 3, 4)
        local expected = net(x)
        local y = net:to(dtype)(x:to(dtype))
        assert.equal(dtype, y.dtype)
        assert.is_true((y:float() - expected):abs():max():item() < 0.03)
        y:sum():backward()
        assert.equal(dtype, net.weight_ih_l0.grad.dtype)
      end
    end
  end)

  -- Sizes that fill no block of columns, whole ones, rows for each thread, few steps, packed rows, a projection.
  local function differences(kind, options, steps, batch, lengths)
    torch.manual_seed(1)
    local half = nn[kind](options):to(torch.bfloat16)
    local exact = nn[kind](options):double()
    exact:load_state_dict(half:state_dict())
    local x = torch.randn(steps, batch, options.input_size):to(torch.bfloat16)
    local worst = 0
    local function compare(got, expected)
      local size = expected:abs():max():item()
      worst = math.max(worst, (got:double() - expected):abs():max():item() / (size + 1e-3))
    end
    local function run(net, input)
      input:requires_grad_()
      local y, last = net(lengths and R.pack_padded_sequence(input, lengths, false, false) or input)
      if lengths then y = R.pad_packed_sequence(y) end
      local leaves, loss = { y, input }, (y:double():sin()):sum()
      for i, state in ipairs(kind == "LSTM" and last or { last }) do
        leaves[#leaves + 1] = state
        loss = loss + (state:double() * i):cos():sum()
      end
      loss:backward()
      for p in net:parameters() do leaves[#leaves + 1] = p end
      return leaves
    end
    local got, expected = run(half, x:clone()), run(exact, x:double())
    for i, leaf in ipairs(got) do
      compare(leaf:detach(), expected[i]:detach())
      if leaf.is_leaf then compare(leaf.grad, expected[i].grad) end
    end
    return worst
  end

  for _, kind in ipairs { "LSTM", "GRU", "RNN" } do
    it("in bfloat16 round states and derivatives, no more: " .. kind, function()
      for _, case in ipairs {
        { 5, 7, 4, 3 }, { 37, 70, 6, 1 }, { 64, 64, 9, 32 }, { 33, 48, 5, 35 }, { 16, 40, 1, 4 }, { 16, 40, 2, 9 },
        { 20, 36, 6, 5, { 3, 6, 1, 6, 2 } }, { 64, 96, 20, 33 },
      } do
        local input, hidden, steps, batch, lengths = table.unpack(case)
        local options = { input_size = input, hidden_size = hidden, bidirectional = true }
        assert.is_true(differences(kind, options, steps, batch, lengths) < 0.01)
        options.bidirectional, options.proj_size = nil, hidden // 2
        if kind == "LSTM" then assert.is_true(differences(kind, options, steps, batch, lengths) < 0.01) end
      end
    end)
  end

  it("draw the dropout between layers only when training", function()
    torch.manual_seed(1)
    local net = nn.GRU(2, 3, 2, { dropout = 0.5 })
    local x = torch.ones(4, 1, 2)
    assert.is_false(torch.equal((net(x)), (net(x))))
    net:eval()
    assert.is_true(torch.equal((net(x)), (net(x))))
  end)

  it("keep results of empty batches empty", function()
    local y, hc = nn.LSTM(3, 4)(torch.zeros(5, 0, 3))
    assert.equal(torch.Size { 5, 0, 4 }, y.shape)
    assert.equal(torch.Size { 1, 0, 4 }, hc[1].shape)
    y:sum():backward()
  end)

  it("name their parameters and list them", function()
    local net = nn.LSTM(3, 4, 2, { bidirectional = true, proj_size = 2 })
    local names = {}
    for name in net:state_dict():items() do names[#names + 1] = name end
    assert.equal("weight_ih_l0 weight_hh_l0 bias_ih_l0 bias_hh_l0 weight_hr_l0 weight_ih_l0_reverse weight_hh_l0_reverse "
      .. "bias_ih_l0_reverse bias_hh_l0_reverse weight_hr_l0_reverse weight_ih_l1 weight_hh_l1 bias_ih_l1 bias_hh_l1 "
      .. "weight_hr_l1 weight_ih_l1_reverse weight_hh_l1_reverse bias_ih_l1_reverse bias_hh_l1_reverse "
      .. "weight_hr_l1_reverse", table.concat(names, " "))
    local all = net.all_weights
    assert.equal(4, #all)
    assert.equal(torch.Size { 16, 4 }, all[3][1].shape)
    assert.is_true(rawequal(all[2][5], net.weight_hr_l0_reverse))
    assert.is_nil(net:flatten_parameters())
    local other = nn.LSTM(3, 4, 2, { bidirectional = true, proj_size = 2 })
    other:load_state_dict(net:state_dict())
    local x = torch.randn(4, 2, 3)
    assert.is_true(torch.equal((net(x)), (other(x))))
    assert.is_true(torch.equal((net(x)), (torch.deepcopy(net)(x))))
    net.weight_ih_l0 = nn.Parameter(torch.zeros(16, 3))
    assert.is_false(torch.equal((net(x)), (other(x))))
  end)

  it("print PyTorch's text", function()
    for text, module in pairs {
      ["LSTM(3, 4, proj_size=2, num_layers=2, bias=False, batch_first=True, dropout=0.3, bidirectional=True)"] =
        nn.LSTM(3, 4, 2, false, true, 0.3, true, 2),
      ["RNN(3, 4, num_layers=2)"] = nn.RNN(3, 4, 2, "relu"),
      ["RNNBase(3, 4, num_layers=2)"] = nn.RNNBase("GRU", 3, 4, 2),
      ["RNNCell(3, 4, nonlinearity=relu)"] = nn.RNNCell(3, 4, { nonlinearity = "relu" }),
      ["LSTMCell(3, 4, bias=False)"] = nn.LSTMCell(3, 4, false),
      ["GRUCell(3, 4)"] = nn.GRUCell(3, 4),
      ["RNNCellBase(3, 4)"] = nn.RNNCellBase(3, 4, true, 3),
    } do
      assert.equal(text, tostring(module))
    end
  end)

  it("refuse wrong arguments in PyTorch's words", function()
    local z = torch.zeros
    local lstm, gru, projected = nn.LSTM(3, 4), nn.GRU(3, 4), nn.LSTM(3, 4, { proj_size = 2 })
    local function pair(...) return { z(...), z(...) } end
    local lstm_cell, gru_cell = nn.LSTMCell(3, 4), nn.GRUCell(3, 4)
    for _, wrong in ipairs {
      { "dropout should be a number in range [0, 1]", nn.LSTM, 3, 4, { dropout = 1.5 } },
      { "hidden_size must be greater than zero", nn.LSTM, 3, 0 },
      { "input_size must be greater than zero", nn.GRU, 0, 3 },
      { "num_layers must be greater than zero", nn.RNN, 3, 4, 0 },
      { "proj_size should be a positive integer or zero", nn.LSTM, 3, 4, { proj_size = -1 } },
      { "proj_size has to be smaller than hidden_size", nn.LSTM, 3, 4, { proj_size = 4 } },
      { "proj_size argument is only supported for LSTM, not RNN or GRU", nn.GRU, 3, 4, { proj_size = 2 } },
      { "Unknown nonlinearity 'foo'. Select from 'tanh' or 'relu'.", nn.RNN, 3, 4, { nonlinearity = "foo" } },
      { "Unrecognized RNN mode: FOO", nn.RNNBase, "FOO", 3, 4 },
      { "argument 'hidden_size' must be an integer", nn.LSTM, 3, 4.5 },
      { "LSTM: Expected input to be 2D or 3D, got 1D instead", lstm, z(3) },
      { "GRU: Expected input to be 2D or 3D, got 4D instead", gru, z(1, 1, 1, 3) },
      { "input.size(-1) must be equal to input_size. Expected 3, got 7", lstm, z(5, 2, 7) },
      { "For batched 3-D input, hx and cx should also be 3-D but got (2-D, 2-D) tensors", lstm, z(5, 2, 3), pair(1, 4) },
      { "For unbatched 2-D input, hx should also be 2-D but got 3-D tensor", gru, z(5, 3), z(1, 1, 4) },
      { "Expected hidden[0] size (1, 2, 4), got [1, 3, 4]", lstm, z(5, 2, 3), pair(1, 3, 4) },
      { "Expected hidden[1] size (1, 2, 4), got [1, 2, 5]", lstm, z(5, 2, 3), { z(1, 2, 4), z(1, 2, 5) } },
      { "Expected hidden size (1, 2, 4), got [2, 2, 4]", gru, z(5, 2, 3), z(2, 2, 4) },
      { "Expected hidden[0] size (1, 2, 2), got [1, 2, 4]", projected, z(5, 2, 3), pair(1, 2, 4) },
      { "hx must be a list of two tensors {h, c}", lstm, z(5, 2, 3), z(1, 2, 4) },
      { "RNN input dtype (torch.float64) does not match weight dtype (torch.float32)", gru, z(5, 2, 3):double() },
      { "Expected sequence length to be larger than 0 in RNN", gru, z(0, 2, 3) },
      { "input must be a tensor or a PackedSequence", gru, 3 },
      { "unknown argument 'h0'; did you mean 'hx'?", gru, z(5, 2, 3), { h0 = 1 } },
      { "input has inconsistent input_size: got 5 expected 3", gru_cell, z(2, 5) },
      { "LSTMCell: Expected input to be 1D or 2D, got 3D instead", lstm_cell, z(2, 2, 3) },
      { "Input batch size 2 doesn't match hidden0 batch size 3", lstm_cell, z(2, 3), pair(3, 4) },
      { "hidden0 has inconsistent hidden_size: got 5, expected 4", gru_cell, z(2, 3), z(2, 5) },
      { "LSTMCell: Expected hx[0] to be 1D or 2D, got 3D instead", lstm_cell, z(2, 3), pair(1, 2, 4) },
      { "GRUCell: Expected hidden to be 1D or 2D, got 3D instead", gru_cell, z(2, 3), z(1, 2, 4) },
      { "lstm expects two hidden states", torch.lstm, z(2, 3, 4), { z(1, 3, 5) }, {}, true, 1, 0.0, true, false, false },
      { "expected 4 'params'", torch.gru, z(2, 3, 4), z(1, 3, 5), { z(15, 4) }, true, 1, 0.0, true, false, false },
      { "'batch_sizes' that never grow", torch.gru, z(5, 4), torch.tensor { 2, 3 }, z(1, 2, 5),
        { z(15, 4), z(15, 5) }, false, 1, 0.0, true, false },
      { "the sum of 'batch_sizes'", torch.gru, z(5, 4), torch.tensor { 3, 1 }, z(1, 3, 5), { z(15, 4), z(15, 5) }, false, 1,
        0.0, true, false },
    } do
      local ok, message = pcall(wrong[2], table.unpack(wrong, 3))
      assert.is_false(ok, wrong[1])
      assert.truthy(tostring(message):find(wrong[1], 1, true), tostring(message))
    end
  end)

  it("warn of a dropout that cannot act", function()
    local _, _, err = command.run { "-e", "local _ = nn.LSTM(3, 4, {dropout = 0.5})" }
    assert.truthy(err:find("dropout option adds dropout after all but last recurrent layer", 1, true), err)
  end)

  it("take arguments by name", function()
    local net = nn.GRU { input_size = 2, hidden_size = 3 }
    local x, h = torch.randn(4, 1, 2), torch.randn(1, 1, 3)
    local y = net(x, h)
    assert.is_true(torch.equal(y, (net { input = x, hx = h })))
    assert.is_true(torch.equal(y, (net(x, { hx = h }))))
    local cell = nn.LSTMCell(2, 3)
    local state = { torch.randn(4, 3), torch.randn(4, 3) }
    assert.is_true(torch.equal((cell(x:squeeze(1), state)), (cell(x:squeeze(1), { hx = state }))))
  end)
end)

describe("cells", function()
  it("are one step of the layers", function()
    torch.manual_seed(3)
    for kind, layer in pairs { LSTMCell = "LSTM", GRUCell = "GRU", RNNCell = "RNN" } do
      for _, bias in ipairs { true, false } do
        local cell, net = nn[kind](3, 4, bias), nn[layer](3, 4, { bias = bias })
        net.weight_ih_l0, net.weight_hh_l0 = cell.weight_ih, cell.weight_hh
        if bias then net.bias_ih_l0, net.bias_hh_l0 = cell.bias_ih, cell.bias_hh end
        local x, h, c = torch.randn(6, 2, 3), torch.randn(2, 4), torch.randn(2, 4)
        local lstm = kind == "LSTMCell"
        local y = net(x, lstm and { h:unsqueeze(0), c:unsqueeze(0) } or h:unsqueeze(0))
        for t = 0, 5 do
          if lstm then h, c = cell(x[t], { h, c }) else h = cell(x[t], h) end
          assert.is_true(torch.allclose(y[t], h, 1e-5, 1e-6))
        end
        assert.is_true(torch.allclose(cell(x[0]), net(x["0:1"])[0], 1e-5, 1e-6))
        local single = cell(x[0][1])
        assert.equal(torch.Size { 4 }, single.shape)
        assert.is_true(torch.allclose(single, cell(x[0])[1], 1e-5, 1e-6))
      end
    end
  end)
end)

describe("derivatives", function()
  local G = { lstm = 4, gru = 3, rnn_tanh = 1, rnn_relu = 1 }
  for name, gates in pairs(G) do
    it("of torch." .. name .. ", first and second, padded and packed", function()
      torch.manual_seed(5)
      local lstm = name == "lstm"
      local D = { dtype = torch.float64 }
      for _, out in ipairs(lstm and { 3, 2 } or { 3 }) do
        local params = {}
        for _ = 1, 2 do
          params[#params + 1] = torch.randn(gates * 3, 2, D)
          params[#params + 1] = torch.randn(gates * 3, out, D)
          params[#params + 1] = torch.randn(gates * 3, D)
          params[#params + 1] = torch.randn(gates * 3, D)
          if out < 3 then params[#params + 1] = torch.randn(out, 3, D) end
        end
        for _, packed in ipairs { false, true } do
          local inputs = { packed and torch.randn(6, 2, D) or torch.randn(3, 2, 2, D) }
          local batch = packed and 3 or 2
          inputs[2] = torch.randn(2, batch, out, D)
          if lstm then inputs[3] = torch.randn(2, batch, 3, D) end
          local first = #inputs + 1
          table.move(params, 1, #params, first, inputs)
          for _, t in ipairs(inputs) do t:requires_grad_() end
          local function run(...)
            local given = { ... }
            local hx = lstm and { given[2], given[3] } or given[2]
            local weights = table.move(given, first, #given, 1, {})
            if packed then
              return torch[name](given[1], torch.tensor { 3, 2, 1 }, hx, weights, true, 1, 0.0, true, true)
            end
            return torch[name](given[1], hx, weights, true, 1, 0.0, true, true, false)
          end
          assert.is_true(torch.autograd.gradcheck(run, inputs))
          assert.is_true(torch.autograd.gradgradcheck(run, inputs))
        end
      end
    end)
  end

  it("only where they are wanted", function()
    local net = nn.LSTM(3, 4)
    net.weight_ih_l0:requires_grad_(false)
    local x = torch.randn(5, 2, 3):requires_grad_()
    net(x):sum():backward()
    assert.is_nil(net.weight_ih_l0.grad)
    assert.is_truthy(net.weight_hh_l0.grad)
    assert.is_truthy(x.grad)
  end)

  it("through the last states alone", function()
    torch.manual_seed(6)
    local net = nn.LSTM(3, 4, { dtype = torch.float64 })
    local x = torch.randn(5, 2, 3, { dtype = torch.float64 }):requires_grad_()
    assert.is_true(torch.autograd.gradcheck(function(t)
      local _, last = net(t)
      return last[2]
    end, { x }))
  end)

  it("refuse weights that changed since", function()
    local net = nn.GRU(3, 4)
    local y = net(torch.randn(5, 2, 3))
    torch.no_grad(function() net.weight_hh_l0:add_(1) end)
    assert.is_false(pcall(function() y:sum():backward() end))
  end)
end)

describe("layers large enough for the fast products", function()
  -- The same net in float64, which takes another way.
  local function compare(kind, options, batch, steps, spoil)
    torch.manual_seed(11)
    local given = { dtype = torch.float64 }
    for k, v in pairs(options) do given[k] = v end
    local wide = nn[kind](given)
    local net = torch.deepcopy(wide):float()
    local layers = wide.num_layers * (wide.bidirectional and 2 or 1)
    local D = { dtype = torch.float64 }
    local x = torch.randn(steps, batch, options.input_size, D)
    local out = wide.proj_size > 0 and wide.proj_size or options.hidden_size
    local h, c = torch.randn(layers, batch, out, D), torch.randn(layers, batch, options.hidden_size, D)
    if spoil then spoil(x, h, c, wide) end
    if spoil then net:load_state_dict(wide:state_dict()) end
    local results = {}
    for i, model in ipairs { wide, net } do
      local function own(t) return (i == 1 and t:clone() or t:float()):requires_grad_() end
      local leaves = { own(x), own(h), own(c) }
      local lengths = {}
      for b = 1, batch do lengths[b] = math.max(steps - b // 3, 1) end
      local hx = kind == "LSTM" and { leaves[2], leaves[3] } or leaves[2]
      local y = model(leaves[1], hx)
      local packed, last = model(R.pack_padded_sequence(leaves[1], lengths), hx)
      local loss = (y:sin():sum() + packed.data:cos():sum()) + (kind == "LSTM" and last[2] or last):sum()
      loss:backward()
      local list = { y, packed.data, leaves[1].grad, leaves[2].grad }
      if kind == "LSTM" then list[#list + 1] = leaves[3].grad end
      for p in model:parameters() do list[#list + 1] = p.grad end
      results[i] = list
    end
    for i, expected in ipairs(results[1]) do
      local got = results[2][i]:double()
      local finite = expected:isfinite()
      -- Where an infinity came in, not only the finite must be so in both: float32 may overflow earlier.
      if spoil then finite = finite:logical_and(expected:abs():lt(1e30)) end
      local size = 1 + (finite:any():item() and expected[finite]:abs():max():item() or 0)
      local off = finite:any():item() and (expected - got)[finite]:abs():max():item() or 0
      assert.is_true(off <= 3e-5 * size, ("%s, tensor %d: off by %g of %g"):format(tostring(wide), i, off, size))
      if not spoil then assert.is_true(finite:all():item()) end
    end
  end

  for _, kind in ipairs { "LSTM", "GRU", "RNN" } do
    it("give float64's values: " .. kind, function()
      compare(kind, { input_size = 40, hidden_size = 100 }, 20, 7)
      compare(kind, { input_size = 64, hidden_size = 48, bidirectional = true, bias = false }, 33, 5)
      compare(kind, { input_size = 128, hidden_size = 96 }, 48, 6)
    end)
  end
  it("give float64's values with a projection, and with relu", function()
    compare("LSTM", { input_size = 40, hidden_size = 70, proj_size = 36 }, 20, 7)
    compare("LSTM", { input_size = 64, hidden_size = 128, proj_size = 64, bidirectional = true }, 16, 5)
    compare("RNN", { input_size = 40, hidden_size = 64, nonlinearity = "relu" }, 20, 7)
  end)
  it("let infinities and NaNs through as float64 does", function()
    local sizes = { input_size = 40, hidden_size = 64 }
    for _, value in ipairs { math.huge, 0 / 0 } do
      for _, kind in ipairs { "LSTM", "GRU", "RNN" } do
        compare(kind, sizes, 20, 6, function(x) x[3][2][1] = value end)
        compare(kind, sizes, 20, 6, function(_, h) h[0][4][3] = value end)
      end
    end
    compare("RNN", { input_size = 40, hidden_size = 64, nonlinearity = "relu" }, 20, 6,
      function(_, h) h[0][4][3] = math.huge end)
    compare("LSTM", { input_size = 40, hidden_size = 64, proj_size = 40 }, 20, 6,
      function(_, h) h[0][4][3] = math.huge end)
    torch.manual_seed(0)
    local net = nn.RNN(40, 64, { nonlinearity = "relu" })
    torch.no_grad(function() net.weight_hh_l0[5][6] = math.huge end)
    local y = net(torch.randn(5, 20, 40))
    assert.is_true(y[0]["..., 5"]:isnan():all():item()) -- inf * 0
    assert.is_true(y[0]["..., :5"]:isfinite():all():item())
  end)
end)

describe("vmap", function()
  it("maps over inputs, weights and gradients", function()
    torch.manual_seed(7)
    local net = nn.LSTM(3, 4, { dtype = torch.float64 })
    local x = torch.randn(3, 5, 2, 3, { dtype = torch.float64 })
    local run = function(one)
      local y = net(one)
      return y
    end
    local mapped = torch.vmap(run)(x)
    for i = 0, 2 do assert.is_true(torch.allclose(mapped[i], (run(x[i])))) end
    local loss = function(w, one)
      local y = torch.gru(one, torch.zeros(1, 2, 1, { dtype = torch.float64 }), { w, w["0:3, 0:1"] }, false, 1, 0.0, true,
        false, false)
      return y:pow(2):sum()
    end
    local w = torch.randn(3, 3, { dtype = torch.float64 })
    local each = torch.func.vmap(torch.func.grad(loss), { in_dims = { nil, 0 } })
    local grads = each(w, x)
    for i = 0, 2 do assert.is_true(torch.allclose(grads[i], torch.func.grad(loss)(w, x[i]))) end
  end)
end)

describe("nn.utils.rnn", function()
  local x = torch.arange(12.):view(3, 2, 2)

  it("packs and unpacks", function()
    local packed = R.pack_padded_sequence(x, { 2, 3 }, { enforce_sorted = false })
    assert.equal("PackedSequence(data=tensor([[ 2.,  3.],\n        [ 0.,  1.],\n        [ 6.,  7.],\n        [ 4.,  5.],\n"
      .. "        [10., 11.]]), batch_sizes=tensor([2, 2, 1]), sorted_indices=tensor([1, 0]), "
      .. "unsorted_indices=tensor([1, 0]))", tostring(packed))
    local padded, lengths = R.pad_packed_sequence(packed)
    assert.are.same({ 2, 3 }, lengths:tolist())
    assert.are.same({ { { 0, 1 }, { 2, 3 } }, { { 4, 5 }, { 6, 7 } }, { { 0, 0 }, { 10, 11 } } }, padded:tolist())
    padded = R.pad_packed_sequence(packed, true, -1.0, 4)
    assert.are.same({ { 0, 1 }, { 4, 5 }, { -1, -1 }, { -1, -1 } }, padded[0]:tolist())
    local list = R.unpack_sequence(packed)
    assert.are.same({ { 0, 1 }, { 4, 5 } }, list[1]:tolist())
    assert.are.same({ { 2, 3 }, { 6, 7 }, { 10, 11 } }, list[2]:tolist())
    local first = R.pack_padded_sequence(x:transpose(0, 1), torch.tensor { 3, 2 }, true)
    assert.are.same({ { 0, 1 }, { 2, 3 }, { 4, 5 }, { 6, 7 }, { 8, 9 } }, first.data:tolist())
    assert.is_nil(first.sorted_indices)
    local flat = R.pack_sequence { torch.tensor { 1, 2, 3 }, torch.tensor { 4, 5 } }
    assert.are.same({ 1, 4, 2, 5, 3 }, flat.data:tolist())
    assert.are.same({ 2, 2, 1 }, flat.batch_sizes:tolist())
    flat = R.pack_sequence({ torch.tensor { 1, 2 }, torch.tensor { 4, 5, 6 } }, false)
    assert.are.same({ 4, 1, 5, 2, 6 }, flat.data:tolist())
  end)

  it("is differentiable", function()
    local leaf = torch.randn(3, 2, 2, { dtype = torch.float64 }):requires_grad_()
    assert.is_true(torch.autograd.gradcheck(function(t)
      local packed = R.pack_padded_sequence(t, { 2, 3 }, { enforce_sorted = false })
      return (R.pad_packed_sequence(packed, true))
    end, { leaf }))
    local short = torch.randn(2, 2, { dtype = torch.float64 }):requires_grad_()
    assert.is_true(torch.autograd.gradcheck(function(a, b) return R.pad_sequence { a, b[0] } end, { short, leaf }))
  end)

  it("pads", function()
    local a, b = torch.tensor { 1, 2 }, torch.tensor { 4, 5, 6 }
    assert.are.same({ { 1, 4 }, { 2, 5 }, { 0, 6 } }, R.pad_sequence({ a, b }):tolist())
    assert.are.same({ { 9, 1, 2 }, { 4, 5, 6 } }, R.pad_sequence({ a, b }, true, 9.0, "left"):tolist())
    assert.are.same({ { 1, 2, -1 }, { 4, 5, 6 } }, R.pad_sequence({ a, b }, { batch_first = true, padding_value = -1 })
      :tolist())
    local mixed = R.pad_sequence { torch.ones(2), torch.ones(3, { dtype = torch.float64 }) }
    assert.equal(torch.float32, mixed.dtype)
    assert.equal(torch.Size { 3, 2 }, R.pad_sequence(torch.ones(2, 3)).shape)
    assert.equal(torch.Size { 3, 2, 4 }, R.pad_sequence({ torch.ones(1, 4), torch.ones(3, 4) }).shape)
    local list = R.unpad_sequence(torch.arange(6.):view(3, 2), torch.tensor { 3, 1 })
    assert.are.same({ { 0, 2, 4 }, { 1 } }, { list[1]:tolist(), list[2]:tolist() })
    list[1]:fill_(7) -- a copy
    assert.are.same({ 1, 2, 0 }, R.invert_permutation(torch.tensor { 2, 0, 1 }):tolist())
    assert.is_nil(R.invert_permutation(nil))
  end)

  it("converts packed sequences", function()
    local packed = R.pack_padded_sequence(x, { 2, 3 }, { enforce_sorted = false })
    assert.equal(torch.float64, packed:to(torch.float64).data.dtype)
    assert.equal(torch.float64, packed:double().data.dtype)
    assert.equal(torch.int64, packed:long().data.dtype)
    assert.is_true(rawequal(packed, packed:float()))
    assert.is_true(rawequal(packed, packed:cpu()))
    assert.is_false(packed.is_cuda)
    assert.is_false(packed:is_pinned())
    assert.is_false(pcall(packed.cuda, packed))
    assert.equal(4, #packed)
    assert.is_true(rawequal(packed[1], packed.batch_sizes))
    local data, batch_sizes, sorted, unsorted = packed:unpack()
    assert.is_true(data:size(0) == 5 and batch_sizes:size(0) == 3 and sorted:size(0) == 2 and unsorted:size(0) == 2)
    local made = R.PackedSequence(data, batch_sizes, torch.tensor { 1, 0 })
    assert.are.same({ 1, 0 }, made.unsorted_indices:tolist())
  end)

  it("refuses wrong arguments in PyTorch's words", function()
    local packed = R.pack_padded_sequence(x, { 3, 2 })
    for _, wrong in ipairs {
      { "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True", R.pack_padded_sequence, x,
        { 2, 3 } },
      { "Length of all samples has to be greater than 0", R.pack_padded_sequence, x, { 3, 0 } },
      { "lengths of at most the input's 3 steps", R.pack_padded_sequence, x, { 4, 2 } },
      { "Expected `len(lengths)` to be equal to batch_size, but got 1 (batch_size=2)", R.pack_padded_sequence, x, { 3 } },
      { "'lengths' argument should be a 1D CPU int64 tensor", R.pack_padded_sequence, x, torch.tensor { { 3, 2 } } },
      { "Cannot pack empty tensors.", R.pack_padded_sequence, torch.zeros(0, 2, 2), { 1, 1 } },
      { "at least 2 dims", R.pack_padded_sequence, torch.zeros(3), { 1 } },
      { "lengths must be a list or a tensor", R.pack_padded_sequence, x, 3 },
      { "Expected total_length to be at least the length of the longest sequence in input, but got total_length=2 and max "
        .. "sequence length being 3", R.pad_packed_sequence, packed, { total_length = 2 } },
      { "expected a PackedSequence, got", R.pad_packed_sequence, x },
      { "received an empty list of sequences", R.pad_sequence, {} },
      { "received an empty list of sequences", R.pack_sequence, {} },
      { "Expected iterable for input sequences", R.pad_sequence, 3 },
      { "Expected padding_side to be one of left or right, but got foo.", R.pad_sequence, { x }, { padding_side = "foo" } },
      { "sequences that differ in their length (dim 0) only", R.pad_sequence, { torch.ones(2, 3), torch.ones(3, 2) } },
      { "sequence 1 must be a tensor", R.pad_sequence, { x, 3 } },
    } do
      local ok, message = pcall(wrong[2], table.unpack(wrong, 3))
      assert.is_false(ok, wrong[1])
      assert.truthy(tostring(message):find(wrong[1], 1, true), tostring(message))
    end
  end)
end)

describe("a failing allocation", function()
  it("in a large layer or its backward is an error and leaks nothing", function()
    local net, x = nn.LSTM(128, 96, { proj_size = 40 }), torch.randn(4, 32, 128):requires_grad_()
    local function call() net(x):sum():backward() end
    call()
    local function live()
      net:zero_grad()
      x.grad = nil
      collectgarbage()
      collectgarbage()
      return core.memory_stats().live_count
    end
    local before, failures = live(), 0
    for n = 0, 500 do
      core.memory_fail_after(n)
      local ok, message = pcall(call)
      core.memory_fail_after(-1)
      live()
      if ok then break end
      failures = failures + 1
      assert.is_truthy(tostring(message):find("memory", 1, true), tostring(message))
    end
    assert.is_true(failures > 20 and failures < 500)
    assert.equal(before, live())
  end)

  it("in a layer or its backward is an error and leaks nothing", function()
    local net = nn.LSTM(2, 3, { bidirectional = true, proj_size = 2 })
    local gru = nn.GRU(2, 3, 2)
    local x = torch.randn(4, 2, 2):requires_grad_()
    local packed = R.pack_padded_sequence(x:detach(), { 4, 2 })
    local function call()
      net(x):sum():backward()
      local y = gru(packed)
      y.data:sum():backward()
      local g = torch.autograd.grad({ (net(x)):sum() }, { x }, { create_graph = true })
      return g[1]
    end
    local function live()
      collectgarbage()
      collectgarbage()
      return core.memory_stats().live_count
    end
    local function forget()
      x.grad = nil
      net:zero_grad()
      gru:zero_grad()
    end
    call()
    forget()
    local before, failures = live(), 0
    for n = 0, 5000 do
      core.memory_fail_after(n)
      local ok, message = pcall(call)
      core.memory_fail_after(-1)
      forget()
      if ok then break end
      failures = failures + 1
      assert.is_truthy(tostring(message):find("memory", 1, true), tostring(message))
    end
    assert.is_true(failures > 50 and failures < 5000)
    assert.equal(before, live())
  end)
end)
