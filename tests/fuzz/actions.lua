--- What the fuzzer does beside calling the rows of the schema: indexing in every form, printing, conversion,
-- gradients asked for wrongly, operators, scopes. Each action is a function of the step's pool that returns a
-- text of what it is about to do and the function that does it.
local torch = require "lampad"
local values = require "values"

local chance, pick, random = values.chance, values.pick, math.random

local M = {}

local function some_tensor(pool)
  if #pool.tensors > 0 and chance(0.6) then return pick(pool.tensors) end
  return values.tensor(pool)
end

-- --- keys of an index ---------------------------------------------------------------------------

local function slice_text()
  local function number() return chance(0.4) and "" or tostring(chance(0.9) and random(-4, 6) or values.int { shape = {} }) end
  local text = number() .. ":" .. number()
  return chance(0.4) and text .. ":" .. (chance(0.85) and random(1, 3) or random(-2, 9)) or text
end

local pieces = { ":", ",", " ", "...", "None", "True", "False", "0", "-1", "1", "2", "[", "]", "[0, 1]", "::2", "1:3", "(", "x",
  "9223372036854775807", "-9223372036854775808", "99999999999999999999", "\n", "\0", "%", "e", "1.5", "[[0],[1]]", "[True]" }

local function noise_text()
  local parts = {}
  for i = 1, random(1, 6) do parts[i] = pick(pieces) end
  return table.concat(parts)
end

local function index_list(size)
  local list = {}
  for i = 1, random(0, 4) do
    if chance(0.1) then list[i] = chance(0.5)
    else list[i] = random(-size, math.max(size - 1, 0)) end
  end
  return list
end

local function key_item(pool, size)
  local r = random()
  if r < 0.25 then return chance(0.9) and random(-size, math.max(size - 1, 0)) or values.int(pool) end
  if r < 0.5 then return slice_text() end
  if r < 0.6 then return pick { "None", "...", "True", "False", ":" } end
  if r < 0.75 then return index_list(size) end
  if r < 0.85 then return torch.tensor(index_list(size), { dtype = pick { torch.int64, torch.int32, torch.uint8 } }) end
  if r < 0.9 then return torch.rand(size):gt(0.5) end
  if r < 0.95 then return values.tensor(pool, chance(0.7) and "index" or nil) end
  return chance(0.5) or values.wrong(pool)
end

local function key(pool, t)
  local r = random()
  if r < 0.1 then return noise_text() end
  if r < 0.2 and t.ndim > 0 then return torch.rand(t.shape):gt(0.5) end
  if r < 0.35 then return key_item(pool, t.ndim > 0 and t.shape[0] or 1) end
  local tuple = {}
  for i = 1, random(1, math.max(1, t.ndim + (chance(0.1) and 1 or 0))) do
    tuple[i] = key_item(pool, i <= t.ndim and t.shape[i - 1] or 1)
  end
  if r < 0.6 then
    local texts = {}
    for i, item in ipairs(tuple) do
      texts[i] = math.type(item) and tostring(item) or type(item) == "string" and item
        or type(item) == "table" and pick { "[]", "[0]", "[1, 0, -1]", "[True, False]", "[[0, 1], [1, 0]]" } or slice_text()
    end
    return table.concat(texts, ", ")
  end
  return tuple
end

local function describe(...)
  local seen, parts = {}, {}
  for i = 1, select("#", ...) do parts[i] = values.describe((select(i, ...)), seen) end
  return table.concat(parts, ", ")
end

local function nested(depth)
  if depth == 0 or chance(0.1) then return pick { 1, 2.5, true, false, -3, math.maxinteger, 0 / 0 } end
  local list, n = {}, chance(0.85) and 2 or random(0, 3)
  for i = 1, n do list[i] = nested(depth - 1) end
  if chance(0.02) then list[1] = "text" end
  return list
end

-- --- the actions --------------------------------------------------------------------------------

