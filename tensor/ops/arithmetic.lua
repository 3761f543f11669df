-- Elementwise ops of two or more tensors; a number may stand for any of them but the first.
-- luacheck: globals op

local all = "function method inplace out"
local pair = { "(3,4), (3,4)", "(3,4), (4,)", "(3,1), (1,4)", "(2,3)t, (2,3)", "(0,), (0,)", "(3,), 2", "(3,), 2.5" }
local positive = { "(3,4)p, (3,4)p", "(3,4)p, (4,)p", "(2,3)tp, (2,3)p", "(3,)p, 2.5" }
local ints = { "(3,4)i, (3,4)i", "(3,4)i, (4,)i", "(3,)i, 2" }

-- --- arithmetic -------------------------------------------------------------------------------------
op{ "add(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", variants = all, kind = "binary", dtypes = "all",
    grad = { self = "grad", other = "alpha == 1 ? grad : grad * conj(alpha)" },
    cases = { "(3,4), (3,4)", "(3,4), (4,), alpha=2", "(3,1), (1,4)", "(2,3)t, (2,3)", "(0,), (0,)", "(3,), 2", "(3,)i, 2.5" },
    doc = "self + alpha * other.", example = "torch.add(torch.tensor{1, 2}, 10)" }
op{ "sub(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", variants = all, kind = "binary",
    dtypes = "float complex int", aliases = "subtract",
    grad = { self = "grad", other = "alpha == 1 ? -grad : -grad * conj(alpha)" },
    cases = { "(3,4), (3,4)", "(3,4), (4,), alpha=2", "(3,1), (1,4)", "(2,3)t, (2,3)", "(3,)i, 2.5" },
    doc = "self - alpha * other.", example = "torch.sub(torch.tensor{1, 2}, 10)" }
op{ "rsub(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", variants = "function", kind = "binary",
    dtypes = "float complex int", grad = { self = "alpha == 1 ? -grad : -grad * conj(alpha)", other = "grad" },
    cases = { "(3,4), (3,4)", "(3,4), (4,), alpha=2", "(3,), 1" },
    doc = "other - alpha * self.", example = "torch.rsub(torch.tensor{1, 2}, 10)" }
op{ "mul(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "all", aliases = "multiply",
    grad = { self = "grad * conj(other)", other = "grad * conj(self)" }, cases = pair,
    doc = "self * other.", example = "torch.mul(torch.tensor{1, 2}, 10)" }
op{ "div(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float complex",
    promote = "int->float", aliases = "divide true_divide",
    grad = { self = "grad / conj(other)", other = "-grad * conj(self / (other * other))" }, cases = pair,
    doc = "self / other; integers give floats.", example = "torch.div(torch.tensor{1, 2}, 2)" }
