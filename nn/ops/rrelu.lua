-- Leaky rectifiers whose slopes are learnt or drawn.
op{ "prelu(Tensor self, Tensor weight) -> Tensor", autocast = "lower_precision_fp", variants = "function method", module = "torch nn.functional",
    kind = "composite", cases = { "(2,3,4),(3,)", "(3,4),(1,)", "(),(1,)", "(3,),()" },
    doc = "x where x > 0, weight * x elsewhere; weight has one element, or one for each channel (dim 1).",
    example = "F.prelu(torch.tensor{-1., 2.}, torch.tensor{0.25})" }
-- The slope's gradient looks at the elements that are not positive only.
op{ "prelu_elements(Tensor self, Tensor weight) -> Tensor", variants = "internal", node = "PreluKernelBackward0",
    kind = "binary", dtypes = "float",
    grad = { self = "where(self > 0, grad, weight * grad)",
             weight = "sum_to_size(where(self > 0, 0, self * grad), weight.shape)" } }
op{ "rrelu(Tensor input, float lower=0.125, float upper=0.3333333333333333, bool training=false, "
      .. "Generator? generator=nil) -> Tensor", variants = "function inplace", module = "torch nn.functional",
    kind = "composite", cases = { "(3,4)", "(3,4),0.1,0.3,true", "()" },
    doc = "leaky_relu with slopes drawn from U(lower, upper) in training, with their mean otherwise.",
    example = "F.rrelu(torch.tensor{-1., 2.})" }
-- The factors: 1 for positive elements, one draw each for the others.
op{ "rrelu_noise(Tensor self, float lower, float upper, Generator? generator) -> Tensor", variants = "internal",
    grad = "none" }
