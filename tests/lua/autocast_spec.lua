-- torch.autocast and torch.amp, against PyTorch's answers (tests/golden/autocast.lua, by scripts/gen/golden_autocast.py) and
-- against casts written out.
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
package.path = here .. "/../ops/?.lua;" .. package.path
local torch = require "lampad"
local core = require "lampad.core"
local samples = require "samples"
local golden = dofile(here .. "/../golden/autocast.lua")
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local f32, bf16, f16, f64 = torch.float32, torch.bfloat16, torch.float16, torch.float64

local function wave(...)
  local n = 1
  for _, s in ipairs { ... } do n = n * s end
  return torch.sin(torch.arange(n, { dtype = f32 }) * 0.7 + 0.3):reshape(...)
end

local function weight(...)
  local w = wave(...):clone() -- no view: those are not kept
  w.requires_grad = true
  return w
end

local function same(a, b)
  assert.equal(a.dtype, b.dtype)
  assert.is_true(torch.equal(a, b))
end

-- The function is off in every test's beginning and end.
local function is_off()
  return not torch.is_autocast_enabled "cpu" and torch.get_autocast_dtype "cpu" == bf16 and torch.is_autocast_cache_enabled()
end

-- --- the schema's sample calls -------------------------------------------------------------------------------------

local kinds = { f = { f32 }, b = { bf16 }, h = { f16 }, m = { bf16, f32 } }

-- Calls that come out otherwise than in PyTorch: kinds by C name.
local exceptions = {
  affine_grid = "h", -- an accident of its bmm
  lstm_input = "h", -- oneDNN's LSTM knows no float16, so that PyTorch takes it apart
  linalg_pinv = "f", linalg_pinv_rcond = "f", -- whose last product PyTorch rounds
  linalg_lu = "bhm", -- asked of torch.lu instead
}

local function function_of(row)
  for _, variant in ipairs(row.variants) do
    if variant == "function" then
      local name = row.module:match "%S+"
      local module = name == "torch" and torch or core.modules[name]
      return module[row.name] or torch[row.name]
    end
  end
  return core.methods[row.name] or core.methods[row.name .. "_"]
end

