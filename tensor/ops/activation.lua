-- Activation functions and their gradients' kernels. Each gradient is one fused pass; its own gradient
-- is spelt in ops, so that derivatives of any order exist.
-- luacheck: globals op

local shapes = { "(3,4)", "(0,)", "(2,3)t", "()" }
local F = "nn.functional"

op{ "relu(Tensor self) -> Tensor", module = "torch nn.functional", variants = "function method inplace", kind = "unary",
    dtypes = "float int", grad = { self = "threshold_backward(grad, result, 0)" }, cases = shapes,
    doc = "Elementwise max(x, 0).", example = "torch.relu(torch.tensor{-1.0, 2.0})" }
op{ "threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor", module = "torch nn.functional",
    variants = "function inplace out", kind = "unary", dtypes = "float int",
    grad = { self = "threshold_backward(grad, self, threshold)" }, cases = { "(3,4), 0.1, 20.0", "(3,)i, 0, 7" },
    doc = "x where x > threshold, value elsewhere.", example = "F.threshold(torch.tensor{-1.0, 2.0}, 0.1, 20)" }
op{ "threshold_backward(Tensor grad_output, Tensor self, Scalar threshold) -> Tensor", variants = "internal",
    kind = "binary", dtypes = "float int", gate = true,
    grad = { grad_output = "threshold_backward(grad, self, threshold)", self = "zeros_like(grad)" } }
op{ "relu6(Tensor self) -> Tensor", module = F, variants = "function inplace", kind = "unary", dtypes = "float int",
    node = "HardtanhBackward0", grad = { self = "hardtanh_backward(grad, result, 0, 6)" }, cases = shapes,
    doc = "Elementwise min(max(x, 0), 6).", example = "F.relu6(torch.tensor{-1.0, 8.0})" }
op{ "hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor", module = F,
    variants = "function inplace out", kind = "unary", dtypes = "float int",
    grad = { self = "hardtanh_backward(grad, self, min_val, max_val)" }, cases = { "(3,4)", "(3,), -0.5, 0.25" },
    doc = "Clips x to [min_val, max_val].", example = "F.hardtanh(torch.tensor{-2.0, 0.5})" }
op{ "hardtanh_backward(Tensor grad_output, Tensor self, Scalar min_val, Scalar max_val) -> Tensor",
    variants = "internal", kind = "binary", dtypes = "float", gate = true,
    grad = { grad_output = "hardtanh_backward(grad, self, min_val, max_val)", self = "zeros_like(grad)" } }
op{ "leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor", module = F, variants = "function inplace out",
    kind = "unary", dtypes = "float", grad = { self = "leaky_relu_backward(grad, self, negative_slope)" },
    cases = { "(3,4)", "(3,), 0.2", "(2,3)t" },
    doc = "x where x > 0, negative_slope * x elsewhere.", example = "F.leaky_relu(torch.tensor{-1.0, 2.0}, 0.1)" }
op{ "leaky_relu_backward(Tensor grad_output, Tensor self, Scalar negative_slope) -> Tensor", variants = "internal",
    kind = "binary", dtypes = "float",
    grad = { grad_output = "leaky_relu_backward(grad, self, negative_slope)", self = "zeros_like(grad)" } }
op{ "elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor", module = F,
    variants = "function inplace out", kind = "unary", dtypes = "float",
    grad = { self = "elu_backward(grad, self, alpha, scale, input_scale)" }, cases = { "(3,4)", "(3,), 0.5" },
    doc = "x where x > 0, alpha * (exp(x) - 1) elsewhere.", example = "F.elu(torch.tensor{-1.0, 2.0})" }
op{ "elu_backward(Tensor grad_output, Tensor self, Scalar alpha, Scalar scale, Scalar input_scale) -> Tensor",
    variants = "internal", kind = "binary", dtypes = "float",
    grad = { grad_output = "elu_backward(grad, self, alpha, scale, input_scale)",
      self = "elu_backward(grad * grad_output, self, alpha, scale, input_scale) * input_scale * (self <= 0)" } }
