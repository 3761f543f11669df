-- Special functions beyond those of pointwise.lua: torch.special, and its names in torch. Most are functions of
-- doubles (dtypes = "double"), in tensor/cpu/special_*.c.
-- luacheck: globals op

local all = "function method inplace out"
local shapes = { "(3,4)", "(0,)", "(2,3)t", "()" }
local positive = { "(3,4)p", "(0,)", "(2,3)tp", "()p" }

-- --- other names -----------------------------------------------------------------------------------------
op{ "expit(Tensor self) -> Tensor", module = "special", variants = "function out", composite = "sigmoid(self)",
    cases = shapes, doc = "Elementwise 1 / (1 + exp(-x)): sigmoid.", example = "torch.special.expit(torch.tensor{0.0})" }
op{ "psi(Tensor self) -> Tensor", module = "special", variants = "function out", composite = "digamma(self)",
    cases = positive, doc = "Elementwise logarithmic derivative of gamma: digamma.",
    example = "torch.special.psi(torch.tensor{1.0})" }
op{ "gammaln(Tensor self) -> Tensor", module = "special", variants = "function out", composite = "lgamma(self)",
    cases = positive, doc = "Elementwise logarithm of the absolute value of gamma: lgamma.",
    example = "torch.special.gammaln(torch.tensor{5.0})" }
op{ "gammainc(Tensor self, Tensor other) -> Tensor", module = "special", variants = "function out",
    composite = "igamma(self, other)", cases = { "(3,4)pg, (3,4)p" },
    doc = "The regularised lower incomplete gamma function: igamma.",
    example = "torch.special.gammainc(torch.tensor{2.0}, torch.tensor{1.0})" }
op{ "gammaincc(Tensor self, Tensor other) -> Tensor", module = "special", variants = "function out",
    composite = "igammac(self, other)", cases = { "(3,4)pg, (3,4)p" },
    doc = "The regularised upper incomplete gamma function: igammac.",
    example = "torch.special.gammaincc(torch.tensor{2.0}, torch.tensor{1.0})" }
op{ "multigammaln(Tensor self, int p) -> Tensor", module = "special", variants = "function out",
    composite = "mvlgamma(self, p)", cases = { "(3,4)p, 1" }, doc = "The logarithm of the multivariate gamma function: mvlgamma.",
    example = "torch.special.multigammaln(torch.tensor{2.0}, 2)" }
op{ "modified_bessel_i0(Tensor self) -> Tensor", module = "special", variants = "function out", composite = "i0(self)",
    cases = shapes, doc = "Elementwise modified Bessel function of the first kind of order 0: i0.",
    example = "torch.special.modified_bessel_i0(torch.tensor{1.0})" }
op{ "modified_bessel_i1(Tensor self) -> Tensor", module = "special", variants = "function out",
    composite = "special_i1(self)", cases = shapes,
    doc = "Elementwise modified Bessel function of the first kind of order 1: i1.",
    example = "torch.special.modified_bessel_i1(torch.tensor{1.0})" }
op{ "round(Tensor self, *, int decimals=0) -> Tensor", module = "special", variants = "function out",
    composite = "round_decimals(self, decimals=decimals)", cases = { "(3,4)", "(3,4), decimals=2", "(3,)t, decimals=-1" },
    doc = "Rounds to that many decimals, halves to the even neighbour; negative ones round left of the point.",
    example = "torch.special.round(torch.tensor{0.1234}, {decimals = 2})" }

-- --- error function, normal distribution, entropy --------------------------------------------------------
op{ "entr(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "float",
    promote = "int->float", grad = { self = "grad * (-(log(self) + 1))" }, cases = positive,
    doc = "Elementwise entropy: -x log(x), 0 at 0 and -inf below.", example = "torch.special.entr(torch.tensor{0.5, 0.0})" }
op{ "erfcx(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * (2 * self * result - 1.1283791670955126)" }, cases = shapes,
    doc = "Elementwise exp(x^2) erfc(x), which does not underflow.", example = "torch.special.erfcx(torch.tensor{30.0})" }
