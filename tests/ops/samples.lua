--- Sample calls: reads a schema case such as "(3,4), dim=1" and makes its tensors.
-- The numbers come from a small generator that scripts/gen/golden.py repeats step by step, so golden
-- files hold results only. docs/design/op-schema.md describes the notation.
local torch = require "lampad"

local M = {}

-- --- numbers ------------------------------------------------------------------------------------

local Generator = {}
Generator.__index = Generator

function M.generator(text)
  local h = 5381
  for i = 1, #text do h = (h * 33 + text:byte(i)) & 0x7fffffff end
  local self = setmetatable({ state = h }, Generator)
  for _ = 1, 3 do self:uniform() end
  return self
end

function Generator:uniform()
  self.state = (self.state * 1103515245 + 12345) & 0x7fffffff
  return (self.state >> 8) / 8388608.0
end

function Generator:normal()
  return (self:uniform() + self:uniform() + self:uniform() + self:uniform() - 2.0) * 1.75
end

function Generator:below(n) return math.floor(self:uniform() * n) end

local function permutation(gen, n)
  local order = {}
  for i = 0, n - 1 do order[i] = i end
  for i = n - 1, 1, -1 do
    local j = gen:below(i + 1)
    order[i], order[j] = order[j], order[i]
  end
  return table.move(order, 0, n - 1, 1, {})
end

local function complex(re, im) return re + im * torch.j end

