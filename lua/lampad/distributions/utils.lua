-- torch.distributions.utils: parameters that broadcast, probabilities and logits, triangular matrices as vectors.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local property = require "lampad.distributions.property"
local shapes = require "lampad.distributions.shapes"

local torch = core.torch
local utils = { property = property.property, lazy_property = property.lazy_property }

--- Euler's constant, the limit of 1 + 1/2 + ... + 1/n - log n.
utils.euler_constant = 0.57721566490153286060

local function is_tensor(v) return type(v) == "userdata" and torch.is_tensor(v) end

--- True for a tensor.
utils.is_tensor = is_tensor

--- Raises unless the value is a tensor.
function utils.check_tensor(what, name, value)
  if not is_tensor(value) then
    args.fail(what, "argument '%s' must be a tensor, got %s", name, text.describe(value))
  end
  return value
end

--- A tensor as it is, a number as a 0-d tensor; raises on anything else.
function utils.to_tensor(what, name, value)
  if type(value) == "number" then return torch.tensor(value, { dtype = torch.get_default_dtype() }) end
  return utils.check_tensor(what, name, value)
end

-- The shape that all broadcast to, or nil and the place of one that does not fit those before it.
local function common_shape(values)
  local sizes = {} -- from the last dim on
  for i, v in ipairs(values) do
    local shape = v.shape
    for d = 1, #shape do
      local n, known = shape[-d], sizes[d]
      if known and known ~= 1 and n ~= 1 and n ~= known then return nil, i end
      if not known or known == 1 then sizes[d] = n end
    end
  end
  local list = {}
  for d = #sizes, 1, -1 do list[#list + 1] = sizes[d] end
  return torch.Size(list)
end

-- Replaces numbers by tensors and expands to one shape, which is returned; what has it stays the tensor that was given.
local function broadcast(what, names, values)
  local model
  for i, v in ipairs(values) do
    if is_tensor(v) then
      model = model or v
    elseif type(v) ~= "number" then
      args.fail(what, "argument '%s' must be a number or a tensor, got %s", names[i], text.describe(v))
    end
  end
  local dtype = model and model.dtype or torch.get_default_dtype()
  local device = model and model.device or "cpu"
  for i, v in ipairs(values) do
    if not is_tensor(v) then values[i] = torch.tensor(v, { dtype = dtype, device = device }) end
  end
  local shape, misfit = common_shape(values)
  if not shape then
    args.fail(what, "argument '%s' of shape %s does not broadcast with the shape %s before it", names[misfit],
      tostring(values[misfit].shape), tostring(common_shape { table.unpack(values, 1, misfit - 1) }))
  end
  for i, v in ipairs(values) do
    if v.shape ~= shape then values[i] = v:expand(shape) end
  end
  return shape
end

--- Tensors and numbers as tensors of one shape. Numbers take the dtype of the first tensor; numbers alone become 0-d
--- tensors of the default dtype.
function utils.broadcast_all(...)
  local values, names = { ... }, {}
  for i = 1, select("#", ...) do
    names[i] = tostring(i - 1)
    if values[i] == nil then values[i] = false end
  end
  broadcast("broadcast_all", names, values)
  return table.unpack(values)
end