M.list = {
  function(pool) -- reading by index
    local t = some_tensor(pool)
    local k = key(pool, t)
    return ("%s: read at %s"):format(describe(t, k), type(k)), function() return t[k] end, "index"
  end,
  function(pool) -- a text that is noise
    local t, text = some_tensor(pool), noise_text()
    return ("%s: read at noise"):format(describe(t, text)), function() return t[text] end, "index"
  end,
  function(pool) -- writing by index
    local t = some_tensor(pool)
    local k = key(pool, t)
    local r = random()
    local value
    if r < 0.4 then value = values.number(pool)
    elseif r < 0.7 then value = some_tensor(pool)
    elseif r < 0.9 then
      local ok, part = pcall(function() return t[k] end)
      value = ok and torch.is_tensor(part) and part:numel() < 2000 and part:clone() or 1
    else value = nested(2) end
    if torch.is_tensor(value) and value:is_same_storage(t) and (t.requires_grad or value.requires_grad) then
      value = value:clone()
    end
    return ("%s: written"):format(describe(t, k, value)), function() t[k] = value end, "index"
  end,
  function(pool) -- printing
    local t = some_tensor(pool)
    return ("tostring(%s)"):format(describe(t)), function() return tostring(t) end
  end,
  function(pool) -- to Lua and back
    local t = some_tensor(pool)
    return ("torch.tensor(%s:tolist())"):format(describe(t)), function() return torch.tensor(t:tolist()) end
  end,
  function() -- from nested tables
    local list = nested(random(1, 4))
    local options = chance(0.5) and { dtype = pick(values.dtypes), requires_grad = chance(0.2) } or nil
    return ("torch.tensor(%s)"):format(describe(list, options)), function() return torch.tensor(list, options) end
  end,
  function(pool) -- casts
    local t, dtype = some_tensor(pool), pick(values.dtypes)
    return ("%s:to(%s)"):format(describe(t), tostring(dtype)), function() return t:to(dtype) end
  end,
  function(pool) -- to with anything
    local t = some_tensor(pool)
    local a, b = chance(0.5) and pick { "cpu", "cuda", "float", true, 1 } or values.wrong(pool), chance(0.5) and values.wrong(pool) or nil
    return ("%s: to"):format(describe(t, a, b)), function() return t:to(a, b) end
  end,
  function(pool) -- one value
    local t = some_tensor(pool)
    return ("%s:item()"):format(describe(t)), function() return t:item() end
  end,
  function(pool) -- sizes
    local t, dim = some_tensor(pool), values.int(pool)
    return ("%s: size and stride of %d"):format(describe(t), dim), function()
      return t:size(dim), t:stride(dim), t.shape[dim], #t, t:numel(), t.nbytes, t:data_ptr()
    end
  end,
  function(pool) -- operators
    local a, b = some_tensor(pool), chance(0.5) and some_tensor(pool) or chance(0.8) and values.number(pool) or values.wrong(pool)
    if chance(0.5) then a, b = b, a end
    local ops = {
      function() return a + b end, function() return a - b end, function() return a * b end, function() return a / b end,
      function() return a // b end, function() return a % b end, function() return a ^ b end, function() return a & b end,
      function() return a | b end, function() return a ~ b end, function() return a << b end, function() return a >> b end,
      function() return a < b end, function() return a == b end, function() return a .. b end, function() return -a end,
      function() return ~a end,
    }
    local which = random(#ops)
    return ("operator %d of %s"):format(which, describe(a, b)), ops[which]
  end,
  function(pool) -- backward of anything
    local t = some_tensor(pool)
    local gradient = chance(0.5) and some_tensor(pool) or nil
    local options = chance(0.5) and { retain_graph = chance(0.5), create_graph = chance(0.3), inputs = chance(0.3) and { some_tensor(pool) } or nil }
      or nil
    return ("%s: backward"):format(describe(t, gradient, options)), function()
      if gradient then t:backward(gradient, options) else t:backward(options) end
    end
  end,
  function(pool) -- gradients of a chain with writes in it
    local a, b = values.with_grad(pool, values.tensor(pool)), some_tensor(pool)
    local which = random(6)
    return ("%s: a chain, written to (%d)"):format(describe(a, b), which), function()
      local x = a * 1
      local y = which == 1 and x:exp() or which == 2 and x * x or which == 3 and x:sigmoid() or x * b
      local view = x.ndim > 0 and x.shape[0] > 0 and x[0] or x
      if which == 4 then view:mul_(2) elseif which == 5 then view:copy_(b) elseif which == 6 then x:detach():zero_() end
      local total = (y * x):sum() + view:sum()
      if total.dtype.is_complex then total = total:abs() end
      if chance(0.3) then y:add_(1) end
      local first = torch.autograd.grad({ total }, { a }, { create_graph = true, allow_unused = true })
      if torch.is_tensor(first) and first.requires_grad then first:sum():abs():backward() end
    end
  end,
  function(pool) -- hooks
    local t = values.with_grad(pool, values.tensor(pool))
    local answer = chance(0.5) and some_tensor(pool) or chance(0.5) and values.wrong(pool) or nil
    return ("%s: a hook"):format(describe(t, answer)), function()
      local y = t * 2
      y:register_hook(function(g)
        if answer == print then error("from the hook: of y") end
        return answer or g * 2
      end)
      y:backward(torch.ones_like(y:detach()))
    end, "hook"
  end,
  function(pool) -- properties written
    local t, value = some_tensor(pool), chance(0.6) and some_tensor(pool) or values.wrong(pool)
    local name = pick { "grad", "data", "requires_grad", "shape", "no_such" }
    return ("%s: .%s = "):format(describe(t, value), name), function() t[name] = value end, name
  end,
  function(pool) -- a freed tensor
    local t = values.tensor(pool)
    local row = pick { "add", "sum", "clone", "tolist", "backward", "item", "size", "to", "reshape", "detach" }
    return ("%s: freed, then %s"):format(describe(t), row), function()
      local view = t:view_as(t)
      t:free()
      local _ = view:sum()
      return t[row](t, 1)
    end
  end,
  function(pool) -- scopes left by an error
    local t = some_tensor(pool)
    local scope = pick { torch.no_grad, torch.enable_grad, torch.inference_mode, torch.scope }
    return ("%s: an error inside a scope"):format(describe(t)), function()
      scope(function()
        local y = t * 2
        local _ = y[{ {}, "x" }]
        error("from the scope: after " .. tostring(y.shape))
      end)
    end
  end,
  function(pool) -- shapes
    local n = random(0, 5)
    local sizes = {}
    for i = 1, n do sizes[i] = values.int(pool) end
    local k = values.int(pool)
    return ("torch.Size(%s)[%d]"):format(describe(sizes), k), function()
      local size = torch.Size(sizes)
      return size[k], #size, size:numel(), tostring(size), size == torch.Size { 1 }, size .. size, size:unpack()
    end
  end,
  function(pool) -- the state of a generator
    local state = chance(0.5) and some_tensor(pool) or torch.randint(0, 256, { 5056 }, { dtype = torch.uint8 })
    return ("set_state(%s)"):format(describe(state)), function()
      local g = torch.Generator()
      g:set_state(state)
      return torch.randn({ 20 }, { generator = g }), torch.randperm(7, { generator = g })
    end, "state"
  end,
}

return M