--- Symmetric positive definite matrices, exact: M * M^H + n * I with M in eighths.
local function spd(gen, shape, is_complex)
  local n, out, batches = shape[#shape], {}, 1
  for i = 1, #shape - 2 do batches = batches * shape[i] end
  for _ = 1, batches do
    local re, im = {}, {}
    for i = 1, n do
      re[i], im[i] = {}, {}
      for j = 1, n do
        re[i][j] = (gen:below(17) - 8) / 8
        im[i][j] = is_complex and (gen:below(17) - 8) / 8 or 0.0
      end
    end
    for i = 1, n do
      for j = 1, n do
        local sr, si = i == j and n + 0.0 or 0.0, 0.0
        for k = 1, n do
          sr = sr + re[i][k] * re[j][k] + im[i][k] * im[j][k]
          si = si + im[i][k] * re[j][k] - re[i][k] * im[j][k]
        end
        out[#out + 1] = is_complex and complex(sr, si) or sr
      end
    end
  end
  return out
end

local function element(gen, flags, dtype)
  if dtype.is_complex then
    local re = element(gen, flags, torch.float64)
    return complex(re, element(gen, flags, torch.float64))
  elseif dtype.is_floating_point then
    if flags.u then return 0.02 + 0.96 * gen:uniform() end
    if flags.p then return 0.1 + 2.0 * gen:uniform() end
    return gen:normal()
  elseif dtype == torch.bool then return gen:uniform() >= 0.5
  elseif flags.u then return gen:below(2)
  elseif flags.p then return 1 + gen:below(5)
  elseif dtype == torch.uint8 then return gen:below(10)
  end
  return gen:below(10) - 5
end

local function flat_tensor(values, shape, dtype)
  return torch.tensor(values, { dtype = dtype }):reshape(shape)
end

local function make_tensor(spec, seed, default_dtype)
  local shape, flags, gen = spec.shape, spec.flags, M.generator(seed)
  local dtype = default_dtype
  if spec.below or flags.i then dtype = torch.int64 elseif flags.b then dtype = torch.bool end
  local made, n = table.move(shape, 1, #shape, 1, {}), 1
  local transposed = flags.t and #shape > 1
  if transposed then made[1], made[#made] = made[#made], made[1] end
  for _, size in ipairs(made) do n = n * size end
  local values = {}
  if spec.below then
    for i = 1, n do values[i] = gen:below(spec.below) end
  elseif flags.s then
    values, transposed, made = spd(gen, shape, dtype.is_complex), false, shape
  elseif flags.d and dtype ~= torch.bool then
    values = permutation(gen, n)
  else
    for i = 1, n do values[i] = element(gen, flags, dtype) end
  end
  local t = flat_tensor(values, made, dtype)
  if transposed then t = t:transpose(0, -1)
  elseif flags.t and #shape == 1 then t = M.strided(t) end
  local wants = not flags.g and not spec.below and not flags.i and not flags.b
    and (dtype.is_floating_point or dtype.is_complex)
  return t, wants
end

--- The same values in every second element of a wider tensor.
function M.strided(t)
  if t.ndim == 0 then return t end
  local sizes = t.shape:tolist()
  sizes[#sizes] = 2 * sizes[#sizes]
  local view = torch.zeros(sizes, { dtype = t.dtype })["..., ::2"]
  view:copy_(t)
  return view
end

--- The gradient fed to a result.
function M.weights(t, text)
  local gen, values, flags = M.generator(text), {}, {}
  for i = 1, t:numel() do values[i] = element(gen, flags, t.dtype) end
  return flat_tensor(values, t.shape, t.dtype)
end

-- --- reading cases ------------------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

function Reader:skip() self.pos = self.text:match("^[ \n]*()", self.pos) end
function Reader:peek() return self.text:sub(self.pos, self.pos) end

--- Takes what the pattern matches here, or nothing.
function Reader:take(pattern)
  local found, after = self.text:match("^(" .. pattern .. ")()", self.pos)
  if found then self.pos = after end
  return found
end

function Reader:tensor()
  local inner = self:take("%b()")
  local spec = { shape = {}, flags = {}, is_tensor = true }
  for size in inner:gmatch("%d+") do spec.shape[#spec.shape + 1] = tonumber(size) end
  while true do
    local flag = self:take("[ibputsdg<]")
    if not flag then return spec end
    if flag == "<" then spec.below = tonumber(self:take("%d+")) else spec.flags[flag] = true end
  end
end

local NIL = {} -- stands for nil inside the lists of arguments
local fixed = { ["true"] = true, ["false"] = false, ["nil"] = NIL, inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0 }

function Reader:value()
  self:skip()
  local c = self:peek()
  if c == "(" then return self:tensor() end
  if c == "[" then
    self.pos = self.pos + 1
    local list = {}
    while true do
      self:skip()
      if self:take("%]") then return list end
      list[#list + 1] = self:value()
      self:skip()
      self:take(",")
    end
  end
  if c == "'" then return self:take("%b''"):sub(2, -2) end
  local word = self:take("[%w+%-._]+")
  if not word then error(("cannot read the case %q at %d"):format(self.text, self.pos)) end
  if fixed[word] ~= nil then return fixed[word] end
  if torch[word] ~= nil and word:match("^%a") then return torch[word] end
  return tonumber(word) or complex(0, tonumber((word:gsub("j$", ""))))
end

local function read(text)
  local reader = setmetatable({ text = text, pos = 1 }, Reader)
  local args, named = {}, {}
  reader:skip()
  while reader.pos <= #text do
    local name = reader:take("[%w_]+ *=")
    if name then named[name:match("[%w_]+")] = reader:value()
    else args[#args + 1] = reader:value() end
    reader:skip()
    reader:take(",")
    reader:skip()
  end
  return args, named
end

--- One call: positional arguments (with their count n), named ones, and the tensors that may ask for gradients.
-- @param row a row of op_db
-- @param dtype for tensors without a dtype suffix
-- @param strided make every tensor non-contiguous
function M.sample(row, case, dtype, strided)
  local args, named = read(case)
  local sample = { inputs = {}, named = {}, args = { n = #args }, seed = row.cname .. "|" .. case }
  local count, is_whole = 0, true
  local function make(value)
    if type(value) ~= "table" then return value end
    if value == NIL then return nil end
    if not value.is_tensor then
      local list = {}
      for i, item in ipairs(value) do list[i] = make(item) end
      return list
    end
    count = count + 1
    local t, wants = make_tensor(value, sample.seed .. "|" .. count, dtype)
    if strided then t = M.strided(t) end
    if wants then sample.inputs[#sample.inputs + 1] = t end
    return t
  end
  for i, value in ipairs(args) do sample.args[i] = make(value) end
  -- Named arguments are made in the order they stand in, as the seeds count tensors.
  for name in ("," .. case:gsub("%b()", ""):gsub("%b[]", "")):gmatch(",%s*([%a_][%w_]*)%s*=") do
    if named[name] ~= nil and sample.named[name] == nil then sample.named[name] = make(named[name]) end
  end
  for name in pairs(named) do is_whole = is_whole and (named[name] == NIL or sample.named[name] ~= nil) end
  assert(is_whole, "a named argument was lost")
  sample.has_named = next(sample.named) ~= nil
  return sample
end

return M