--- The parameters of a distribution as tensors of one shape, and that shape: parameters("Normal", "loc", loc, "scale", scale)
--- gives loc, scale, batch_shape.
function utils.parameters(what, ...)
  local given, names, values = { ... }, {}, {}
  for i = 1, select("#", ...), 2 do
    names[#names + 1], values[#values + 1] = given[i], given[i + 1] == nil and false or given[i + 1]
  end
  values[#values + 1] = broadcast(what, names, values)
  return table.unpack(values)
end

--- Raises unless exactly one of probs and logits is given.
function utils.one_of_probs_logits(what, probs, logits)
  if (probs == nil) == (logits == nil) then
    args.fail(what, "Either `probs` or `logits` must be specified, but not both.")
  end
end

--- Standard normal numbers of a shape, in the dtype of a tensor.
function utils.standard_normal(shape, model)
  return torch.empty(shape, { dtype = model.dtype, device = model.device }):normal_()
end

--- The sum over the last `count` dims.
function utils.sum_rightmost(value, count)
  if count == 0 then return value end
  return value:reshape(shapes.flat(value.shape, count)):sum(-1)
end

--- Probabilities of logits: sigmoid when they are binary, softmax over the last dim otherwise.
function utils.logits_to_probs(logits, is_binary)
  if type(is_binary) == "table" then is_binary = is_binary.is_binary end
  if is_binary then return torch.sigmoid(logits) end
  return torch.softmax(logits, -1)
end

--- Probabilities kept off 0 and 1 by the dtype's eps.
function utils.clamp_probs(probs)
  local eps = torch.finfo(probs.dtype).eps
  return probs:clamp { min = eps, max = 1 - eps }
end

--- Logits of probabilities: log odds when they are binary, logarithms otherwise.
function utils.probs_to_logits(probs, is_binary)
  if type(is_binary) == "table" then is_binary = is_binary.is_binary end
  local inside = utils.clamp_probs(probs)
  if is_binary then return inside:log() - (-inside):log1p() end
  return inside:log()
end

-- What the lazy attributes of a class with `probs` or `logits` are.
local function from_logits(is_binary)
  return property.lazy_property(function(self) return utils.logits_to_probs(self.logits, is_binary) end)
end
local function from_probs(is_binary)
  return property.lazy_property(function(self) return utils.probs_to_logits(self.probs, is_binary) end)
end

--- Gives a class the attributes probs, logits (each made from the other one) and param_shape.
function utils.add_probs_logits(class, is_binary)
  class.probs, class.logits = from_logits(is_binary), from_probs(is_binary)
  class._param = property.property(function(self) return rawget(self, "given") == "logits" and self.logits or self.probs end)
  class.param_shape = property.property(function(self) return self._param.shape end)
end

--- Stores the one given of probs and logits, a number or a tensor; returns the batch shape.
function utils.init_probs_logits(self, probs, logits)
  utils.one_of_probs_logits(self.__name, probs, logits)
  self.given = probs ~= nil and "probs" or "logits"
  local batch_shape
  self[self.given], batch_shape = utils.parameters(self.__name, self.given, probs ~= nil and probs or logits)
  return batch_shape
end

--- The same beside a total_count, which takes their dtype.
function utils.init_counted(self, total_count, probs, logits)
  utils.one_of_probs_logits(self.__name, probs, logits)
  self.given = probs ~= nil and "probs" or "logits"
  local batch_shape
  local param = probs ~= nil and probs or logits
  if type(param) == "number" then
    local floating = is_tensor(total_count) and total_count:is_floating_point()
    param = torch.tensor(param, { dtype = floating and total_count.dtype or torch.get_default_dtype() })
  end
  self.total_count, self[self.given], batch_shape =
    utils.parameters(self.__name, "total_count", total_count, self.given, param)
  self.total_count = self.total_count:type_as(self[self.given])
  return batch_shape
end

--- Gives a class attributes that are read from one of its fields: delegate(Class, "base_dist", "loc scale").
function utils.delegate(class, field, names)
  for name in names:gmatch "%S+" do
    class[name] = property.property(function(self) return self[field][name] end)
  end
end

--- -(target log sigmoid(logits) + (1 - target) log sigmoid(-logits)), elementwise.
function utils.binary_cross_entropy(logits, target)
  return require("lampad.nn.functional").binary_cross_entropy_with_logits(logits, target, { reduction = "none" })
end

--- What enumerate_support gives for the values 0 ... count - 1: along dim 0, in the model's dtype, expanded over the batch
--- unless `expand` is false.
function utils.enumerate_integers(self, count, model, expand)
  if type(expand) == "table" then expand = expand.expand end
  local values = torch.arange(count, { dtype = model.dtype, device = model.device })
  values = values:view(torch.Size { count } .. shapes.ones(#self._batch_shape))
  if expand == false then return values end
  return values:expand(torch.Size { count } .. self._batch_shape)
end

local function lower_mask(n, diag) return torch.ones(n, n, { dtype = torch.bool }):tril(diag) end

local function diag_of(diag)
  if type(diag) == "table" then diag = diag.diag end
  return diag or 0
end

--- The elements of (batches of) square matrices on and below the diagonal `diag`, row by row, as vectors.
function utils.tril_matrix_to_vec(mat, diag)
  diag = diag_of(diag)
  local n = mat:size(-1)
  if diag < -n or diag >= n then
    args.fail("tril_matrix_to_vec", "diag (%d) provided is outside [%d, %d].", diag, -n, n - 1)
  end
  return mat[{ "...", lower_mask(n, diag) }]
end

--- The inverse of tril_matrix_to_vec: (batches of) lower triangular matrices.
function utils.vec_to_tril_matrix(vec, diag)
  diag = diag_of(diag)
  local length, offset = vec:size(-1), 1 + 2 * diag
  local n = (math.sqrt(offset * offset + 8 * length + 4 * math.abs(diag) * (diag + 1)) - offset) / 2
  local side = math.floor(n + 0.5)
  if math.abs(side - n) > torch.finfo(vec.dtype).eps then
    args.fail("vec_to_tril_matrix", "The size of last dimension is %d which cannot be expressed as the lower triangular "
      .. "part of a square D x D matrix.", length)
  end
  local mat = vec:new_zeros(shapes.slice(vec.shape, 0, -1) .. { side, side })
  mat[{ "...", lower_mask(side, diag) }] = vec
  return mat
end

return utils
