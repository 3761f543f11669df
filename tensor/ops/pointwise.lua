-- Elementwise ops of one tensor. Activations are in activation.lua, two tensors in arithmetic.lua.
-- luacheck: globals op

local all = "function method inplace out"
local shapes = { "(3,4)", "(0,)", "(2,3)t", "()" }
local positive = { "(3,4)p", "(0,)", "(2,3)tp", "()p" }
local unit = { "(3,4)u", "(0,)", "(2,3)tu", "()u" }

-- --- sign, rounding, tests ------------------------------------------------------------------------
op{ "abs(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex int",
    grad = { self = "grad * sgn(self)" }, aliases = "absolute", cases = shapes,
    doc = "Elementwise absolute value; of complex numbers the modulus, which is real.",
    example = "torch.abs(torch.tensor{-1, -2, 3})" }
op{ "neg(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex int",
    grad = { self = "-grad" }, aliases = "negative", cases = shapes,
    doc = "Elementwise -x.", example = "torch.neg(torch.tensor{1, -2})" }
op{ "sign(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float int bool",
    grad = { self = "zeros_like(grad)" }, cases = shapes,
    doc = "Elementwise -1, 0 or 1 by the sign.", example = "torch.sign(torch.tensor{-0.5, 0, 2})" }
op{ "sgn(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "all",
    grad = { self = "sgn_backward(grad, self, result)" }, cases = shapes,
    doc = "The sign; of complex numbers x / abs(x), and 0 at 0.", example = "torch.sgn(torch.tensor{-0.5, 2})" }
op{ "sgn_backward(Tensor grad, Tensor self, Tensor result) -> Tensor", variants = "internal", kind = "composite" }
op{ "positive(Tensor self) -> Tensor", kind = "composite", cases = shapes,
    doc = "Returns the tensor itself; bool tensors are refused.", example = "torch.positive(torch.tensor{1, -2})" }
op{ "floor(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float int",
    grad = { self = "zeros_like(grad)" }, cases = shapes,
    doc = "Elementwise largest whole number not above x.", example = "torch.floor(torch.tensor{1.5, -1.5})" }
op{ "ceil(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float int",
    grad = { self = "zeros_like(grad)" }, cases = shapes,
    doc = "Elementwise smallest whole number not below x.", example = "torch.ceil(torch.tensor{1.5, -1.5})" }
op{ "trunc(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float int",
    grad = { self = "zeros_like(grad)" }, aliases = "fix", cases = shapes,
    doc = "Elementwise whole part.", example = "torch.trunc(torch.tensor{1.5, -1.5})" }
op{ "round(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float int",
    grad = { self = "zeros_like(grad)" }, cases = shapes,
    doc = "Elementwise nearest whole number; halves go to the even one.",
    example = "torch.round(torch.tensor{0.5, 1.5, 2.5})" }
op{ "round.decimals(Tensor self, *, int decimals) -> Tensor", variants = all, grad = { self = "zeros_like(grad)" },
    cases = { "(3,4), decimals=2", "(3,4), decimals=0", "(3,)t, decimals=-1" },
    doc = "Rounds to that many decimals; negative ones round left of the point.",
    example = "torch.round(torch.tensor{0.1234}, {decimals = 2})" }
op{ "frac(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float",
    grad = { self = "grad" }, cases = shapes,
    doc = "Elementwise x - trunc(x).", example = "torch.frac(torch.tensor{1.25, -1.25})" }
op{ "isnan(Tensor self) -> Tensor", kind = "unary", dtypes = "all", promote = "->bool", grad = "none",
    cases = shapes, doc = "True where x is not a number.", example = "torch.isnan(torch.tensor{1, 0/0})" }
op{ "isinf(Tensor self) -> Tensor", kind = "unary", dtypes = "all", promote = "->bool", grad = "none",
    cases = shapes, doc = "True where x is infinite.", example = "torch.isinf(torch.tensor{1, 1/0})" }
op{ "isfinite(Tensor self) -> Tensor", kind = "unary", dtypes = "all", promote = "->bool", grad = "none",
    cases = shapes, doc = "True where x is neither infinite nor NaN.", example = "torch.isfinite(torch.tensor{1, 1/0})" }
op{ "isposinf(Tensor self) -> Tensor", variants = "function method out", kind = "unary", dtypes = "float int bool",
    promote = "->bool", grad = "none", cases = shapes,
    doc = "True where x is plus infinity.", example = "torch.isposinf(torch.tensor{1/0, -1/0})" }
op{ "isneginf(Tensor self) -> Tensor", variants = "function method out", kind = "unary", dtypes = "float int bool",
    promote = "->bool", grad = "none", cases = shapes,
    doc = "True where x is minus infinity.", example = "torch.isneginf(torch.tensor{1/0, -1/0})" }