op{ "ndtr(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * (exp(self * self * -0.5) * 0.3989422804014327)" }, cases = shapes,
    doc = "Elementwise distribution function of the standard normal distribution.",
    example = "torch.special.ndtr(torch.tensor{0.0, 1.96})" }
op{ "log_ndtr(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * 0.7978845608028654 / special_erfcx(self * -0.7071067811865476)" },
    cases = shapes, doc = "Elementwise logarithm of ndtr, with its digits far below 0.",
    example = "torch.special.log_ndtr(torch.tensor{-30.0})" }
op{ "ndtri(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * (exp(result * result * 0.5) * 2.5066282746310002)" },
    cases = { "(3,4)u", "(0,)", "(2,3)tu", "()u" }, doc = "Elementwise inverse of ndtr: the quantile; NaN outside [0, 1].",
    example = "torch.special.ndtri(torch.tensor{0.5, 0.975})" }

-- --- gamma and zeta ----------------------------------------------------------------------------------------
op{ "polygamma(int n, Tensor self) -> Tensor", module = "torch special", variants = "function out",
    grad = { self = "grad * polygamma(n < 4294967296 ? n + 1 : n, self)" }, cases = { "1, (3,4)p", "2, (3,)p", "0, (2,2)p" },
    doc = "Elementwise n-th derivative of digamma, n >= 0.", example = "torch.polygamma(1, torch.tensor{1.0})" }
op{ "polygamma.method(Tensor self, int n) -> Tensor", variants = "method inplace",
    grad = { self = "grad * polygamma(n < 4294967296 ? n + 1 : n, self)" }, cases = { "(3,4)p, 1", "(3,)p, 2" },
    doc = "Elementwise n-th derivative of digamma, n >= 0.", example = "torch.tensor{1.0}:polygamma(1)" }
op{ "mvlgamma(Tensor self, int p) -> Tensor", variants = all, kind = "composite", cases = { "(3,4)p, 1", "(2,3)tp, 3", "(0,), 2", "()p, 2" },
    doc = "Elementwise logarithm of the multivariate gamma function of dimension p: \z
      log(pi) p (p - 1) / 4 and the sum of lgamma(x - j / 2) over j = 0 ... p - 1.",
    example = "torch.mvlgamma(torch.tensor{2.0, 3.0}, 2)" }
op{ "igamma(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "double",
    grad = { self = "not_implemented(grad, 'igamma: input')",
      other = "grad * exp((self - 1) * log(other) - other - lgamma(self))" },
    cases = { "(3,4)pg, (3,4)p", "(3,4)pg, (4,)p", "(2,3)tpg, (2,3)p", "(0,), (0,)" },
    doc = "The regularised lower incomplete gamma function P(self, other), for numbers not below 0. It has a gradient by other only.",
    example = "torch.igamma(torch.tensor{2.0}, torch.tensor{1.0})" }
op{ "igammac(Tensor self, Tensor other) -> Tensor", variants = all, kind = "binary", dtypes = "double",
    grad = { self = "not_implemented(grad, 'igammac: input')",
      other = "-grad * exp((self - 1) * log(other) - other - lgamma(self))" },
    cases = { "(3,4)pg, (3,4)p", "(3,4)pg, (4,)p", "(2,3)tpg, (2,3)p", "(0,), (0,)" },
    doc = "The regularised upper incomplete gamma function, 1 - igamma(self, other), with digits where that has none left. \z
      It has a gradient by other only.",
    example = "torch.igammac(torch.tensor{2.0}, torch.tensor{1.0})" }
op{ "zeta(Tensor self, Tensor other) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "double", promote = "int->float",
    grad = { self = "not_implemented(grad, 'zeta')", other = "-(grad * self) * special_zeta(self + 1, other)" },
    cases = { "3.5, (3,4)p", "(3,4)<4g, (4,)p", "2, (2,3)tp", "(3,4)pg, 1.5", "(0,), (0,)" },
    doc = "The Hurwitz zeta function: the sum of (other + k)^-self over k = 0, 1, ...; NaN for self below 1. \z
      It has a gradient by other only.",
    example = "torch.special.zeta(2, torch.tensor{1.0, 2.0})" }
op{ "not_implemented(Tensor grad, str what) -> Tensor", variants = "internal", grad = "none" }