-- The value with its floating tensors in the dtypes, in order; the last counts for the rest.
local function in_dtypes(value, dtypes, count)
  if torch.is_tensor(value) then
    if not value:is_floating_point() then return value end
    count[1] = count[1] + 1
    return value:to(dtypes[math.min(count[1], #dtypes)])
  elseif type(value) == "table" and getmetatable(value) == nil then
    local result = {}
    for key, item in pairs(value) do result[key] = in_dtypes(item, dtypes, count) end
    return result
  end
  return value
end

local function tensors_of(value, list)
  if torch.is_tensor(value) then list[#list + 1] = value
  elseif type(value) == "table" and getmetatable(value) == nil then
    for _, item in ipairs(value) do tensors_of(item, list) end
  end
  return list
end

-- The tensors of a sample call's result and their dtypes as text, nil when it fails.
local function run(row, case, dtypes, enabled)
  local sample, count = samples.sample(row, case, f32), { 0 }
  local given = { n = sample.args.n }
  for i = 1, given.n do given[i] = in_dtypes(sample.args[i], dtypes, count) end
  if sample.has_named then
    given.n = given.n + 1
    given[given.n] = in_dtypes(sample.named, dtypes, count)
  end
  torch.manual_seed(0)
  local results = table.pack(pcall(torch.autocast, "cpu", { enabled = enabled }, function()
    return function_of(row)(table.unpack(given, 1, given.n))
  end))
  if not results[1] then return nil end
  local list, names = {}, {}
  for i = 2, results.n do tensors_of(results[i], list) end
  for i, t in ipairs(list) do names[i] = tostring(t.dtype):gsub("torch%.", "") end
  return list, table.concat(names, ",")
end

local function alike(a, b)
  for i, x in ipairs(a) do
    if not torch.allclose(x:to(torch.complex128), b[i]:to(torch.complex128), 0, 0, true) then return false end
  end
  return true
end

describe("autocast", function()
  it("gives the results of every op the dtypes that PyTorch gives them", function()
    local op_db = dofile((os.getenv "LAMPAD_BUILD" or "build") .. "/gen/op_db.lua")
    local calls, wrong = 0, {}
    for _, row in ipairs(op_db) do
      local excepted = exceptions[row.cname] or ""
      for _, case in ipairs(row.variants[1] ~= "internal" and row.cases or {}) do
        local expected = {}
        local text = golden.dtypes[row.cname .. "|" .. case] or ""
        for kind, names in text:gmatch "(%w)=(%S+)" do expected[kind] = names end
        for kind, dtypes in pairs(case:find "%(" and kinds or {}) do
          local off, off_names = run(row, case, dtypes, false)
          local on, on_names = run(row, case, dtypes, true)
          local want = expected[kind] or off_names
          -- What PyTorch refuses may be computed. Where it casts nothing, nothing is to change.
          local right = want == nil or on_names == want
          if right and on and off and not expected[kind] and kind == "f" and not row.name:find "empty" then
            right = alike(on, off)
          end
          calls = calls + 1
          if not right and not excepted:find(kind) then
            wrong[#wrong + 1] = ("%s(%s) %s: %s, expected %s"):format(row.cname, case, kind, on_names, want)
          end
        end
      end
    end
    assert.equal("", table.concat(wrong, "\n"))
    assert.is_true(calls > 8000)
  end)

  it("trains networks to PyTorch's losses and gradients", function()
    local function first(y, ...) return y end
    local nets = {
      image = { nn.Sequential(nn.Conv2d(2, 8, 3, { padding = 1 }), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(72, 5)), wave(3, 2, 6, 6) },
      norms = { nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(0.0), nn.Linear(8, 8), nn.PReLU(),
        nn.Linear(8, 5)), wave(3, 6) },
      transformer = { nn.TransformerEncoderLayer(8, 2, 16, { dropout = 0.0, batch_first = true }), wave(2, 5, 8) },
      lstm = { nn.LSTM(4, 6, { num_layers = 2 }), wave(5, 3, 4) },
      gru = { nn.GRU(4, 6), wave(5, 3, 4) },
      rnn = { nn.RNN(4, 6, { bidirectional = true }), wave(5, 3, 4) },
      lstm_packed = { nn.LSTM(4, 6), wave(5, 3, 4) },
      lstm_projected = { nn.LSTM(4, 6, { proj_size = 3 }), wave(5, 3, 4) },
    }
    for name, expected in pairs(golden.nets) do
      local net, x = table.unpack(nets[name])
      local i = 0
      torch.no_grad(function()
        for p in net:parameters() do
          p:copy_(wave(p.shape:unpack()) * 0.4 + 0.01 * i)
          i = i + 1
        end
      end)
      local y, loss = torch.autocast("cpu", function()
        local y
        if name == "lstm_packed" then
          y = first(net(nn.utils.rnn.pack_padded_sequence(x, { 5, 4, 2 }))).data
        else
          y = first(net(x))
        end
        return y, F.mse_loss(y, wave(y.shape:unpack()))
      end)
      assert.equal("torch." .. expected.dtype, tostring(y.dtype))
      assert.equal(f32, loss.dtype)
      assert.near(expected.loss, loss:item(), 0.004 * expected.loss)
      loss:backward()
      i = 0
      for p in net:parameters() do
        i = i + 1
        assert.equal(f32, p.grad.dtype)
        -- 8 bits of a bfloat16; the bias before a batch norm has no gradient but rounding.
        assert.near(expected.grads[i], p.grad:abs():sum():item(), 0.02 * expected.grads[i] + 0.01, name .. " " .. i)
      end
      assert.equal(#expected.grads, i)
    end
  end)

  it("computes what casts written out compute", function()
    local a, b, c = wave(3, 4), wave(4, 5), wave(3, 5)
    local x, w, bias = wave(2, 3, 6, 6), wave(4, 3, 3, 3), wave(4)
    local q = wave(2, 5, 4)
    local ha, hb, hc = a:bfloat16(), b:bfloat16(), c:bfloat16()
    local pairs_of = torch.autocast("cpu", function()
      return {
        { torch.mm(a, b), ha:mm(hb) }, { a:matmul(hb), ha:mm(hb) }, { torch.addmm(c, a, b), torch.addmm(hc, ha, hb) },
        { F.linear(a, b.T), F.linear(ha, hb.T) }, { F.conv2d(x, w, bias), F.conv2d(x:bfloat16(), w:bfloat16(), bias:bfloat16()) },
        { F.scaled_dot_product_attention(q, q, q), F.scaled_dot_product_attention(q:bfloat16(), q:bfloat16(), q:bfloat16()) },
        { torch.einsum("ij,jk->ik", { a, b }), ha:mm(hb) },
        { F.mse_loss(ha, ha * 2), F.mse_loss(ha:float(), (ha * 2):float()) },
        { torch.fft.fft(ha), torch.fft.fft(ha:float()) }, { torch.linalg.svdvals(ha), torch.linalg.svdvals(ha:float()) },
        { a + ha, a + ha:float() }, { ha:exp(), ha:exp() }, { a:softmax(0), a:softmax(0) },
      }
    end)
    for _, pair in ipairs(pairs_of) do same(pair[1], pair[2]) end
    -- Comparisons outside of the region: the second of each pair is the same there.
    same(ha:mm(hb), pairs_of[1][1])
  end)

  it("leaves float64, integers, in-place and out forms alone", function()
    local a, i = wave(2, 2), torch.arange(4):reshape(2, 2)
    torch.autocast("cpu", function()
      assert.equal(f64, a:double():mm(a:double()).dtype)
      assert.equal(torch.int64, i:mm(i).dtype)
      local out = torch.empty(2, 2)
      assert.equal(out, torch.mm(a, a, { out = out }))
      local inside = a:clone():addmm_(a, a)
      assert.is_false(pcall(function() return a:clone():addmm_(a, a:bfloat16()) end))
      assert.equal(bf16, a:mm(a).dtype) -- it goes on after an error
      return out, inside
    end)
    local out = torch.empty(2, 2)
    torch.autocast("cpu", function() torch.mm(a, a, { out = out }) end)
    same(a:mm(a), out)
    same(a:clone():addmm_(a, a), torch.autocast("cpu", function() return a:clone():addmm_(a, a) end))
  end)

  it("gives gradients in the dtype of what was cast", function()
    local x, w = weight(3, 4), weight(5, 4)
    local y = torch.autocast("cpu", function() return F.linear(x, w) end)
    y:sum():backward()
    local hx, hw = weight(3, 4), weight(5, 4)
    F.linear(hx:bfloat16(), hw:bfloat16()):sum():backward()
    same(hx.grad, x.grad)
    same(hw.grad, w.grad)
    -- Twice differentiated, and with backward inside of the region.
    torch.autocast("cpu", function()
      local g = torch.autograd.grad(torch.mm(x, w.T):pow(2):sum(), x, { create_graph = true })
      assert.equal(f32, g.dtype)
      w.grad = nil
      g:sum():backward()
      assert.equal(f32, w.grad.dtype)
    end)
  end)

  it("nests, and puts things back", function()
    local a = wave(2, 2)
    local function dtype() return a:mm(a).dtype end
    do
      local _ <close> = torch.autocast("cpu")
      assert.equal(bf16, dtype())
      do
        local _ <close> = torch.autocast("cpu", { enabled = false })
        assert.equal(f32, dtype())
        do
          local _ <close> = torch.autocast("cpu", { dtype = f16 })
          assert.equal(f16, dtype())
          assert.equal(f16, torch.get_autocast_dtype "cpu")
        end
        assert.equal(f32, dtype())
      end
      assert.equal(bf16, dtype())
      -- Another kind of scope keeps its hands off.
      torch.no_grad(function() torch.set_autocast_dtype("cpu", f16) end)
      assert.equal(f16, dtype())
    end
    assert.equal(f32, dtype())
    assert.is_true(is_off())
    assert.is_true(torch.is_grad_enabled())
  end)

  it("puts things back after errors, in coroutines and around decorated functions", function()
    local a = wave(2, 2)
    local ok, message = pcall(torch.autocast, "cpu", { dtype = f16, cache_enabled = false }, function() error("inside", 0) end)
    assert.same({ false, "inside" }, { ok, message })
    assert.is_true(is_off())
    assert.is_false(pcall(function()
      local _ <close> = torch.autocast("cpu")
      return torch.mm(a, wave(3, 3))
    end))
    assert.is_true(is_off())
    local co = coroutine.wrap(function()
      return torch.autocast("cpu", function()
        coroutine.yield(a:mm(a).dtype)
        return a:mm(a).dtype
      end)
    end)
    assert.equal(bf16, co())
    assert.equal(bf16, co())
    assert.is_true(is_off())
    local f = torch.autocast("cpu", { dtype = f16 })(function(x, n) return x:mm(x).dtype, n end)
    assert.is_true(is_off())
    assert.same({ f16, 3 }, { f(a, 3) })
    assert.is_true(is_off())
    assert.same({ 1, 2 }, { torch.amp.autocast("cpu", bf16, true, true, function() return 1, 2 end) })
  end)

  it("casts a weight once in the outermost region", function()
    local x, w = wave(2, 3), weight(3, 3)
    local function cast_node(y)
      for _, entry in ipairs(y.grad_fn.next_functions) do
        if entry[1] and entry[1]:name() == "ToCopyBackward0" then return entry[1] end
      end
    end
    local function both(options, change)
      return torch.autocast("cpu", options, function()
        local first = x:mm(w)
        if change then change() end
        local second = torch.autocast("cpu", options, function() return x:mm(w) end)
        return cast_node(first) == cast_node(second), first, second
      end)
    end
    local shared, first = both()
    assert.is_true(shared)
    assert.is_false((both { cache_enabled = false }))
    assert.is_true(is_off())
    local _, again = both()
    assert.is_false(cast_node(first) == cast_node(again)) -- the cache ends with the region
    assert.is_false((both(nil, torch.clear_autocast_cache)))
    -- A weight that was written to is cast again, and so is one whose cast is not recorded.
    local old, new = select(2, both(nil, function() torch.no_grad(function() w:mul_(2) end) end))
    assert.is_true(torch.allclose(old * 2, new))
    torch.autocast("cpu", function()
      local unrecorded = torch.no_grad(function() return x:mm(w) end)
      assert.is_nil(unrecorded.grad_fn)
      torch.inference_mode(function() return x:mm(w) end)
      x:mm(w):sum():backward()
    end)
    assert.is_not_nil(w.grad)
    -- Weights by the hundred, of which most are gone again.
    torch.autocast("cpu", function()
      for _ = 1, 300 do same(x:mm(weight(3, 3)), x:bfloat16():mm(wave(3, 3):bfloat16())) end
      collectgarbage()
    end)
  end)

  it("knows float16, and refuses other dtypes and devices as PyTorch does", function()
    local a = wave(2, 2)
    assert.equal(f16, torch.autocast("cpu", { dtype = f16 }, function() return a:mm(a).dtype end))
    local results
    local caught = torch.warnings.catch_warnings(function()
      results = { torch.autocast("cpu", f64, function() return torch.is_autocast_enabled "cpu", torch.get_autocast_dtype "cpu" end) }
      results[3] = torch.autocast("cuda", function() return torch.is_autocast_enabled "cuda" or torch.is_autocast_enabled() end)
      results[4] = torch.autocast("cuda", { enabled = false }, function() return a:mm(a).dtype end)
    end)
    assert.same({ false, f64, false, f32 }, results)
    assert.equal(2, #caught)
    assert.equal("In CPU autocast, but the target dtype is not supported. Disabling autocast.\nCPU Autocast only supports dtypes "
      .. "of torch.bfloat16, torch.float16 currently.", caught[1].message)
    assert.equal("CUDA is not available. Disabling autocast.", caught[2].message)
    caught = torch.warnings.catch_warnings(function()
      assert.equal(f32, torch.cuda.amp.autocast(true, function() return a:mm(a).dtype end))
      assert.is_false(torch.cuda.amp.GradScaler({ init_scale = 2.0 }):is_enabled())
    end)
    assert.equal("FutureWarning", caught[1].category)
    assert.equal(4, #caught)
    assert.is_true(is_off())
  end)

  it("says what is wrong with its arguments", function()
    for call, message in pairs {
      ["torch.autocast()"] = "autocast: argument 'device_type' (any) is missing",
      ["torch.autocast('tpu')"] = "autocast: unsupported device_type 'tpu'; expected 'cpu' or 'cuda'",
      ["torch.autocast(torch.ones(1))"] = "autocast: Expected `device_type` of type `str`, got: torch.Tensor (float32 [1])",
      ["torch.autocast('cpu', {dtpye = torch.float16})"] = "autocast: unknown argument 'dtpye'; did you mean 'dtype'?",
      ["torch.autocast('cpu', {dtype = 'bfloat16'})"] = "autocast: argument 'dtype' must be a torch.dtype, got string",
      ["torch.autocast('cpu', {enabled = 1})"] = "autocast: argument 'enabled' must be a boolean, got number (1)",
      ["torch.autocast('cpu')(3)"] = "expected a function to decorate, got number (3)",
      ["torch.set_autocast_enabled('cpu', 1)"] = "set_autocast_enabled: argument 'enabled' must be a boolean, got number (1)",
      ["torch.set_autocast_dtype('cpu', 1)"] = "set_autocast_dtype: argument 'dtype' must be a torch.dtype, got number (1)",
      ["torch.is_autocast_enabled('tpu')"] = "is_autocast_enabled: unsupported device_type 'tpu'; expected 'cpu' or 'cuda'",
      ["torch.set_autocast_cache_enabled(1)"] = "set_autocast_cache_enabled: argument 'enabled' must be a boolean, got number (1)",
      ["torch.amp.custom_fwd(function() end, {})"] = "custom_fwd: Expected `device_type` of type `str`, got: nil",
      ["torch.amp.custom_fwd{device_type = 'cpu', cast = 1}"] = "custom_fwd: unknown argument 'cast'",
    } do
      local ok, err = pcall(assert(load("local torch = ...\nlocal r = " .. call .. "\nreturn r", "=script")), torch)
      assert.is_false(ok)
      assert.truthy(err:find("script:2: " .. message, 1, true), call .. ": " .. err)
      torch.set_autocast_enabled("cpu", false) -- a scope whose decorated value was none stays open
    end
    torch.clear_autocast_cache()
    while torch.autocast_decrement_nesting() > 0 do end
    assert.equal(1, torch.autocast_increment_nesting())
    torch.autocast_decrement_nesting()
  end)

  it("has PyTorch's functions around its state", function()
    torch.set_autocast_enabled("cpu", true)
    assert.same({ true, true, false }, { torch.is_autocast_enabled "cpu", torch.is_autocast_cpu_enabled(), torch.is_autocast_enabled() })
    assert.equal(bf16, wave(2, 2):mm(wave(2, 2)).dtype)
    torch.set_autocast_cpu_enabled(false)
    assert.is_true(is_off())
    torch.set_autocast_dtype("cpu", f16)
    assert.same({ f16, f16, f16 }, { torch.get_autocast_dtype "cpu", torch.get_autocast_cpu_dtype(), torch.get_autocast_gpu_dtype() })
    torch.set_autocast_cpu_dtype(bf16)
    torch.set_autocast_cache_enabled(false)
    assert.is_false(torch.is_autocast_cache_enabled())
    torch.set_autocast_cache_enabled(true)
    assert.same({ true, true }, { torch.amp.is_autocast_available "cpu", torch.amp.is_autocast_available "cuda" })
    assert.same({ 1, 0 }, { torch.autocast_increment_nesting(), torch.autocast_decrement_nesting() })
    torch.set_autocast_enabled(true)
    assert.is_true(torch.is_autocast_enabled "cuda")
    torch.set_autocast_enabled("cuda", false)
    assert.is_true(is_off())
  end)

  it("belongs to a thread: workers start without", function()
    local Ds = torch.utils.data.Dataset:extend "Ds"
    function Ds:len() return 4 end
    function Ds:getitem()
      local t = require "lampad"
      return t.ones(2, 2):mm(t.ones(2, 2)):to(t.float32), t.is_autocast_enabled "cpu" and 1 or 0
    end
    torch.autocast("cpu", function()
      for _, enabled in torch.utils.data.DataLoader(Ds(), { num_workers = 2 }):iter() do
        assert.equal(0, enabled:item())
      end
      assert.is_true(torch.is_autocast_enabled "cpu")
    end)
  end)

  it("works under vmap, torch.func and checkpoint", function()
    local w, x = weight(3, 4), wave(5, 2, 3)
    torch.autocast("cpu", function()
      same(torch.vmap(function(a) return a:mm(w) end)(x), x:matmul(w))
      same(torch.vmap(function(a) return F.mse_loss(a:bfloat16(), a:bfloat16() * 2) end)(x), F.mse_loss(x:bfloat16(),
        x:bfloat16() * 2, { reduction = "none" }):mean { 1, 2 })
      local g = torch.func.grad(function(v) return x[0]:mm(v):sum() end)(w:detach())
      assert.equal(f32, g.dtype)
      same(torch.func.vmap(torch.func.grad(function(v, a) return a:mm(v):sum() end), { nil, 0 })(w:detach(), x)[0], g)
    end)
    local net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    local function gradients(body)
      net:zero_grad()
      local dtypes = {}
      local hook = net[0]:register_forward_hook(function(_, _, y) dtypes[#dtypes + 1] = tostring(y.dtype) end)
      local loss = torch.autocast("cpu", { cache_enabled = false }, function() return body():float():sum() end)
      loss:backward()
      hook:remove()
      return net[0].weight.grad:clone(), table.concat(dtypes, " ")
    end
    local plain = gradients(function() return net(x) end)
    local again, dtypes = gradients(function() return torch.utils.checkpoint.checkpoint(net, x) end)
    assert.equal("torch.bfloat16 torch.bfloat16", dtypes)
    same(plain, again)
    assert.is_true(is_off())
  end)

  it("goes on after allocations that fail", function()
    local x, w, failures = wave(8, 8), weight(8, 8), 0
    for n = 1, 60 do
      core.memory_fail_after(n)
      local ok = pcall(torch.autocast, "cpu", function()
        return F.mse_loss(torch.cat { F.linear(x, w), x }, torch.cat { x, x })
      end)
      core.memory_fail_after(-1)
      failures = failures + (ok and 0 or 1)
      assert.is_true(is_off())
    end
    assert.is_true(failures > 10)
    assert.equal(bf16, torch.autocast("cpu", function() return F.linear(x, w).dtype end))
  end)
end)

describe("amp.custom_fwd and custom_bwd", function()
  local seen
  local function product(options)
    local P = torch.autograd.Function:extend "P"
    P.forward = torch.amp.custom_fwd(function(ctx, a, b)
      ctx:save_for_backward(a, b)
      seen = { a.dtype, torch.is_autocast_enabled "cpu" }
      return a:mm(b)
    end, options)
    P.backward = torch.amp.custom_bwd { device_type = "cpu" }(function(ctx, grad)
      local a, b = table.unpack(ctx.saved_tensors)
      seen[3], seen[4] = torch.is_autocast_enabled "cpu", torch.get_autocast_dtype "cpu"
      return grad:mm(b.T), a.T:mm(grad)
    end)
    return P
  end

  it("run backward as forward ran, and cast", function()
    local a, b = weight(2, 3), wave(3, 2)
    local y = torch.autocast("cpu", { dtype = f16 }, function() return product { device_type = "cpu" }.apply(a, b) end)
    assert.equal(f16, y.dtype)
    y:sum():backward()
    assert.same({ f32, true, true, f16 }, seen)
    assert.equal(f32, a.grad.dtype)
    y = torch.autocast("cpu", function()
      return product { device_type = "cpu", cast_inputs = f32 }.apply(a, b:bfloat16())
    end)
    assert.equal(f32, y.dtype)
    y:sum():backward()
    assert.same({ f32, false, false, bf16 }, seen)
    product({ device_type = "cpu", cast_inputs = f32 }).apply(a:bfloat16(), b:bfloat16())
    assert.same({ bf16, false }, seen) -- outside of a region it does nothing
    assert.is_true(is_off())
  end)
end)

describe("amp.GradScaler", function()
  local function fresh(options)
    local p = torch.tensor { 1.0, 2.0 }
    p.requires_grad = true
    return p, optim.SGD({ p }, { lr = 0.5 }), torch.amp.GradScaler("cpu", options)
  end

  it("scales losses and steps by what the gradients were", function()
    local p, optimizer, scaler = fresh { init_scale = 1024.0 }
    local list = scaler:scale { torch.ones(1), { torch.full({ 1 }, 2.0) } }
    assert.same({ 1024.0, 2048.0 }, { list[1]:item(), list[2][1]:item() })
    scaler:scale((p * torch.tensor { 3.0, 4.0 }):sum()):backward()
    assert.same({ 3072.0, 4096.0 }, p.grad:tolist())
    scaler:unscale_(optimizer)
    assert.same({ 3.0, 4.0 }, p.grad:tolist())
    scaler:step(optimizer)
    scaler:update()
    assert.same({ -0.5, 0.0 }, p:tolist())
    assert.equal(1024.0, scaler:get_scale())
  end)

  it("leaves a step with infinite gradients out and backs off", function()
    local p, optimizer, scaler = fresh()
    assert.equal(65536.0, scaler:get_scale())
    for _, bad in ipairs { math.huge, -math.huge, 0 / 0 } do
      scaler:scale(torch.ones(1))
      p.grad = torch.tensor { 1.0, bad }
      assert.is_nil(scaler:step(optimizer))
      scaler:update()
    end
    assert.same({ 1.0, 2.0 }, p:tolist())
    assert.equal(8192.0, scaler:get_scale())
  end)

  it("grows after so many steps in a row, never to infinity", function()
    local p, optimizer, scaler = fresh { init_scale = 4.0, growth_factor = 3.0, backoff_factor = 0.25, growth_interval = 2 }
    local scales = {}
    for i = 1, 7 do
      scaler:scale(torch.ones(1))
      p.grad = torch.tensor { 0.0, i == 4 and math.huge or 0.0 }
      scaler:step(optimizer)
      scaler:update()
      scales[i] = scaler:get_scale()
    end
    assert.same({ 4.0, 12.0, 12.0, 3.0, 3.0, 9.0, 9.0 }, scales)
    assert.equal(1, scaler:state_dict()._growth_tracker)
    scaler:update(3e38)
    scaler:set_growth_interval(2)
    scaler:scale(torch.ones(1))
    p.grad = torch.zeros(2)
    scaler:step(optimizer)
    scaler:update()
    assert.near(3e38, scaler:get_scale(), 1e32)
    scaler:update(torch.tensor { 16.0 })
    assert.equal(16.0, scaler:get_scale())
  end)

  it("saves and loads its state", function()
    local p, optimizer, scaler = fresh { init_scale = 8.0, growth_interval = 5 }
    scaler:scale(torch.ones(1))
    p.grad = torch.ones(2)
    scaler:step(optimizer)
    scaler:update()
    local state = scaler:state_dict()
    assert.same({ scale = 8.0, growth_factor = 2.0, backoff_factor = 0.5, growth_interval = 5, _growth_tracker = 1 }, state)
    local path = os.tmpname()
    torch.save(state, path)
    local other = torch.amp.GradScaler "cpu"
    other:scale(torch.ones(1))
    other:load_state_dict(torch.load(path))
    os.remove(path)
    assert.same(state, other:state_dict())
    assert.same({ 2.0, 0.5, 5 }, { other:get_growth_factor(), other:get_backoff_factor(), other:get_growth_interval() })
  end)

  it("does nothing when disabled, as without a CUDA device", function()
    local p, optimizer = fresh()
    local scaler
    local caught = torch.warnings.catch_warnings(function() scaler = torch.amp.GradScaler() end)
    assert.equal("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.", caught[1].message)
    for _, s in ipairs { scaler, torch.amp.GradScaler("cpu", { enabled = false }) } do
      assert.is_false(s:is_enabled())
      local x = torch.ones(1)
      assert.equal(x, s:scale(x))
      p.grad = torch.ones(2)
      s:unscale_(optimizer)
      s:step(optimizer)
      s:update()
      assert.same({}, s:state_dict())
      s:load_state_dict {}
      assert.equal(1.0, s:get_scale())
    end
    assert.same({ 0.0, 1.0 }, p:tolist())
  end)

  it("says what is called in the wrong order", function()
    local function raises(message, f, ...)
      local ok, err = pcall(f, ...)
      assert.is_false(ok)
      assert.truthy(err:find(message, 1, true), err)
    end
    local p, optimizer, scaler = fresh()
    raises("Attempted unscale_ but _scale is None", scaler.unscale_, scaler, optimizer)
    raises("Attempted step but _scale is None", scaler.step, scaler, optimizer)
    raises("Attempted update but _scale is None", scaler.update, scaler)
    raises("outputs must be a Tensor or an iterable of Tensors, got number (3)", scaler.scale, scaler, 3)
    scaler:scale(torch.ones(1))
    raises("No inf checks were recorded for this optimizer.", scaler.step, scaler, optimizer)
    raises("No inf checks were recorded prior to update.", scaler.update, scaler)
    scaler:update(2.0)
    p.grad = torch.ones(2)
    scaler:unscale_(optimizer)
    raises("unscale_() has already been called on this optimizer since the last update().", scaler.unscale_, scaler, optimizer)
    raises("Closure use is not currently supported if GradScaler is enabled.", scaler.step, scaler, optimizer,
      { closure = function() end })
    scaler:step(optimizer)
    raises("step() has already been called since the last update().", scaler.step, scaler, optimizer)
    raises("unscale_() is being called after step().", scaler.unscale_, scaler, optimizer)
    raises("argument 'optimizer' must be an optimizer, got number (1)", scaler.step, scaler, 1)
    raises("new_scale should be a float or a 1-element torch.FloatTensor", scaler.update, scaler, torch.ones(2))
    raises("The source state dict is empty", scaler.load_state_dict, scaler, {})
    raises("The growth factor must be > 1.0", torch.amp.GradScaler, "cpu", { growth_factor = 1.0 })
    raises("The backoff factor must be < 1.0", torch.amp.GradScaler, "cpu", { backoff_factor = 1.0 })
    local half = torch.ones(1, { dtype = f16 })
    half.requires_grad = true
    half.grad = torch.ones(1, { dtype = f16 })
    scaler:update(2.0)
    raises("Attempting to unscale FP16 gradients.", scaler.step, scaler, optim.SGD({ half }, { lr = 1.0 }))
  end)
end)