op{ "selu(Tensor self) -> Tensor", module = "torch nn.functional", variants = "function inplace", kind = "unary",
    dtypes = "float", node = "EluBackward0",
    grad = { self = "elu_backward(grad, self, 1.6732632423543772, 1.0507009873554805, 1)" }, cases = shapes,
    doc = "elu with the two constants of self-normalising nets.", example = "torch.selu(torch.tensor{-1.0, 2.0})" }
op{ "celu(Tensor self, Scalar alpha=1) -> Tensor", module = "torch nn.functional", variants = "function inplace",
    kind = "unary", dtypes = "float", grad = { self = "elu_backward(grad, self, alpha, 1, 1 / alpha)" },
    cases = { "(3,4)", "(3,), 0.5" },
    doc = "max(0, x) + min(0, alpha * (exp(x / alpha) - 1)).", example = "torch.celu(torch.tensor{-1.0, 2.0})" }
op{ "gelu(Tensor self, *, str approximate='none') -> Tensor", module = F, variants = "function inplace out",
    grad = { self = "gelu_backward(grad, self, approximate=approximate)" },
    cases = { "(3,4)", "(3,4), approximate='tanh'", "(2,3)t" },
    doc = "x * Phi(x), Phi the normal distribution; approximate = 'tanh' uses a formula in tanh.",
    example = "F.gelu(torch.tensor{-1.0, 2.0})" }
op{ "gelu_backward(Tensor grad_output, Tensor self, *, str approximate='none') -> Tensor", variants = "internal",
    grad = { grad_output = "gelu_backward(grad, self, approximate=approximate)",
      self = "grad * grad_output * gelu_curvature(self, approximate)" } }
