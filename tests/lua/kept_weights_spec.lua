-- Without a gradient linear and recurrent layers keep their weights packed (core/kept.h): results stay those of the weights as
-- they are now, call after call.
local core = require "lampad.core"
local nn, F = torch.nn, torch.nn.functional

local function quiet(f, ...)
  local arguments = table.pack(...)
  return torch.no_grad(function() return f(table.unpack(arguments, 1, arguments.n)) end)
end

local function check(got, exact, what)
  local off = (got:double() - exact):abs():max():item() / (exact:abs():max():item() + 1e-30)
  assert.is_true(off < 3e-6, ("%s is off by %g of its size"):format(what, off))
end

-- The result of four calls, the same bits each time; exact is in float64.
local function calls(f, exact, what)
  local first = quiet(f)
  check(first, exact, what)
  for n = 2, 4 do
    assert.is_true(torch.equal(quiet(f), first), ("%s: call %d differs from the first"):format(what, n))
  end
end

describe("weights of linear layers", function()
  before_each(function() torch.manual_seed(0) end)

  for _, shape in ipairs { { 200, 768, 768 }, { 128, 256, 1024 }, { 512, 100, 333 }, { 197, 384, 384 }, { 3, 768, 768 } } do
    local rows, inputs, outputs = table.unpack(shape)
    it(("%d x %d for %d rows serve again"):format(outputs, inputs, rows), function()
      local x, w, b = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
      local function exact(weight) return F.linear(x:double(), weight:double(), b:double()) end
      calls(function() return F.linear(x, w, b) end, exact(w), "the result")
      w:mul_(-2)
      calls(function() return F.linear(x, w, b) end, exact(w), "after the weights were written to")
      w[2][3] = 1000
      calls(function() return F.linear(x, w, b) end, exact(w), "after one of them was")
      calls(function() return F.linear(x, w) end, F.linear(x:double(), w:double()), "without a bias")
    end)
  end

  it("that share memory are told apart", function()
    local x, whole = torch.randn(256, 256), torch.randn(520, 256)
    for _ = 1, 3 do
      for _, from in ipairs { 0, 1, 256 } do
        local w = whole:narrow(0, from, 256)
        check(quiet(F.linear, x, w), F.linear(x:double(), w:double()), "rows from " .. from)
        check(quiet(F.linear, x, w:t()), F.linear(x:double(), w:t():double()), "turned rows from " .. from)
        local every_other = whole:narrow(0, from, 256):as_strided({ 128, 256 }, { 512, 1 }, from * 256)
        check(quiet(F.linear, x, every_other), F.linear(x:double(), every_other:double()), "every other row from " .. from)
      end
    end
  end)

  it("with an infinity or a NaN give what they should", function()
    local x, w = torch.ones(256, 256), torch.ones(256, 256)
    for _ = 1, 3 do assert.are.equal(256, quiet(F.linear, x, w)[1][1]:item()) end
    w[1][1], w[2][1] = math.huge, 0 / 0
    for _ = 1, 3 do
      local y = quiet(F.linear, x, w)
      assert.are.equal(math.huge, y[5][1]:item())
      assert.is_true(y[5][2]:isnan():item())
      assert.are.equal(256, y[5][3]:item())
    end
  end)

  it("are no longer held once the weights are gone", function()
    collectgarbage()
    local before = core.memory_stats().live_bytes
    do
      local layer, x = nn.Linear(512, 512), torch.randn(256, 512)
      for _ = 1, 3 do quiet(layer, x) end
    end
    collectgarbage()
    collectgarbage()
    local after = core.memory_stats().live_bytes
    assert.is_true(after <= before + 4096, ("%d bytes more"):format(after - before))
  end)

  it("train between two evaluations", function()
    local layer, x = nn.Linear(256, 256), torch.randn(256, 256)
    local optimizer = torch.optim.SGD(layer:parameters(), { lr = 0.1 })
    for _ = 1, 3 do
      calls(function() return layer(x) end, F.linear(x:double(), layer.weight:detach():double(), layer.bias:detach():double()),
        "the evaluation")
      optimizer:zero_grad()
      layer(x):square():mean():backward()
      optimizer:step()
    end
  end)
end)

describe("weights of recurrent layers", function()
  before_each(function() torch.manual_seed(0) end)

  for _, kind in ipairs { "LSTM", "GRU", "RNN" } do
    for _, shape in ipairs { { 40, 1, 96, 64 }, { 12, 16, 48, 160 }, { 5, 3, 20, 33 } } do
      local steps, batch, inputs, hidden = table.unpack(shape)
      local options = { bidirectional = true }
      if kind == "LSTM" and hidden == 160 then options.proj_size = 48 end
      it(("%s %d to %d, %d steps of %d rows"):format(kind, inputs, hidden, steps, batch), function()
        local layer, x = nn[kind](inputs, hidden, options), torch.randn(steps, batch, inputs)
        local exact = nn[kind](inputs, hidden, options):double()
        local function compare(what)
          exact:load_state_dict(layer:state_dict())
          calls(function() return (layer(x)) end, (quiet(exact, x:double())), what)
        end
        compare "the output"
        torch.no_grad(function()
          for p in layer:parameters() do p:mul_(0.5) end
        end)
        compare "after the weights were written to"
        local recorded = layer(x)
        check(recorded:detach(), (quiet(exact, x:double())), "with a gradient")
        recorded:sum():backward()
        compare "after a backward pass"
      end)
    end
  end
end)
