-- torch.distributions.SoftmaxTransform: exponentials over their sum; no bijection, as a common summand is lost.
local args = require "lampad.args"
local constraints = require "lampad.distributions.constraints"
local class = require "lampad.class"
local Transform = require "lampad.distributions.transforms.transform"

--- SoftmaxTransform{cache_size}.
local SoftmaxTransform = Transform:extend "SoftmaxTransform"
SoftmaxTransform.domain, SoftmaxTransform.codomain = constraints.real_vector, constraints.simplex

function SoftmaxTransform:_call(x) return x:softmax(-1) end
function SoftmaxTransform:_inverse(y) return y:log() end

function SoftmaxTransform:forward_shape(shape)
  if #shape < 1 then args.fail(self.__name, "Too few dimensions on input") end
  return shape
end
SoftmaxTransform.inverse_shape = SoftmaxTransform.forward_shape

function SoftmaxTransform:__eq(other) return class.isinstance(other, SoftmaxTransform) end

return SoftmaxTransform