op{ "isreal(Tensor self) -> Tensor", kind = "unary", dtypes = "all", promote = "->bool", grad = "none",
    cases = shapes, doc = "True where the imaginary part is 0.", example = "torch.isreal(torch.tensor{1, 2})" }
op{ "signbit(Tensor self) -> Tensor", variants = "function method out", kind = "unary", dtypes = "float int bool",
    promote = "->bool", grad = "none", cases = shapes,
    doc = "True where the sign bit is set: negative numbers and -0.", example = "torch.signbit(torch.tensor{-0.0, 1})" }
op{ "logical_not(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "all", promote = "->bool",
    grad = "none", cases = { "(3,4)", "(4,)b", "(3,)i" },
    doc = "True where x is 0 or false.", example = "torch.logical_not(torch.tensor{0, 1})" }
op{ "bitwise_not(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "int bool", grad = "none",
    cases = { "(3,4)i", "(4,)b" },
    doc = "Inverts every bit of integers, and truth of bools.", example = "torch.bitwise_not(torch.tensor{0, 1})" }
op{ "nan_to_num(Tensor self, float? nan=nil, float? posinf=nil, float? neginf=nil) -> Tensor", variants = all,
    grad = { self = "grad * isfinite(self)" }, cases = { "(3,4)", "(3,), 1.0, 2.0, -3.0", "(3,)i" },
    doc = "Replaces NaN by nan (0) and the infinities by posinf and neginf (the dtype's largest and lowest).",
    example = "torch.nan_to_num(torch.tensor{0/0, 1/0})" }

-- --- complex numbers ------------------------------------------------------------------------------
op{ "conj_physical(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "all",
    grad = { self = "conj_physical(grad)" }, cases = shapes,
    doc = "Elementwise complex conjugate, computed.", example = "torch.conj_physical(torch.tensor{1.5})" }
op{ "conj(Tensor self) -> Tensor", kind = "composite", cases = shapes,
    doc = "The complex conjugate; of a real tensor the tensor itself.", example = "torch.conj(torch.tensor{1.5})" }
op{ "resolve_conj(Tensor self) -> Tensor", kind = "composite", cases = shapes,
    doc = "Returns the tensor itself: conjugates are always computed.", example = "torch.resolve_conj(torch.tensor{1.5})" }
op{ "resolve_neg(Tensor self) -> Tensor", kind = "composite", cases = shapes,
    doc = "Returns the tensor itself: negation is always computed.", example = "torch.resolve_neg(torch.tensor{1.5})" }
op{ "angle(Tensor self) -> Tensor", variants = "function method out", kind = "unary", dtypes = "float complex",
    promote = "int->float", grad = { self = "angle_backward(grad, self)" }, cases = shapes,
    doc = "Elementwise argument of a complex number; pi for negative, 0 for other real ones.",
    example = "torch.angle(torch.tensor{-1.0, 1.0})" }
op{ "angle_backward(Tensor grad, Tensor self) -> Tensor", variants = "internal", kind = "composite" }

-- --- powers, exponentials, logarithms ---------------------------------------------------------------
op{ "square(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex int",
    grad = { self = "grad * (2 * conj(self))" }, cases = shapes,
    doc = "Elementwise x * x.", example = "torch.square(torch.tensor{1.5, -2})" }
op{ "sqrt(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad / (2 * conj(result))" }, cases = positive,
    doc = "Elementwise square root.", example = "torch.sqrt(torch.tensor{4.0, 2.0})" }
op{ "rsqrt(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "-0.5 * grad * conj(result * result * result)" }, cases = positive,
    doc = "Elementwise 1 / sqrt(x).", example = "torch.rsqrt(torch.tensor{4.0})" }
op{ "reciprocal(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex",
    promote = "int->float", grad = { self = "-grad * conj(result * result)" }, cases = shapes,
    doc = "Elementwise 1 / x.", example = "torch.reciprocal(torch.tensor{4.0})" }
op{ "exp(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad * conj(result)" }, cases = shapes,
    doc = "Elementwise e^x.", example = "torch.exp(torch.tensor{0.0, 1.0})" }
op{ "exp2(Tensor self) -> Tensor", module = "torch special", variants = all, kind = "unary", dtypes = "float complex",
    promote = "int->float", grad = { self = "grad * conj(result * 0.6931471805599453)" }, cases = shapes,
    doc = "Elementwise 2^x.", example = "torch.exp2(torch.tensor{3.0})" }
