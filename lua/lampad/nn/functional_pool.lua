-- The pooling functions of nn.functional that PyTorch gives an argument return_indices, and the adaptive
-- ones, whose sizes may be left out. Called once, by lampad.nn.functional.
local args = require "lampad.args"

--- One size for each spatial dim: those left out (nil or false) are the input's.
local function full_sizes(x, sizes, n)
  if type(sizes) ~= "table" or getmetatable(sizes) ~= nil or #sizes > n then return sizes end
  local result = {}
  for i = 1, n do result[i] = sizes[i] or x:size(i - 1 - n) end
  return result
end

-- A list of sizes, or one number: not a table of named arguments.
local function is_sizes(v)
  return math.type(v) == "integer" or type(v) == "table" and type(next(v)) ~= "string"
end

--- Defines the functions in F on the ops.
return function(F, ops)
  -- `positional` arguments before return_indices are the op's own.
  local function with_indices(name, signature, positional)
    local op, both = ops[name], ops[name .. "_with_indices"]
    local spec = args(name .. signature)
    F[name] = function(...)
      local count = select("#", ...)
      local last = count > 0 and select(count, ...)
      if count <= positional and (type(last) ~= "table" or last.return_indices == nil) then return op(...) end
      local values = table.pack(spec(...))
      return (values[positional + 1] and both or op)(table.unpack(values, 1, positional))
    end
  end
  for n = 1, 3 do
    with_indices("max_pool" .. n .. "d", "(Tensor input, ints kernel_size, ints stride=nil, ints padding=0, "
      .. "ints dilation=1, bool ceil_mode=false, bool return_indices=false)", 6)

    local name = "adaptive_max_pool" .. n .. "d"
    local op, both = ops[name], ops[name .. "_with_indices"]
    local spec = args(name .. "(Tensor input, any output_size, bool return_indices=false)")
    F[name] = function(input, ...)
      local sizes, indices = ...
      if not (is_sizes(sizes) and (indices == nil or type(indices) == "boolean")) then
        input, sizes, indices = spec(input, ...)
      end
      return (indices and both or op)(input, full_sizes(input, sizes, n))
    end

    name = "adaptive_avg_pool" .. n .. "d"
    local average = ops[name]
    local average_spec = args(name .. "(Tensor input, any output_size)")
    F[name] = function(input, ...)
      local sizes = ...
      if select("#", ...) > 1 or not is_sizes(sizes) then input, sizes = average_spec(input, ...) end
      return average(input, full_sizes(input, sizes, n))
    end
  end
  for n = 2, 3 do
    local name = "fractional_max_pool" .. n .. "d"
    local op, both = ops[name], ops[name .. "_with_indices"]
    local spec = args(name .. "(Tensor input, ints kernel_size, ints output_size=nil, floats output_ratio=nil, "
      .. "bool return_indices=false, Tensor _random_samples=nil)")
    F[name] = function(...)
      local input, kernel, size, ratio, indices, samples = spec(...)
      return (indices and both or op)(input, kernel, size, ratio, indices, samples)
    end
  end
end