-- The second derivative of gelu.
op{ "gelu_curvature(Tensor self, str approximate) -> Tensor", variants = "internal",
    composite = "approximate == 'tanh' \z
      ? gelu_tanh_curvature(self, tanh((self + self * self * self * 0.044715) * 0.7978845608028654)) \z
      : exp(self * self * -0.5) * (2 - self * self) * 0.3989422804014327" }
op{ "gelu_tanh_curvature(Tensor self, Tensor t) -> Tensor", variants = "internal",
    composite = "(1 - t * t) * gelu_tanh_terms(self, t, (self * self * 0.134145 + 1) * 0.7978845608028654)" }
op{ "gelu_tanh_terms(Tensor self, Tensor t, Tensor slope) -> Tensor", variants = "internal",
    composite = "slope + self * (self * 0.10703222440890037 - t * slope * slope)" }
op{ "silu(Tensor self) -> Tensor", module = F, variants = "function inplace out", kind = "unary",
    dtypes = "float complex", grad = { self = "silu_backward(grad, self)" }, cases = shapes,
    doc = "Elementwise x * sigmoid(x).", example = "F.silu(torch.tensor{-1.0, 2.0})" }
op{ "silu_backward(Tensor grad_output, Tensor self) -> Tensor", variants = "internal", kind = "binary",
    dtypes = "float complex",
    grad = { grad_output = "silu_backward(grad, conj(self))",
      self = "conj(grad) * grad_output * conj(silu_curvature(self, sigmoid(self)))" } }
op{ "silu_curvature(Tensor self, Tensor s) -> Tensor", variants = "internal",
    composite = "s * (1 - s) * (2 + self * (1 - 2 * s))" }
op{ "mish(Tensor self) -> Tensor", module = F, variants = "function inplace out", kind = "unary", dtypes = "float",
    grad = { self = "mish_backward(grad, self)" }, cases = shapes,
    doc = "Elementwise x * tanh(softplus(x)).", example = "F.mish(torch.tensor{-1.0, 2.0})" }
op{ "mish_backward(Tensor grad_output, Tensor self) -> Tensor", variants = "internal", kind = "binary",
    dtypes = "float",
    grad = { grad_output = "mish_backward(grad, self)",
      self = "grad * grad_output * mish_curvature(self, tanh(softplus(self)), sigmoid(self))" } }
op{ "mish_curvature(Tensor self, Tensor t, Tensor s) -> Tensor", variants = "internal",
    composite = "(1 - t * t) * s * (2 + self * (1 - s - 2 * t * s))" }
op{ "softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor", module = F, variants = "function out",
    kind = "unary", dtypes = "float", grad = { self = "softplus_backward(grad, self, beta, threshold)" },
    cases = { "(3,4)", "(3,), 2.0, 1.0" },
    doc = "log(1 + exp(beta x)) / beta; x itself where beta x > threshold.", example = "F.softplus(torch.tensor{0.0})" }
op{ "softplus_backward(Tensor grad_output, Tensor self, Scalar beta, Scalar threshold) -> Tensor",
    variants = "internal", kind = "binary", dtypes = "float",
    grad = { grad_output = "softplus_backward(grad, self, beta, threshold)",
      self = "softplus_backward(grad * grad_output, self, beta, threshold) * (1 - sigmoid(self * beta)) * beta \z
        * (self * beta <= threshold)" } }
op{ "softsign(Tensor self) -> Tensor", module = F, variants = "function", composite = "self / (abs(self) + 1)",
    cases = shapes, doc = "Elementwise x / (1 + abs(x)).", example = "F.softsign(torch.tensor{-1.0, 2.0})" }
op{ "tanhshrink(Tensor self) -> Tensor", module = F, variants = "function", composite = "self - tanh(self)",
    cases = shapes, doc = "Elementwise x - tanh(x).", example = "F.tanhshrink(torch.tensor{-1.0, 2.0})" }
op{ "hardsigmoid(Tensor self) -> Tensor", module = F, variants = "function inplace out", kind = "unary",
    dtypes = "float", grad = { self = "hardsigmoid_backward(grad, self)" }, cases = shapes,
    doc = "min(max(x + 3, 0), 6) / 6.", example = "F.hardsigmoid(torch.tensor{-1.0, 2.0})" }
op{ "hardsigmoid_backward(Tensor grad_output, Tensor self) -> Tensor", variants = "internal", kind = "binary",
    dtypes = "float", grad = { grad_output = "hardsigmoid_backward(grad, self)" } }
op{ "hardswish(Tensor self) -> Tensor", module = F, variants = "function inplace out", kind = "unary",
    dtypes = "float", grad = { self = "hardswish_backward(grad, self)" }, cases = shapes,
    doc = "x * min(max(x + 3, 0), 6) / 6.", example = "F.hardswish(torch.tensor{-1.0, 2.0})" }
op{ "hardswish_backward(Tensor grad_output, Tensor self) -> Tensor", variants = "internal", kind = "binary",
    dtypes = "float",
    grad = { grad_output = "hardswish_backward(grad, self)",
      self = "grad * grad_output * logical_and(self > -3, self < 3) / 3" } }
op{ "logsigmoid(Tensor self) -> Tensor", module = F, variants = "function out", kind = "unary", dtypes = "float",
    node = "LogSigmoidBackward0", grad = { self = "logsigmoid_backward(grad, self)" }, cases = shapes,
    doc = "Elementwise log(sigmoid(x)).", example = "F.logsigmoid(torch.tensor{0.0})" }
op{ "logsigmoid_backward(Tensor grad_output, Tensor self) -> Tensor", variants = "internal", kind = "binary",
    dtypes = "float",
    grad = { grad_output = "logsigmoid_backward(grad, self)",
      self = "-sigmoid_backward(grad * grad_output, sigmoid(self))" } }
op{ "softshrink(Tensor self, Scalar lambd=0.5) -> Tensor", module = F, variants = "function out", kind = "unary",
    dtypes = "float", grad = { self = "shrink_backward(grad, self, lambd)" }, cases = { "(3,4)", "(3,), 0.2" },
    doc = "x moved towards 0 by lambd; 0 within lambd of it.", example = "F.softshrink(torch.tensor{-1.0, 0.2})" }
op{ "hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor", module = "torch nn.functional",
    variants = "function method out", kind = "unary", dtypes = "float",
    grad = { self = "shrink_backward(grad, self, lambd)" }, cases = { "(3,4)", "(3,), 0.2" },
    doc = "x, but 0 within lambd of 0.", example = "torch.hardshrink(torch.tensor{-1.0, 0.2})" }
op{ "shrink_backward(Tensor grad_output, Tensor self, Scalar lambd) -> Tensor", variants = "internal",
    kind = "binary", dtypes = "float",
    grad = { grad_output = "shrink_backward(grad, self, lambd)", self = "zeros_like(grad)" } }