-- --- Bessel functions ----------------------------------------------------------------------------------------
op{ "bessel_j0(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "-grad * special_bessel_j1(self)" }, cases = shapes,
    doc = "Elementwise Bessel function of the first kind of order 0.", example = "torch.special.bessel_j0(torch.tensor{1.0})" }
op{ "bessel_j1(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * less_over(special_bessel_j0(self), result, self)" }, cases = shapes,
    doc = "Elementwise Bessel function of the first kind of order 1.", example = "torch.special.bessel_j1(torch.tensor{1.0})" }
op{ "bessel_y0(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "-grad * special_bessel_y1(self)" }, cases = positive,
    doc = "Elementwise Bessel function of the second kind of order 0: -inf at 0, NaN below.",
    example = "torch.special.bessel_y0(torch.tensor{1.0})" }
op{ "bessel_y1(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * (special_bessel_y0(self) - result / self)" }, cases = positive,
    doc = "Elementwise Bessel function of the second kind of order 1: -inf at 0, NaN below.",
    example = "torch.special.bessel_y1(torch.tensor{1.0})" }
op{ "i0(Tensor self) -> Tensor", module = "torch special", variants = all, kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * special_i1(self)" }, cases = shapes,
    doc = "Elementwise modified Bessel function of the first kind of order 0.", example = "torch.i0(torch.tensor{0.0, 1.0})" }
op{ "i0e(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * (special_i1e(self) - sign(self) * result)" }, cases = shapes,
    doc = "Elementwise exp(-|x|) i0(x), which does not overflow.", example = "torch.special.i0e(torch.tensor{1000.0})" }
op{ "i1(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * less_over(i0(self), result, self)" }, cases = shapes,
    doc = "Elementwise modified Bessel function of the first kind of order 1.", example = "torch.special.i1(torch.tensor{1.0})" }
op{ "i1e(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = { self = "grad * (less_over(special_i0e(self), result, self) - sign(self) * result)" },
    cases = shapes, doc = "Elementwise exp(-|x|) i1(x), which does not overflow.",
    example = "torch.special.i1e(torch.tensor{1000.0})" }
-- The slope of a function of order 1 that is x/2 at 0: order0 - order1 / x.
op{ "less_over(Tensor order0, Tensor order1, Tensor self) -> Tensor", variants = "internal",
    composite = "where(abs(self) <= 1e-12, 0.5, order0 - order1 / where(abs(self) <= 1e-12, 1, self))" }
op{ "modified_bessel_k0(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary",
    dtypes = "double", promote = "int->float", grad = { self = "-grad * special_modified_bessel_k1(self)" }, cases = positive,
    doc = "Elementwise modified Bessel function of the second kind of order 0: inf at 0, NaN below.",
    example = "torch.special.modified_bessel_k0(torch.tensor{1.0})" }
op{ "modified_bessel_k1(Tensor self) -> Tensor", module = "special", variants = "function out", kind = "unary",
    dtypes = "double", promote = "int->float",
    grad = { self = "-grad * (special_modified_bessel_k0(self) + result / self)" }, cases = positive,
    doc = "Elementwise modified Bessel function of the second kind of order 1: inf at 0, NaN below.",
    example = "torch.special.modified_bessel_k1(torch.tensor{1.0})" }
op{ "scaled_modified_bessel_k0(Tensor x) -> Tensor", module = "special", variants = "function out", kind = "unary",
    dtypes = "double", promote = "int->float", grad = "none", cases = positive,
    doc = "Elementwise exp(x) modified_bessel_k0(x), which does not underflow; no gradient.",
    example = "torch.special.scaled_modified_bessel_k0(torch.tensor{1000.0})" }
op{ "scaled_modified_bessel_k1(Tensor x) -> Tensor", module = "special", variants = "function out", kind = "unary",
    dtypes = "double", promote = "int->float", grad = "none", cases = positive,
    doc = "Elementwise exp(x) modified_bessel_k1(x), which does not underflow; no gradient.",
    example = "torch.special.scaled_modified_bessel_k1(torch.tensor{1000.0})" }
