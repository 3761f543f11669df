--- Random values for the fuzzer: tensors of every kind, and arguments of every schema type, right and wrong.
-- All choices come from math.random, which the fuzzer seeds anew for each step; nothing here may depend on the
-- order of `pairs`. One pool lives for one step, so that arguments can share memory.
local torch = require "lampad"

local M = {}

local random, maxinteger, mininteger = math.random, math.maxinteger, math.mininteger

local function chance(p) return random() < p end
local function pick(list) return list[random(#list)] end
M.chance, M.pick = chance, pick

M.dtypes = { torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64,
  torch.complex64, torch.complex128, torch.bool, torch.bfloat16 }

local MAX_ELEMENTS = 600

-- --- shapes -------------------------------------------------------------------------------------

local function random_size()
  local r = random()
  if r < 0.07 then return 0 end
  if r < 0.27 then return 1 end
  if r < 0.90 then return random(2, 5) end
  if r < 0.98 then return random(6, 17) end
  return random(18, 70)
end

local function bounded(shape)
  local n = 1
  for i, size in ipairs(shape) do
    if n * size > MAX_ELEMENTS then shape[i] = 1 end
    n = n * shape[i]
  end
  return shape
end

function M.shape()
  local r, ndim = random(), 6
  for n, limit in ipairs { 0.1, 0.3, 0.6, 0.8, 0.92, 0.97 } do
    if r < limit then
      ndim = n - 1
      break
    end
  end
  local shape = {}
  for i = 1, ndim do shape[i] = random_size() end
  return bounded(shape)
end

-- A shape that often fits beside `shape`: dims made 1 or dropped in front, swapped, or one size changed.
local function near_shape(shape)
  local near, r = table.move(shape, 1, #shape, 1, {}), random()
  if r < 0.5 then return near end
  if r < 0.65 and #near > 0 then near[random(#near)] = 1
  elseif r < 0.75 and #near > 0 then table.remove(near, 1)
  elseif r < 0.85 and #near > 1 then near[#near], near[#near - 1] = near[#near - 1], near[#near]
  elseif r < 0.92 and #near > 0 then near[random(#near)] = random_size()
  elseif #near < 6 then table.insert(near, random(#near + 1), random_size()) end
  return bounded(near)
end

-- --- numbers ------------------------------------------------------------------------------------

local special = { 0.0, -0.0, 1.0, -1.0, 0 / 0, math.huge, -math.huge, 1e30, -1e30, 1e-40, 5e-324, 1.7e308, -1.7e308, 65504.0,
  3.4e38, 0.5, -0.5, 2147483647.0, 2147483648.0, 9.3e18, -9.3e18, 4294967296.0 }
local extreme = { maxinteger, mininteger, maxinteger - 1, mininteger + 1, 1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 32,
  (1 << 32) - 1, 1 << 62, -(1 << 62), 1 << 40, 1000000007, 65536, -65536 }

--- The one generator that a pool has: it is seeded before each call.
function M.generator(pool)
  pool.generators[1] = pool.generators[1] or torch.Generator()
  return pool.generators[1]
end

--- An int that some op may want: small, near a size of the pool's tensors, or absurd.
function M.int(pool)
  local r = random()
  if r < 0.55 then return random(-2, 4) end
  if r < 0.75 then return (#pool.shape > 0 and pick(pool.shape) or 1) + random(-1, 1) end
  if r < 0.87 then return random(-10, 20) end
  if r < 0.9 then return random(100, 5000) end
  return pick(extreme)
end

function M.float()
  local r = random()
  if r < 0.5 then return random() end
  if r < 0.7 then return random(-3, 3) + 0.0 end
  if r < 0.8 then return random(-3, 3) end
  if r < 0.9 then return 10 ^ (random() * 20 - 10) end
  return pick(special)
end

function M.number(pool)
  local r = random()
  if r < 0.4 then return M.float() end
  if r < 0.8 then return M.int(pool) end
  if r < 0.9 then return chance(0.5) end
  return M.float() + M.float() * torch.j
end

local kinds = { "plain", "plain", "plain", "small", "small", "unit", "positive", "special", "extreme", "index" }

local function elements(kind, n, pool)
  local list = {}
  local top = #pool.shape > 0 and math.max(1, pick(pool.shape)) or 2
  for i = 1, n do
    local value
    if kind == "plain" then value = (random() + random() + random() - 1.5) * 2
    elseif kind == "small" then value = random(-3, 4)
    elseif kind == "unit" then value = random()
    elseif kind == "positive" then value = random() * 3 + 0.1
    elseif kind == "special" then value = chance(0.4) and pick(special) or random() - 0.5
    elseif kind == "extreme" then value = chance(0.3) and pick(extreme) or random(-100, 200)
    else value = random(0, top - 1) - (chance(0.05) and random(-1, 1) * top or 0) end
    list[i] = value
  end
  return list
end

-- --- tensors ------------------------------------------------------------------------------------

local function count(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

-- A contiguous tensor. Lists of one number type are cast by the engine, which wraps and saturates as it likes.
local function filled(shape, dtype, kind, pool)
  local n = count(shape)
  local list = elements(kind, n, pool)
  local base = math.type(list[1]) == "integer" and torch.int64 or torch.float64
  for i = 1, n do
    if base == torch.float64 then list[i] = list[i] + 0.0 end
    if math.type(list[i]) ~= "integer" and base == torch.int64 then base = torch.float64 end
  end
  local flat = torch.tensor(list, { dtype = base })
  if dtype == torch.bool then flat = flat:gt(0)
  elseif dtype.is_complex then
    local imaginary = torch.tensor(elements(kind, n, pool), { dtype = torch.float64 })
    flat = torch.complex(flat:to(torch.float64), imaginary):to(dtype)
  else flat = flat:to(dtype) end
  return flat:reshape(shape)
end

--- The same values in another layout: permuted, every second element, an offset, expanded or overlapping memory.
-- The last two change values.
function M.relayout(t)
  local r, ndim = random(), t.ndim
  if r < 0.3 and ndim > 1 then
    local a, b = random(0, ndim - 1), random(0, ndim - 1)
    return t:transpose(a, b):contiguous():transpose(a, b), "permuted"
  elseif r < 0.55 and ndim > 0 then
    local dim, step = random(0, ndim - 1), random(2, 3)
    local sizes = t.shape:tolist()
    sizes[dim + 1] = sizes[dim + 1] * step + 1
    local wide = torch.ones(sizes, { dtype = t.dtype })
    local view = wide:narrow(dim, 1, sizes[dim + 1] - 1)
    local index = {}
    for i = 1, ndim do index[i] = i == dim + 1 and "::" .. step or ":" end
    view = view[table.concat(index, ", ")]
    view:copy_(t)
    return view, "stepped"
  elseif r < 0.7 then
    local wide = torch.ones({ t:numel() + 3 }, { dtype = t.dtype })
    local view = wide:narrow(0, random(1, 3), t:numel()):view(t.shape)
    view:copy_(t)
    return view, "offset"
  elseif r < 0.87 and ndim > 0 and t:numel() > 0 then
    local dim = random(0, ndim - 1)
    return t:narrow(dim, 0, 1):expand(t.shape), "expanded"
  elseif t:numel() > 0 then
    local strides, reach = {}, 1
    for i = 1, ndim do
      strides[i] = random(0, 2)
      reach = reach + strides[i] * (t.shape[i - 1] - 1)
    end
    local flat = t:reshape(-1)
    while flat:numel() < reach do flat = torch.cat { flat, flat } end
    return flat:as_strided(t.shape, strides, random(0, flat:numel() - reach)), "overlapping"
  end
  return t, "as it was"
end

-- A view of a tensor made before: arguments that share memory.
local function view_of(t)
  local r = random()
  if r < 0.4 or t.ndim == 0 then return t end
  local dim = random(0, t.ndim - 1)
  if r < 0.55 then return t:transpose(dim, random(0, t.ndim - 1)) end
  if t.shape[dim] == 0 then return t end
  if r < 0.7 then return t:select(dim, random(0, t.shape[dim] - 1)) end
  local start = random(0, t.shape[dim] - 1)
  return t:narrow(dim, start, random(0, t.shape[dim] - start))
end

--- What a step's arguments have in common.
function M.pool()
  local pool = { shape = M.shape(), dtype = pick(M.dtypes), kind = pick(kinds), tensors = {}, leaves = {}, generators = {},
    wants_grad = chance(0.4) }
  if chance(0.5) then pool.dtype = pick { torch.float32, torch.float64 } end
  return pool
end

local function remember(pool, t)
  pool.tensors[#pool.tensors + 1] = t
  return t
end

--- Asks for a gradient, sometimes through a first op.
function M.with_grad(pool, t)
  if t.requires_grad or not (t.dtype.is_floating_point or t.dtype.is_complex) then return t end
  if t.is_leaf then
    -- A leaf that is a view, once its base is written to, is part of a ring that nothing frees (as in PyTorch).
    if t._base then t = t:detach() end
    t:requires_grad_()
    pool.leaves[#pool.leaves + 1] = t
  end
  return chance(0.4) and t * 1 or t
end

--- A tensor for an argument called `name`.
function M.tensor(pool, name)
  if #pool.tensors > 0 and chance(0.12) then return view_of(pick(pool.tensors)) end
  local shape = chance(0.85) and near_shape(pool.shape) or M.shape()
  local dtype = chance(0.85) and pool.dtype or pick(M.dtypes)
  local kind = chance(0.8) and pool.kind or pick(kinds)
  if name and chance(0.85) then
    if name:find("ind", 1, true) or name == "target" then
      dtype, kind = chance(0.9) and torch.int64 or torch.int32, "index"
    elseif name:find("mask", 1, true) or name == "condition" then
      dtype, kind = torch.bool, "small"
    end
  end
  local t = filled(shape, dtype, kind, pool)
  if chance(0.45) then t = M.relayout(t) end
  if pool.wants_grad and chance(0.6) then t = M.with_grad(pool, t) end
  return remember(pool, t)
end

-- --- arguments by schema type -------------------------------------------------------------------

local words = { "", "x", "mean", "sum", "none", "reflect", "constant", "replicate", "circular", "floor", "trunc", "linear",
  "nearest", "bilinear", "bicubic", "area", "ij", "xy", "fro", "nuc", "tanh", "none ", "same", "valid", "lower", "higher",
  "midpoint", "left", "right", "reduced", "complete", "r", "L", "U", "amax", "prod", "ii->i", "ij,jk->ik", "...i,i", "i->",
  "->", "a,b->ab", "batchmean", "\0", ("y"):rep(300), "%s%d%n" }

local formats = { torch.contiguous_format, torch.preserve_format, torch.channels_last, torch.channels_last_3d }

local function list_of(make, pool, fixed)
  local n = fixed
  if not fixed or chance(0.3) then n = pick { 0, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7 } end
  if chance(0.01) then n = random(60, 300) end
  local list = {}
  for i = 1, n do list[i] = make(pool) end
  return list
end

--- Something of a type that the argument does not take (or may not).
function M.wrong(pool)
  return pick {
    function() return "text" end,
    function() return {} end,
    function() return { 1, "a" } end,
    function() return { x = 1 } end,
    function() return print end,
    function() return torch.float32 end,
    function() return true end,
    function() return 1.5 end,
    function() return M.tensor(pool) end,
    function() return { M.tensor(pool) } end,
    function() return torch.Size { 2, 3 } end,
    function() return torch.device "cpu" end,
    function() return M.generator(pool) end,
    function() return coroutine.create(print) end,
    function() return { { 1, 2 }, { 3 } } end,
    function()
      local t = torch.ones(2)
      t:free()
      return t
    end,
  }()
end

local function dim_like(pool)
  if chance(0.85) then return random(-#pool.shape - 1, #pool.shape) end
  return M.int(pool)
end

-- How a type without its "?" is made.
local makers = {
  Tensor = function(pool, arg) return M.tensor(pool, arg.name) end,
  ["Tensor[]"] = function(pool) return list_of(M.tensor, pool, random(1, 3)) end,
  ["Tensor?[]"] = function(pool)
    local list = list_of(function() return M.tensor(pool, "indices") end, pool, random(1, 3))
    list.n = #list + random(0, 1)
    return list
  end,
  Scalar = function(pool) return M.number(pool) end,
  int = function(pool, arg)
    if arg.name:find("dim", 1, true) then return dim_like(pool) end
    return M.int(pool)
  end,
  float = function() return M.float() end,
  bool = function() return chance(0.5) end,
  ["int[]"] = function(pool, arg)
    if chance(0.12) then return M.int(pool) end
    if arg.name:find("dim", 1, true) then return list_of(dim_like, pool) end
    if chance(0.3) then return near_shape(pool.shape) end
    if chance(0.5) then return list_of(function() return random(0, 3) end, pool) end
    return list_of(M.int, pool)
  end,
  ["float[]"] = function(pool) return chance(0.2) and M.float() or list_of(M.float, pool) end,
  str = function() return pick(words) end,
  dtype = function() return pick(M.dtypes) end,
  device = function() return chance(0.9) and "cpu" or pick { "cuda", "cuda:1", "tpu", "cpu:3", torch.device "cpu" } end,
  Generator = M.generator,
  memory_format = function() return pick(formats) end,
}

--- A value for an argument of an op_db row; now and then of a wrong type.
function M.argument(pool, arg)
  if chance(0.02) then return M.wrong(pool) end
  local fixed = arg.type:match "^int%[(%d)%]"
  local kind = arg.type:gsub("%d", ""):gsub("%?$", "")
  if arg.type:sub(-1) == "?" and chance(0.25) then return nil end
  if fixed and chance(0.6) then
    return list_of(function() return random(0, 4) end, pool, tonumber(fixed))
  end
  local maker = makers[kind]
  if not maker then error("the fuzzer has no values of type " .. arg.type) end
  return maker(pool, arg)
end

-- --- describing ---------------------------------------------------------------------------------

local function describe_tensor(t, seen)
  if not pcall(function() return t.dtype end) then return "a freed tensor" end
  for i, other in ipairs(seen) do
    if rawequal(other, t) then return "t" .. i end
  end
  seen[#seen + 1] = t
  local strides = {}
  for i = 0, t.ndim - 1 do strides[#strides + 1] = tostring(t:stride(i)) end
  local text = ("t%d=%s[%s]"):format(#seen, tostring(t.dtype):gsub("^torch%.", ""), table.concat(t.shape:tolist(), ","))
  if not t:is_contiguous() or t:storage_offset() ~= 0 then
    text = ("%s strides(%s)+%d"):format(text, table.concat(strides, ","), t:storage_offset())
  end
  if t.requires_grad then text = text .. (t.is_leaf and " leaf" or " grad") end
  if t:numel() > 0 and t:numel() <= (M.most_shown or 6) then text = text .. " " .. tostring(torch.tensor(t:detach():reshape(-1):tolist())) end
  return (text:gsub("%s+", " "))
end

--- A value as readable text; `seen` numbers the tensors, so that shared ones show.
function M.describe(value, seen)
  if torch.is_tensor(value) then
    local ok, text = pcall(describe_tensor, value, seen)
    return ok and text or "a tensor"
  elseif type(value) == "string" then return ("%q"):format(#value > 60 and value:sub(1, 60) .. "..." or value)
  elseif type(value) == "table" then
    local parts = {}
    for i = 1, math.max(#value, math.tointeger(rawget(value, "n")) or 0) do
      parts[i] = i > 12 and "..." or M.describe(value[i], seen)
      if i > 12 then break end
    end
    local names = {}
    for name in pairs(value) do
      if type(name) == "string" then names[#names + 1] = name end
    end
    table.sort(names)
    for _, name in ipairs(names) do parts[#parts + 1] = name .. " = " .. M.describe(value[name], seen) end
    return "{" .. table.concat(parts, ", ") .. "}"
  elseif value == math.mininteger then return "math.mininteger" end
  return tostring(value)
end

return M