op{ "div.mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor", variants = all, aliases = "divide",
    grad = { self = "rounding_mode == nil ? sum_to_size(grad / conj(other), self.shape) \z
        : sum_to_size(grad * 0, self.shape)",
      other = "rounding_mode == nil ? sum_to_size(-grad * conj(self / (other * other)), other.shape) \z
        : sum_to_size(grad * 0, other.shape)" },
    cases = { "(3,4), (3,4), rounding_mode='trunc'", "(3,4), (4,), rounding_mode='floor'", "(3,)i, 2, rounding_mode='floor'" },
    doc = "self / other, then rounded: 'trunc' towards 0, 'floor' downwards.",
    example = "torch.div(torch.tensor{7, -7}, 2, {rounding_mode = \"floor\"})" }
op{ "floor_divide(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float int",
    grad = "none", cases = { "(3,4), (3,4)", "(3,4), (4,)", "(3,)i, 2", "(3,), -2.5" },
    doc = "self / other rounded down.", example = "torch.floor_divide(torch.tensor{7, -7}, 2)" }
op{ "remainder(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float int",
    grad = { self = "grad", other = "-grad * floor_divide(self, other)" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)", "(3,)i, 3", "(3,), -2.5" },
    doc = "What division rounded down leaves; it has the sign of other.", example = "torch.remainder(torch.tensor{7, -7}, 4)" }
op{ "fmod(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float int",
    grad = { self = "grad", other = "-grad * div_mode(self, other, rounding_mode='trunc')" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)", "(3,)i, 3", "(3,), -2.5" },
    doc = "What division rounded towards 0 leaves; it has the sign of self.", example = "torch.fmod(torch.tensor{7, -7}, 4)" }
op{ "pow(Tensor self, Tensor exponent) -> Tensor", variants = all, kind = "binary", dtypes = "float complex int",
    grad = { self = "pow_backward_self(grad, self, exponent)", exponent = "pow_backward_exponent(grad, self, exponent, result)" },
    cases = { "(3,4)p, (3,4)", "(3,4)p, (4,)", "(3,), 2", "(3,)p, 0.5", "(3,)i, 3", "2, (3,)" },
    doc = "self to the power exponent.", example = "torch.pow(torch.tensor{1.0, 2.0}, 3)" }
op{ "pow_backward_self(Tensor grad, Tensor self, Tensor exponent) -> Tensor", variants = "internal", kind = "composite" }
op{ "pow_backward_exponent(Tensor grad, Tensor self, Tensor exponent, Tensor result) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "float_power(Tensor self, Tensor exponent) -> Tensor", variants = all, composite = "pow(widen(self), widen(exponent))",
    cases = { "(3,4)p, (3,4)", "(3,)i, 2" },
    doc = "self to the power exponent, computed in float64 or complex128.", example = "torch.float_power(torch.tensor{1, 2}, 3)" }
op{ "widen(Tensor self) -> Tensor", variants = "internal", grad = { self = "grad" } }
-- A number as a 0-d float64 or complex128 tensor: between numbers alone the default dtype would round.
op{ "unwrap(Tensor self) -> Tensor", variants = "internal", kind = "composite" }
op{ "atan2(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float", promote = "int->float",
    aliases = "arctan2", cases = pair,
    grad = { self = "grad * atan2_slope(unwrap(other), unwrap(self))", other = "-grad * atan2_slope(unwrap(self), unwrap(other))" },
    doc = "The angle of the point (other, self), in (-pi, pi].", example = "torch.atan2(torch.tensor{1.0}, torch.tensor{1.0})" }
op{ "atan2_slope(Tensor self, Tensor other) -> Tensor", variants = "internal",
    composite = "self / (self * self + other * other)" }
op{ "hypot(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float",
    grad = { self = "grad * (self / result)", other = "grad * (other / result)" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)", "(2,3)t, (2,3)" },
    doc = "sqrt(self^2 + other^2) without overflow.", example = "torch.hypot(torch.tensor{3.0}, torch.tensor{4.0})" }
op{ "copysign(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float",
    promote = "int->float", grad = { self = "where(self == 0, 0, grad * (result / self))", other = "zeros_like(grad)" }, cases = pair,
    doc = "The size of self with the sign of other.", example = "torch.copysign(torch.tensor{1.0, 2.0}, -1)" }
op{ "nextafter(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float",
    grad = { self = "grad * (self != other)", other = "zeros_like(grad)" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)" },
    doc = "The next number of the dtype after self towards other.", example = "torch.nextafter(torch.tensor{1.0}, torch.tensor{2.0})" }
op{ "logaddexp(Tensor self, Tensor other) -> Tensor", variants = "function method out", kind = "binary",
    dtypes = "float complex",
    grad = { self = "grad / (1 + exp(conj(other - self)))", other = "grad / (1 + exp(conj(self - other)))" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)" },
    doc = "log(exp(self) + exp(other)).", example = "torch.logaddexp(torch.tensor{0.0}, torch.tensor{0.0})" }
op{ "logaddexp2(Tensor self, Tensor other) -> Tensor", variants = "function method out", kind = "binary", dtypes = "float",
    grad = { self = "grad / (1 + exp2(other - self))", other = "grad / (1 + exp2(self - other))" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)" },
    doc = "log2(2^self + 2^other).", example = "torch.logaddexp2(torch.tensor{0.0}, torch.tensor{0.0})" }
op{ "xlogy(Tensor self, Tensor other) -> Tensor", module = "torch special", variants = all, kind = "binary",
    dtypes = "float", promote = "int->float",
    grad = { self = "where(logical_and(self == 0, other <= 0), 0, grad * log(unwrap(other)))", other = "grad * self / other" },
    cases = positive, doc = "self * log(other), and 0 where self is 0.", example = "torch.xlogy(torch.tensor{0.0}, torch.tensor{0.0})" }
op{ "xlog1py(Tensor self, Tensor other) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "float", promote = "int->float",
    grad = { self = "where(logical_and(self == 0, other <= -1), 0, grad * log1p(unwrap(other)))", other = "grad * self / (other + 1)" },
    cases = positive, doc = "self * log1p(other), and 0 where self is 0.",
    example = "torch.special.xlog1py(torch.tensor{1.0}, torch.tensor{1.0})" }
op{ "ldexp(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float complex",
    promote = "int->float",
    grad = { self = "grad * conj(pow(2.0, other))", other = "grad * conj(result * 0.6931471805599453)" },
    cases = { "(3,4), (3,4)i", "(3,), 3" }, doc = "self * 2^other.", example = "torch.ldexp(torch.tensor{1.0}, torch.tensor{4})" }
op{ "heaviside(Tensor self, Tensor values) -> Tensor", variants = all, kind = "binary", dtypes = "float int bool",
    grad = { self = "zeros_like(grad)", values = "grad * (self == 0)" }, cases = { "(3,4), (3,4)", "(3,4), (4,)" },
    doc = "0 below 0, 1 above, values at 0.", example = "torch.heaviside(torch.tensor{-1.0, 0, 1}, torch.tensor{0.5})" }
op{ "gcd(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "int", grad = "none", cases = ints,
    doc = "Greatest common divisor.", example = "torch.gcd(torch.tensor{12}, torch.tensor{18})" }
op{ "lcm(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "int", grad = "none", cases = ints,
    doc = "Least common multiple.", example = "torch.lcm(torch.tensor{4}, torch.tensor{6})" }

-- --- larger, smaller, limits ----------------------------------------------------------------------------
op{ "maximum(Tensor self, Tensor other) -> Tensor", variants = "function method out", kind = "binary",
    dtypes = "float int bool",
    grad = { self = "where(self == other, grad / 2, where(self < other, 0, grad))",
      other = "where(self == other, grad / 2, where(self > other, 0, grad))" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)", "(2,3)t, (2,3)" },
    doc = "The larger of two; NaN where either is.", example = "torch.maximum(torch.tensor{1, 5}, torch.tensor{3, 2})" }
op{ "minimum(Tensor self, Tensor other) -> Tensor", variants = "function method out", kind = "binary",
    dtypes = "float int bool",
    grad = { self = "where(self == other, grad / 2, where(self > other, 0, grad))",
      other = "where(self == other, grad / 2, where(self < other, 0, grad))" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)", "(2,3)t, (2,3)" },
    doc = "The smaller of two; NaN where either is.", example = "torch.minimum(torch.tensor{1, 5}, torch.tensor{3, 2})" }
op{ "fmax(Tensor self, Tensor other) -> Tensor", variants = "function method out", kind = "binary",
    dtypes = "float int bool",
    grad = { self = "where(logical_or(self >= other, isnan(other)), grad, 0)",
      other = "where(logical_or(self >= other, isnan(other)), 0, grad)" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)" },
    doc = "The larger of two; the number where one is NaN.", example = "torch.fmax(torch.tensor{1.0}, torch.tensor{0/0})" }
op{ "fmin(Tensor self, Tensor other) -> Tensor", variants = "function method out", kind = "binary",
    dtypes = "float int bool",
    grad = { self = "where(logical_or(self <= other, isnan(other)), grad, 0)",
      other = "where(logical_or(self <= other, isnan(other)), 0, grad)" },
    cases = { "(3,4), (3,4)", "(3,4), (4,)" },
    doc = "The smaller of two; the number where one is NaN.", example = "torch.fmin(torch.tensor{1.0}, torch.tensor{0/0})" }
op{ "clamp(Tensor self, Scalar? min=nil, Scalar? max=nil) -> Tensor", variants = all, aliases = "clip",
    grad = { self = "clamp_backward(grad, self, min, max)" },
    cases = { "(3,4), -0.5, 0.5", "(3,4), 0.25", "(3,), nil, 0", "(3,)i, -1, 2" },
    doc = "Limits x to [min, max]; either may be left out.", example = "torch.clamp(torch.tensor{-2.0, 0.5, 3.0}, -1, 1)" }
op{ "clamp_backward(Tensor grad_output, Tensor self, Scalar? min, Scalar? max) -> Tensor", variants = "internal",
    grad = { grad_output = "clamp_backward(grad, self, min, max)" } }
op{ "clamp.Tensor(Tensor self, Tensor? min=nil, Tensor? max=nil) -> Tensor", variants = all, aliases = "clip",
    grad = { self = "sum_to_size(clamp_tensor_backward(grad, self, min, max), self.shape)",
      min = "sum_to_size(clamp_min_backward(grad, self, min, max), min.shape)",
      max = "sum_to_size(clamp_max_backward(grad, self, min, max), max.shape)" },
    cases = { "(3,4), (3,4), (4,)", "(3,4), (4,)", "(3,), nil, (3,)" },
    doc = "Limits x to [min, max], tensors; either may be left out.", example = "torch.clamp(torch.tensor{-2.0, 3.0}, torch.tensor{0.0, 1.0})" }
op{ "clamp_tensor_backward(Tensor grad, Tensor self, Tensor? min, Tensor? max) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "clamp_min_backward(Tensor grad, Tensor self, Tensor min, Tensor? max) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "clamp_max_backward(Tensor grad, Tensor self, Tensor? min, Tensor max) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "clamp_min(Tensor self, Tensor min) -> Tensor", variants = all, kind = "binary", kernel = "maximum",
    dtypes = "float int bool",
    grad = { self = "clamp_tensor_backward(grad, self, min, nil)",
      min = "clamp_min_backward(grad, self, min, nil)" },
    cases = { "(3,4), 0.25", "(3,4), (4,)" },
    doc = "The larger of x and min.", example = "torch.clamp_min(torch.tensor{-2.0, 3.0}, 0)" }
op{ "clamp_max(Tensor self, Tensor max) -> Tensor", variants = all, kind = "binary", kernel = "minimum",
    dtypes = "float int bool",
    grad = { self = "clamp_tensor_backward(grad, self, nil, max)",
      max = "clamp_max_backward(grad, self, nil, max)" },
    cases = { "(3,4), 0.25", "(3,4), (4,)" },
    doc = "The smaller of x and max.", example = "torch.clamp_max(torch.tensor{-2.0, 3.0}, 0)" }

-- --- bits and truth ---------------------------------------------------------------------------------------
op{ "bitwise_and(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "int bool", grad = "none",
    cases = ints, doc = "Bits set in both.", example = "torch.bitwise_and(torch.tensor{6}, torch.tensor{3})" }
op{ "bitwise_or(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "int bool", grad = "none",
    cases = ints, doc = "Bits set in either.", example = "torch.bitwise_or(torch.tensor{6}, torch.tensor{3})" }
op{ "bitwise_xor(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "int bool", grad = "none",
    cases = ints, doc = "Bits set in exactly one.", example = "torch.bitwise_xor(torch.tensor{6}, torch.tensor{3})" }
op{ "bitwise_left_shift(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "int",
    grad = "none", cases = { "(3,4)i, (3,4)<5", "(3,)i, 2" }, doc = "self * 2^other, in the bits of the dtype.",
    example = "torch.bitwise_left_shift(torch.tensor{3}, 2)" }
op{ "bitwise_right_shift(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "int",
    grad = "none", cases = { "(3,4)i, (3,4)<5", "(3,)i, 2" }, doc = "self / 2^other rounded down.",
    example = "torch.bitwise_right_shift(torch.tensor{12}, 2)" }
op{ "logical_and(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "all", promote = "->bool",
    grad = "none", cases = { "(3,4)b, (3,4)b", "(3,4), (4,)b" }, doc = "True where both are nonzero.",
    example = "torch.logical_and(torch.tensor{true, false}, torch.tensor{true, true})" }
op{ "logical_or(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "all", promote = "->bool",
    grad = "none", cases = { "(3,4)b, (3,4)b", "(3,4), (4,)b" }, doc = "True where either is nonzero.",
    example = "torch.logical_or(torch.tensor{true, false}, torch.tensor{false, false})" }
op{ "logical_xor(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "all", promote = "->bool",
    grad = "none", cases = { "(3,4)b, (3,4)b", "(3,4), (4,)b" }, doc = "True where exactly one is nonzero.",
    example = "torch.logical_xor(torch.tensor{true, false}, torch.tensor{true, true})" }
op{ "eq(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "all", promote = "->bool",
    grad = "none", cases = { "(3,4)i, (3,4)i", "(3,)i, 2", "(3,4), (4,)" }, doc = "True where self equals other.",
    example = "torch.eq(torch.tensor{1, 2}, torch.tensor{1, 3})" }
op{ "ne(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "all", promote = "->bool",
    grad = "none", aliases = "not_equal", cases = { "(3,4)i, (3,4)i", "(3,)i, 2", "(3,4), (4,)" },
    doc = "True where self differs from other.", example = "torch.ne(torch.tensor{1, 2}, torch.tensor{1, 3})" }
op{ "lt(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float int bool",
    promote = "->bool", grad = "none", aliases = "less", cases = { "(3,4)i, (3,4)i", "(3,)i, 2", "(3,4), (4,)" },
    doc = "True where self < other.", example = "torch.lt(torch.tensor{1, 2}, 2)" }
op{ "le(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float int bool",
    promote = "->bool", grad = "none", aliases = "less_equal", cases = { "(3,4)i, (3,4)i", "(3,)i, 2", "(3,4), (4,)" },
    doc = "True where self <= other.", example = "torch.le(torch.tensor{1, 2}, 2)" }
op{ "gt(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float int bool",
    promote = "->bool", grad = "none", aliases = "greater", cases = { "(3,4)i, (3,4)i", "(3,)i, 2", "(3,4), (4,)" },
    doc = "True where self > other.", example = "torch.gt(torch.tensor{1, 2}, 1)" }
op{ "ge(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "float int bool",
    promote = "->bool", grad = "none", aliases = "greater_equal", cases = { "(3,4)i, (3,4)i", "(3,)i, 2", "(3,4), (4,)" },
    doc = "True where self >= other.", example = "torch.ge(torch.tensor{1, 2}, 2)" }
op{ "isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=false) -> Tensor", grad = "none",
    cases = { "(3,4), (3,4)", "(3,)i, (3,)i", "(3,), (3,), 0.5, 0.5" },
    doc = "True where abs(self - other) <= atol + rtol * abs(other).", example = "torch.isclose(torch.tensor{1.0}, torch.tensor{1.0 + 1e-9})" }
op{ "allclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=false) -> bool",
    cases = { "(3,4), (3,4)", "(3,), (3,), 10.0, 10.0" },
    doc = "Whether isclose holds everywhere.", example = "torch.allclose(torch.tensor{1.0}, torch.tensor{1.0})" }
op{ "equal(Tensor self, Tensor other) -> bool", cases = { "(3,4), (3,4)", "(3,4), (4,)" },
    doc = "Whether two tensors have the same shape and elements.", example = "torch.equal(torch.tensor{1, 2}, torch.tensor{1, 2})" }

-- --- three operands -----------------------------------------------------------------------------------------
op{ "where(Tensor condition, Tensor self, Tensor other) -> Tensor", variants = "function out",
    grad = { self = "sum_to_size(where(condition, grad, 0), self.shape)",
      other = "sum_to_size(where(condition, 0, grad), other.shape)" },
    cases = { "(3,4)b, (3,4), (3,4)", "(3,4)b, (4,), (3,1)", "(3,)b, (3,), 0", "(3,)b, 1, 2.5" },
    doc = "self where condition holds, other elsewhere.", example = "torch.where(torch.tensor{true, false}, 1, 0)" }
op{ "masked_fill(Tensor self, Tensor mask, Tensor value) -> Tensor", variants = "function method inplace",
    grad = { self = "sum_to_size(masked_fill(grad, mask, 0), self.shape)",
      value = "sum_to_size(where(mask, grad, 0), value.shape)" },
    cases = { "(3,4), (3,4)b, 2.5", "(3,4), (4,)b, 0", "(3,4)t, (1,)b, ()" },
    doc = "self with value where the mask is true.", example = "torch.masked_fill(torch.tensor{1.0, 2.0}, torch.tensor{true, false}, 0)" }
op{ "lerp(Tensor self, Tensor end, Tensor weight) -> Tensor", variants = all,
    grad = { self = "sum_to_size(grad * conj(1 - unwrap(weight)), self.shape)",
      ["end"] = "sum_to_size(grad * conj(weight), end.shape)",
      weight = "sum_to_size(grad * conj(end - self), weight.shape)" },
    cases = { "(3,4), (3,4), 0.25", "(3,4), (3,4), (3,4)u", "(3,4), (4,), (3,1)u" },
    doc = "self + weight * (end - self).", example = "torch.lerp(torch.tensor{0.0}, torch.tensor{10.0}, 0.5)" }
op{ "addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", variants = all,
    grad = { self = "sum_to_size(grad, self.shape)", tensor1 = "sum_to_size(grad * conj(tensor2 * value), tensor1.shape)",
      tensor2 = "sum_to_size(grad * conj(tensor1 * value), tensor2.shape)" },
    cases = { "(3,4), (3,4), (3,4)", "(3,4), (4,), (3,1), value=0.5", "(3,)i, (3,)i, (3,)i" },
    doc = "self + value * tensor1 * tensor2.", example = "torch.addcmul(torch.tensor{1.0}, torch.tensor{2.0}, torch.tensor{3.0})" }
op{ "addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", variants = all,
    grad = { self = "sum_to_size(grad, self.shape)", tensor1 = "sum_to_size(grad * conj(value / tensor2), tensor1.shape)",
      tensor2 = "sum_to_size(-grad * conj(value * tensor1 / (tensor2 * tensor2)), tensor2.shape)" },
    cases = { "(3,4), (3,4), (3,4)p", "(3,4), (4,), (3,1)p, value=0.5" },
    doc = "self + value * tensor1 / tensor2.", example = "torch.addcdiv(torch.tensor{1.0}, torch.tensor{6.0}, torch.tensor{3.0})" }