op{ "expm1(Tensor self) -> Tensor", module = "torch special", variants = all, kind = "unary",
    dtypes = "float complex", promote = "int->float", grad = { self = "grad * conj(result + 1)" }, cases = shapes,
    doc = "Elementwise e^x - 1, exact near 0.", example = "torch.expm1(torch.tensor{1e-8})" }
op{ "log(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad / conj(self)" }, cases = positive,
    doc = "Elementwise natural logarithm.", example = "torch.log(torch.tensor{1.0, 2.0})" }
op{ "log2(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad / (conj(self) * 0.6931471805599453)" }, cases = positive,
    doc = "Elementwise logarithm to base 2.", example = "torch.log2(torch.tensor{8.0})" }
op{ "log10(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad / (conj(self) * 2.302585092994046)" }, cases = positive,
    doc = "Elementwise logarithm to base 10.", example = "torch.log10(torch.tensor{100.0})" }
op{ "log1p(Tensor self) -> Tensor", module = "torch special", variants = all, kind = "unary",
    dtypes = "float complex", promote = "int->float", grad = { self = "grad / conj(self + 1)" }, cases = positive,
    doc = "Elementwise log(1 + x), exact near 0.", example = "torch.log1p(torch.tensor{1e-8})" }
op{ "logit(Tensor self, float? eps=nil) -> Tensor", module = "torch special", variants = all,
    grad = { self = "logit_backward(grad, self, eps)" }, cases = { "(3,4)u", "(3,4)u, 0.1", "(2,3)tu, 0.25" },
    doc = "Elementwise log(x / (1 - x)), the inverse of sigmoid; x is first clamped to [eps, 1 - eps].",
    example = "torch.logit(torch.tensor{0.5, 0.9})" }
op{ "logit_backward(Tensor grad_output, Tensor self, float? eps) -> Tensor", variants = "internal",
    grad = { grad_output = "logit_backward(grad, self, eps)",
      self = "logit_backward(grad * grad_output, self, eps) * (2 * self - 1) / (self * (1 - self))" } }

-- --- trigonometry -----------------------------------------------------------------------------------
op{ "sin(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad * conj(cos(self))" }, cases = shapes,
    doc = "Elementwise sine, of radians.", example = "torch.sin(torch.tensor{0.0, 1.0})" }
op{ "cos(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "-grad * conj(sin(self))" }, cases = shapes,
    doc = "Elementwise cosine, of radians.", example = "torch.cos(torch.tensor{0.0, 1.0})" }
op{ "tan(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad * conj(result * result + 1)" }, cases = shapes,
    doc = "Elementwise tangent, of radians.", example = "torch.tan(torch.tensor{1.0})" }
op{ "asin(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad * conj(rsqrt(1 - self * self))" }, aliases = "arcsin", cases = unit,
    doc = "Elementwise inverse sine.", example = "torch.asin(torch.tensor{0.5})" }
op{ "acos(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "-grad * conj(rsqrt(1 - self * self))" }, aliases = "arccos", cases = unit,
    doc = "Elementwise inverse cosine.", example = "torch.acos(torch.tensor{0.5})" }
op{ "atan(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad / conj(self * self + 1)" }, aliases = "arctan", cases = shapes,
    doc = "Elementwise inverse tangent.", example = "torch.atan(torch.tensor{1.0})" }
op{ "sinh(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad * conj(cosh(self))" }, cases = shapes,
    doc = "Elementwise hyperbolic sine.", example = "torch.sinh(torch.tensor{1.0})" }
op{ "cosh(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad * conj(sinh(self))" }, cases = shapes,
    doc = "Elementwise hyperbolic cosine.", example = "torch.cosh(torch.tensor{1.0})" }
op{ "tanh(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "tanh_backward(grad, result)" }, cases = shapes,
    doc = "Elementwise hyperbolic tangent.", example = "torch.tanh(torch.tensor{1.0})" }
op{ "tanh_backward(Tensor grad_output, Tensor output) -> Tensor", variants = "internal", kind = "binary",
    dtypes = "float complex",
    grad = { grad_output = "tanh_backward(grad, conj(output))",
      output = "conj(grad) * (-2 * conj(output) * grad_output)" } }
op{ "asinh(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad * conj(rsqrt(self * self + 1))" }, aliases = "arcsinh", cases = shapes,
    doc = "Elementwise inverse hyperbolic sine.", example = "torch.asinh(torch.tensor{1.0})" }
op{ "acosh(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad * conj(rsqrt(self - 1) * rsqrt(self + 1))" }, aliases = "arccosh", cases = { "(3,4)p", "(0,)" },
    doc = "Elementwise inverse hyperbolic cosine; NaN below 1.", example = "torch.acosh(torch.tensor{1.0, 2.0})" }