op{ "spherical_bessel_j0(Tensor x) -> Tensor", module = "special", variants = "function out", kind = "unary",
    dtypes = "double", promote = "int->float", grad = "none", cases = shapes,
    doc = "Elementwise spherical Bessel function of the first kind of order 0: sin(x) / x, 1 at 0; no gradient.",
    example = "torch.special.spherical_bessel_j0(torch.tensor{0.0, 1.0})" }
op{ "airy_ai(Tensor x) -> Tensor", module = "special", variants = "function out", kind = "unary", dtypes = "double",
    promote = "int->float", grad = "none", cases = shapes, doc = "Elementwise Airy function Ai; no gradient.",
    example = "torch.special.airy_ai(torch.tensor{0.0, 1.0})" }

-- --- orthogonal polynomials: of degree n, which is truncated; 0 for a negative one; no gradient ------------------------
local degrees = { "(3,4), (3,4)i", "(3,4), (4,)p", "(2,3)tu, 3", "0.5, (3,)i", "(2,3), 9", "(0,), (0,)" }
op{ "chebyshev_polynomial_t(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "Chebyshev polynomial of the first kind of degree n: cos(n t) for x = cos(t). n is truncated to an integer; \z
      the result is 0 for a negative one and has no gradient.",
    example = "torch.special.chebyshev_polynomial_t(torch.tensor{0.5}, 3)" }
op{ "chebyshev_polynomial_u(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "Chebyshev polynomial of the second kind of degree n: sin((n + 1) t) / sin(t) for x = cos(t); no gradient.",
    example = "torch.special.chebyshev_polynomial_u(torch.tensor{0.5}, 3)" }
op{ "chebyshev_polynomial_v(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "Chebyshev polynomial of the third kind of degree n: cos((n + 1/2) t) / cos(t / 2) for x = cos(t); no gradient.",
    example = "torch.special.chebyshev_polynomial_v(torch.tensor{0.5}, 3)" }
op{ "chebyshev_polynomial_w(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "Chebyshev polynomial of the fourth kind of degree n: sin((n + 1/2) t) / sin(t / 2) for x = cos(t); no gradient.",
    example = "torch.special.chebyshev_polynomial_w(torch.tensor{0.5}, 3)" }
op{ "shifted_chebyshev_polynomial_t(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out",
    kind = "binary", dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "chebyshev_polynomial_t at 2 x - 1.",
    example = "torch.special.shifted_chebyshev_polynomial_t(torch.tensor{0.5}, 3)" }
op{ "shifted_chebyshev_polynomial_u(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out",
    kind = "binary", dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "chebyshev_polynomial_u at 2 x - 1.",
    example = "torch.special.shifted_chebyshev_polynomial_u(torch.tensor{0.5}, 3)" }
op{ "shifted_chebyshev_polynomial_v(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out",
    kind = "binary", dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "chebyshev_polynomial_v at 2 x - 1.",
    example = "torch.special.shifted_chebyshev_polynomial_v(torch.tensor{0.5}, 3)" }
op{ "shifted_chebyshev_polynomial_w(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out",
    kind = "binary", dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "chebyshev_polynomial_w at 2 x - 1.",
    example = "torch.special.shifted_chebyshev_polynomial_w(torch.tensor{0.5}, 3)" }
op{ "hermite_polynomial_h(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "The physicists' Hermite polynomial of degree n; NaN for n above 512; no gradient.",
    example = "torch.special.hermite_polynomial_h(torch.tensor{0.5}, 3)" }
op{ "hermite_polynomial_he(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "The probabilists' Hermite polynomial of degree n; NaN for n above 512; no gradient.",
    example = "torch.special.hermite_polynomial_he(torch.tensor{0.5}, 3)" }
op{ "laguerre_polynomial_l(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "The Laguerre polynomial of degree n; no gradient.",
    example = "torch.special.laguerre_polynomial_l(torch.tensor{0.5}, 3)" }
op{ "legendre_polynomial_p(Tensor x, Tensor n) -> Tensor", module = "special", variants = "function out", kind = "binary",
    dtypes = "double", promote = "int->float", grad = "none", cases = degrees,
    doc = "The Legendre polynomial of degree n; no gradient.",
    example = "torch.special.legendre_polynomial_p(torch.tensor{0.5}, 3)" }