op{ "atanh(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float complex", promote = "int->float",
    grad = { self = "grad / conj(1 - self * self)" }, aliases = "arctanh", cases = unit,
    doc = "Elementwise inverse hyperbolic tangent.", example = "torch.atanh(torch.tensor{0.5})" }
op{ "deg2rad(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float", promote = "int->float",
    grad = { self = "grad * 0.017453292519943295" }, cases = shapes,
    doc = "Degrees to radians.", example = "torch.deg2rad(torch.tensor{180.0})" }
op{ "rad2deg(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float", promote = "int->float",
    grad = { self = "grad * 57.29577951308232" }, cases = shapes,
    doc = "Radians to degrees.", example = "torch.rad2deg(torch.tensor{3.14159265})" }
op{ "sinc(Tensor self) -> Tensor", module = "torch special", variants = all, kind = "unary", dtypes = "float complex",
    promote = "int->float", grad = { self = "grad * conj(sinc_slope(self, self * 3.141592653589793))" }, cases = shapes,
    doc = "Elementwise sin(pi x) / (pi x), and 1 at 0.", example = "torch.sinc(torch.tensor{0.0, 0.5})" }
op{ "sinc_slope(Tensor self, Tensor angle) -> Tensor", variants = "internal",
    composite = "sinc_slope_of(self, angle, where(abs(angle) < 0.5, angle, 0))" }
-- small is the angle where that is small, else 0.
op{ "sinc_slope_of(Tensor self, Tensor angle, Tensor small) -> Tensor", variants = "internal",
    composite = "where(abs(angle) < 0.5, small * sinc_slope_series(small * small), \z
                 (cos(angle) * angle - sin(angle)) / where(abs(angle) < 0.5, 1, angle * self))" }
-- The same over angle, near 0, where the difference above has no digits.
op{ "sinc_slope_series(Tensor u) -> Tensor", variants = "internal",
    composite = "-1.0471975511965976 * (1 - u / 10 * (1 - u / 28 * (1 - u / 54 * (1 - u / 88 * (1 - u / 130 * (1 - u / 180))))))" }

-- --- special functions --------------------------------------------------------------------------------
op{ "sigmoid(Tensor self) -> Tensor", module = "torch nn.functional", variants = all, kind = "unary",
    dtypes = "float complex", promote = "int->float", grad = { self = "sigmoid_backward(grad, result)" },
    cases = shapes, doc = "Elementwise 1 / (1 + exp(-x)).", example = "torch.sigmoid(torch.tensor{0.0})" }
op{ "sigmoid_backward(Tensor grad_output, Tensor output) -> Tensor", variants = "internal", kind = "binary",
    dtypes = "float complex",
    grad = { grad_output = "sigmoid_backward(grad, conj(output))",
      output = "conj(grad) * grad_output * (1 - 2 * conj(output))" } }
op{ "erf(Tensor self) -> Tensor", module = "torch special", variants = all, kind = "unary", dtypes = "float",
    promote = "int->float", grad = { self = "grad * (exp(-(self * self)) * 1.1283791670955126)" }, cases = shapes,
    doc = "Elementwise error function.", example = "torch.erf(torch.tensor{0.0, 1.0})" }
op{ "erfc(Tensor self) -> Tensor", module = "torch special", variants = all, kind = "unary", dtypes = "float",
    promote = "int->float", grad = { self = "grad * (exp(-(self * self)) * -1.1283791670955126)" }, cases = shapes,
    doc = "Elementwise 1 - erf(x), exact where erf is near 1.", example = "torch.erfc(torch.tensor{1.0})" }
op{ "erfinv(Tensor self) -> Tensor", module = "torch special", variants = all, kind = "unary", dtypes = "float",
    promote = "int->float", grad = { self = "grad * (exp(result * result) * 0.8862269254527580)" }, cases = unit,
    doc = "Elementwise inverse of the error function.", example = "torch.erfinv(torch.tensor{0.5})" }
op{ "lgamma(Tensor self) -> Tensor", variants = all, kind = "unary", dtypes = "float", promote = "int->float",
    grad = { self = "grad * digamma(self)" }, cases = positive,
    doc = "Elementwise logarithm of the absolute value of gamma.", example = "torch.lgamma(torch.tensor{5.0})" }
op{ "digamma(Tensor self) -> Tensor", module = "torch special", variants = all, kind = "unary", dtypes = "float",
    promote = "int->float", grad = { self = "grad * polygamma(1, self)" }, cases = positive,
    doc = "Elementwise logarithmic derivative of gamma.", example = "torch.digamma(torch.tensor{1.0})" }
