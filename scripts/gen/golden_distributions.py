"""Writes tests/golden/distributions/*.lua: PyTorch's values for the specs of torch.distributions. Run by hand:

  python3 scripts/gen/golden_distributions.py
A distribution or transform is described once, as C("Normal", loc=..., scale=...), from which both the Python object and the
Lua expression are made. What PyTorch does not implement is absent from the records; the specs then expect an error.
"""
import math
import os
import warnings

import torch
import torch.distributions as D
from torch.distributions import constraints, kl
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical

warnings.simplefilter("ignore")
torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(__file__), "../../tests/golden/distributions")
CLASSES = {n: getattr(D, n) for n in D.__all__} | {
    "LogitRelaxedBernoulli": LogitRelaxedBernoulli, "ExpRelaxedCategorical": ExpRelaxedCategorical}


# --- Lua text ---------------------------------------------------------------------------------------------------
def number(v, digits=17):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, int):
        return str(v)
    if math.isnan(v):
        return "nan"
    if math.isinf(v):
        return "inf" if v > 0 else "-inf"
    s = "%.*g" % (digits, v)
    if digits > 9 and float("%.15g" % v) == v:
        s = "%.15g" % v
    return s if any(c in s for c in ".en") else s + ".0"


def tensor(t):
    digits = 17 if t.dtype == torch.float64 else 9
    values = ",".join(number(v, digits) for v in t.detach().reshape(-1).tolist())
    return '{"%s",{%s},{%s}}' % (str(t.dtype)[6:], ",".join(map(str, t.shape)), values)


def text(s):
    return "[==[\n" + s + "]==]" if "\n" in s else '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'


def lua(v):
    if isinstance(v, torch.Tensor):
        return tensor(v)
    if isinstance(v, str):
        return text(v)
    if isinstance(v, torch.Size):
        return "{" + ",".join(map(str, v)) + "}"
    if isinstance(v, (list, tuple)):
        return "{" + ",".join(map(lua, v)) + "}"
    if isinstance(v, dict):
        return "{" + ",".join("%s=%s" % (k, lua(x)) for k, x in v.items()) + "}"
    return number(v)


class C:
    """A distribution, transform or constraint by name and arguments."""

    def __init__(self, name, /, **kwargs):
        self.name, self.kwargs, self.inverse = name, kwargs, False

    @property
    def inv(self):
        other = C(self.name, **self.kwargs)
        other.inverse = True
        return other

    def python(self):
        cls = CLASSES.get(self.name) or getattr(constraints, self.name)
        if not callable(cls) or self.name in ("identity_transform", "dependent"):
            return cls
        made = cls(**{k: py(v) for k, v in self.kwargs.items()})
        return made.inv if self.inverse else made

    def lua(self, params):
        if not self.kwargs and self.name == "identity_transform":
            return "D.identity_transform"
        where = "D." if self.name in CLASSES else "D.constraints."
        if where == "D.constraints." and not self.kwargs:
            return where + self.name
        inner = ", ".join("%s = %s" % (k, argument(v, params)) for k, v in self.kwargs.items())
        return where + self.name + "{" + inner + "}" + (".inv" if self.inverse else "")


def py(v):
    if isinstance(v, C):
        return v.python()
    if isinstance(v, list) and v and isinstance(v[0], C):
        return [x.python() for x in v]
    return v


def argument(v, params):
    if isinstance(v, C):
        return v.lua(params)
    if isinstance(v, torch.Tensor):
        for i, known in enumerate(params):
            if known is v:
                return "P[%d]" % (i + 1)
        params.append(v)
        return "P[%d]" % len(params)
    if isinstance(v, (list, tuple)):
        return "{" + ", ".join(argument(x, params) for x in v) + "}"
    return number(v)


def t(values, dtype=torch.float32, grad=True):
    made = torch.tensor(values, dtype=dtype)
    return made.requires_grad_(grad) if dtype.is_floating_point else made


def d(values):
    return t(values, torch.float64)


# --- distributions ------------------------------------------------------------------------------------------------
M3 = [[2.0, 0.5, 0.25], [0.5, 1.5, -0.25], [0.25, -0.25, 1.0]]
L3 = [[1.5, 0.0, 0.0], [0.5, 1.25, 0.0], [-0.25, 0.75, 2.0]]
M2 = [[[2.0, 0.5], [0.5, 1.5]], [[1.0, -0.25], [-0.25, 0.75]]]
MEAN0 = [0.0, 0.25, -1.5]


def locscale(name):
    return [C(name, loc=t([0.0, 1.0, -2.0]), scale=t([1.0, 0.5, 3.0])), C(name, loc=0.5, scale=2.0),
            C(name, loc=t([[0.0], [3.0]]), scale=t([0.1, 10.0, 2.0])), C(name, loc=d(0.25), scale=d(1.5)),
            C(name, loc=d([-1.0, 2.0]), scale=0.75)]


def positive2(name, a, b):
    return [C(name, **{a: t([0.5, 1.0, 3.0]), b: t([1.0, 0.5, 4.0])}), C(name, **{a: 2.5, b: 1.5}),
            C(name, **{a: t([[0.2], [12.0]]), b: t([0.75, 3.0, 20.0])}), C(name, **{a: d(1.75), b: d(2.5)}),
            C(name, **{a: d([5.0, 0.9]), b: 3.0})]


def binary(name, **more):
    return [C(name, **more, probs=t([0.3, 0.6, 0.9])), C(name, **more, logits=t([[-1.0, 0.5], [2.0, 0.0]])),
            C(name, **more, probs=d([0.2, 0.7])), C(name, **more, logits=d(0.75))]


def categories(name, **more):
    return [C(name, **more, probs=t([0.1, 0.5, 0.4])), C(name, **more, logits=t([[-1.0, 0.5, 0.2], [2.0, 0.0, 1.0]])),
            C(name, **more, probs=d([[[2.0, 3.0]], [[1.0, 4.0]]])), C(name, **more, logits=d([0.5, 0.25, -1.0, 0.0]))]


CASES = (
    locscale("Normal") + locscale("Laplace") + locscale("Cauchy") + locscale("Gumbel")
    + locscale("LogNormal")
    + [C("Uniform", low=t([0.0, -1.0]), high=t([1.0, 3.0])), C("Uniform", low=0.0, high=2.0),
       C("Uniform", low=d([[0.0], [0.5]]), high=d([1.0, 2.0, 3.0]))]
    + [C(n, **{a: v}) for n, a in (("Exponential", "rate"), ("HalfNormal", "scale"), ("HalfCauchy", "scale"),
                                   ("Chi2", "df"), ("Poisson", "rate"))
       for v in (t([0.5, 2.0, 12.0]), 1.5, d([[0.25], [4.0]]), d(3.0))]
    + [C("Poisson", rate=t([0.0, 1.0]))]
    + positive2("Gamma", "concentration", "rate") + positive2("InverseGamma", "concentration", "rate")
    + positive2("Beta", "concentration1", "concentration0") + positive2("Kumaraswamy", "concentration1", "concentration0")
    + positive2("FisherSnedecor", "df1", "df2") + positive2("Pareto", "scale", "alpha")
    + positive2("Weibull", "scale", "concentration")
    + [C("StudentT", df=t([0.75, 1.5, 5.0])), C("StudentT", df=3.0), C("StudentT", df=2.0, loc=d([1.0, -1.0]), scale=d([2.0, 0.5])),
       C("StudentT", df=t([[3.0], [30.0]]), loc=t([0.0, 1.0, 2.0]), scale=2.0)]
    + [C("GeneralizedPareto", loc=t([0.0, 1.0, -1.0]), scale=t([1.0, 2.0, 0.5]), concentration=t([0.0, 0.25, -0.5])),
       C("GeneralizedPareto", loc=0.1, scale=2.0, concentration=0.4),
       C("GeneralizedPareto", loc=d([[0.0], [2.0]]), scale=d([1.0, 3.0]), concentration=d(-0.25))]
    + [C("VonMises", loc=t([0.0, 1.0, -3.0]), concentration=t([0.5, 4.0, 100.0])), C("VonMises", loc=0.5, concentration=2.0),
       C("VonMises", loc=d([[0.0], [2.0]]), concentration=d([1.0, 1e-6]))]
    + [C("Dirichlet", concentration=t([0.5, 1.0, 3.0])), C("Dirichlet", concentration=t([[2.0, 0.3], [8.0, 9.0], [0.5, 0.25]])),
       C("Dirichlet", concentration=d([[[1.5, 2.5, 0.75, 10.0]]]))]
    + binary("Bernoulli") + [C("Bernoulli", probs=0.25), C("Bernoulli", probs=t([0.5, 1.0]))]
    + binary("Geometric") + [C("Geometric", probs=0.25), C("Geometric", probs=t([1.0, 0.5]))]
    + binary("ContinuousBernoulli") + [C("ContinuousBernoulli", probs=0.25), C("ContinuousBernoulli", probs=t([0.4995, 0.5, 0.8]))]
    + binary("LogitRelaxedBernoulli", temperature=t(0.75)) + binary("RelaxedBernoulli", temperature=t([2.0]))
    + binary("Binomial", total_count=5) + [C("Binomial", total_count=t([3.0, 40.0], grad=False), probs=t([0.5, 0.9]))]
    + binary("NegativeBinomial", total_count=4) + [C("NegativeBinomial", total_count=t([0.0, 2.5], grad=False), probs=t([0.5, 0.2]))]
    + categories("Categorical") + categories("OneHotCategorical") + categories("OneHotCategoricalStraightThrough")
    + categories("Multinomial", total_count=4) + categories("ExpRelaxedCategorical", temperature=t(0.5))
    + categories("RelaxedOneHotCategorical", temperature=t(1.5, grad=False)) + [C("Categorical", probs=t([[0.0, 1.0], [0.5, 0.5]]))]
    + [C("MultivariateNormal", loc=t(MEAN0), covariance_matrix=t(M3)), C("MultivariateNormal", loc=t([MEAN0, MEAN0]), scale_tril=t(L3)),
       C("MultivariateNormal", loc=d([[0.0, 1.0]]), precision_matrix=d(M2)), C("MultivariateNormal", loc=d([1.0, 2.0]), covariance_matrix=d(M2))]
    + [C("LowRankMultivariateNormal", loc=t(MEAN0), cov_factor=t([[1.0], [0.5], [-0.5]]), cov_diag=t([1.0, 0.5, 2.0])),
       C("LowRankMultivariateNormal", loc=d([[0.0, 1.0], [2.0, 3.0]]), cov_factor=d([[1.0, 0.25], [0.5, -1.0]]), cov_diag=d([0.75, 1.25])),
       C("LowRankMultivariateNormal", loc=d([0.5, 1.0]), cov_factor=d([[[1.0], [0.5]], [[0.25], [2.0]]]), cov_diag=d([[1.0, 1.0], [0.5, 2.0]]))]
    + [C("Wishart", df=t(5.0), covariance_matrix=t(M3)), C("Wishart", df=4.5, scale_tril=t(L3)),
       C("Wishart", df=d([3.0, 6.0]), precision_matrix=d(M2))]
    + [C("LKJCholesky", dim=3), C("LKJCholesky", dim=2, concentration=t([0.5, 2.0])), C("LKJCholesky", dim=4, concentration=d([[1.5]]))]
    + [C("LogisticNormal", loc=t([0.0, 1.0]), scale=t([1.0, 0.5])), C("LogisticNormal", loc=0.5, scale=2.0),
       C("LogisticNormal", loc=d([[0.0, 0.5, 1.0], [1.0, 0.0, -1.0]]), scale=d([1.0, 0.5, 2.0]))]
    + [C("Independent", base_distribution=C("Normal", loc=t([[0.0, 1.0, 2.0]]), scale=t([[1.0], [2.0]])), reinterpreted_batch_ndims=1),
       C("Independent", base_distribution=C("Bernoulli", probs=t([0.25, 0.5])), reinterpreted_batch_ndims=0),
       C("Independent", base_distribution=C("Dirichlet", concentration=d([[1.0, 2.0], [3.0, 4.0]])), reinterpreted_batch_ndims=1)]
    + [C("MixtureSameFamily", mixture_distribution=C("Categorical", probs=t([0.25, 0.75])),
         component_distribution=C("Normal", loc=t([-1.0, 2.0]), scale=t([0.5, 1.5]))),
       C("MixtureSameFamily", mixture_distribution=C("Categorical", logits=d([[0.0, 1.0], [0.5, 0.25]])),
         component_distribution=C("Gamma", concentration=d([[1.0, 2.0], [3.0, 0.5]]), rate=d([1.0, 2.0]))),
       C("MixtureSameFamily", mixture_distribution=C("Categorical", probs=t([0.5, 0.2, 0.3])),
         component_distribution=C("Independent", base_distribution=C("Normal", loc=t([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]), scale=t(0.5)),
                                  reinterpreted_batch_ndims=1)),
       C("MixtureSameFamily", mixture_distribution=C("Categorical", probs=t([[0.5, 0.5], [0.25, 0.75]])),
         component_distribution=C("Poisson", rate=t([[1.0, 8.0], [3.0, 0.5]])))]
    + [C("TransformedDistribution", base_distribution=C("Normal", loc=t([0.0, 1.0]), scale=t([1.0, 2.0])),
         transforms=[C("AffineTransform", loc=1.0, scale=-2.0), C("TanhTransform")]),
       C("TransformedDistribution", base_distribution=C("Uniform", low=t([0.0, 0.0]), high=t([1.0, 1.0])),
         transforms=[C("SigmoidTransform").inv, C("AffineTransform", loc=t([0.5, 1.0]), scale=t([2.0, 3.0]))]),
       C("TransformedDistribution", base_distribution=C("Normal", loc=d([0.0, 1.0, 0.5]), scale=d([1.0, 2.0, 0.5])),
         transforms=C("StickBreakingTransform")),
       C("TransformedDistribution", base_distribution=C("Normal", loc=d([0.0, 1.0]), scale=d([[1.0], [2.0]])), transforms=[]),
       C("TransformedDistribution", base_distribution=C("Exponential", rate=d(2.0)),
         transforms=[C("PowerTransform", exponent=d([0.5, 2.0]))])]
)


def weights(x):
    """Weights for a sum of gradients that no symmetry cancels."""
    return torch.cos(torch.arange(x.numel(), dtype=torch.float64)).reshape(x.shape).to(x.dtype)


def gradients(y, params):
    params = [p for p in params if p.requires_grad]
    if not y.requires_grad or not params:
        return None
    return [torch.zeros_like(p) if g is None else g
            for p, g in zip(params, torch.autograd.grad((y * weights(y)).sum(), params, allow_unused=True,
                                                       retain_graph=True))]


def put(record, name, fn):
    try:
        value = fn()
    except NotImplementedError:
        if not name.endswith("_grad"):
            record.setdefault("absent", []).append(name)
        return None
    except (AssertionError, ValueError, RuntimeError, TypeError, AttributeError) as e:
        print("   ", record["code"], name, type(e).__name__, str(e).split("\n")[0][:100])
        return None
    if value is not None:
        record[name] = value
    return value


def distribution_record(case):
    params = []
    record = {"code": case.lua(params)}
    record["params"] = [(p, p.requires_grad) for p in params]
    p = case.python()
    record["text"] = repr(p)
    record["batch_shape"], record["event_shape"] = p.batch_shape, p.event_shape
    put(record, "support", lambda: str(p.support))
    record["has_rsample"], record["has_enumerate_support"] = p.has_rsample, p.has_enumerate_support
    for name in ("mean", "mode", "variance", "stddev"):
        value = put(record, name, lambda: getattr(p, name))
        if value is not None and name == "variance":
            put(record, "variance_grad", lambda: gradients(value, params))
    for name in ("entropy", "perplexity"):
        value = put(record, name, lambda: getattr(p, name)())
        if value is not None and name == "entropy":
            put(record, "entropy_grad", lambda: gradients(value, params))
    torch.manual_seed(3)
    one = put(record, "sample", p.sample)
    sample = put(record, "samples", lambda: p.sample((2, 3)))
    if p.has_rsample:
        torch.manual_seed(5)
        drawn = put(record, "rsample", lambda: p.rsample((2,)))
        if drawn is not None:
            put(record, "rsample_grad", lambda: gradients(drawn, params))
    value = sample if sample is not None else one
    record["value"] = value
    log_prob = put(record, "log_prob", lambda: p.log_prob(value))
    if log_prob is not None:
        put(record, "log_prob_grad", lambda: gradients(log_prob, params))
        if value.is_floating_point():
            leaf = value.detach().clone().requires_grad_()
            put(record, "value_grad", lambda: gradients(p.log_prob(leaf), [leaf]))
    cdf = put(record, "cdf", lambda: p.cdf(value))
    if cdf is not None:
        put(record, "cdf_grad", lambda: gradients(cdf, params))
    u = torch.linspace(0.05, 0.95, max(p.batch_shape.numel(), 1), dtype=value.dtype if value.is_floating_point() else None)
    u = u.reshape(p.batch_shape + (1,) * len(p.event_shape))
    if len(p.event_shape) == 0:
        icdf = put(record, "icdf", lambda: p.icdf(u))
        if icdf is not None:
            record["u"] = u
            put(record, "icdf_grad", lambda: gradients(icdf, params))
    put(record, "enumerate", lambda: p.enumerate_support())
    put(record, "enumerate_narrow", lambda: p.enumerate_support(expand=False))
    wide = put(record, "expanded_text", lambda: repr(case.python().expand((2,) + p.batch_shape)))
    if wide is not None:
        torch.manual_seed(7)
        put(record, "expanded_sample", lambda: p.expand((2,) + p.batch_shape).sample())
    return record


# --- divergences --------------------------------------------------------------------------------------------------
KL = [
    C("Bernoulli", probs=d([0.3, 0.0, 1.0])), C("Bernoulli", probs=d([0.6, 0.2, 0.5])),
    C("Bernoulli", logits=d([0.3, 0.5, 1.0])), C("Beta", concentration1=d([0.5, 1.5, 3.0]), concentration0=d([1.0, 2.0, 0.5])),
    C("Beta", concentration1=d([2.5, 0.5, 1.0]), concentration0=d([3.0, 1.0, 0.75])),
    C("Binomial", total_count=30, probs=d([0.1, 0.5, 0.9])), C("Binomial", total_count=30, probs=d([0.2, 0.4, 0.7])),
    C("Binomial", total_count=20, probs=d([0.2, 0.4, 0.7])),
    C("Categorical", probs=d([[0.2, 0.3, 0.5], [0.0, 0.5, 0.5], [0.3, 0.3, 0.4]])),
    C("Categorical", logits=d([[0.2, 0.3, 0.5], [0.1, 0.5, 0.5], [0.3, 0.3, 0.4]])),
    C("Cauchy", loc=d([0.0, 1.0, 2.0]), scale=d([1.0, 2.0, 0.5])), C("Cauchy", loc=d([0.5, 1.5, 1.0]), scale=d([2.0, 1.0, 3.0])),
    C("Chi2", df=d([1.0, 2.5, 6.0])), C("Chi2", df=d([3.0, 1.5, 4.0])),
    C("ContinuousBernoulli", probs=d([0.2, 0.5, 0.9])), C("ContinuousBernoulli", probs=d([0.4, 0.75, 0.3])),
    C("Dirichlet", concentration=d([[0.5, 1.0, 2.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])),
    C("Dirichlet", concentration=d([[1.5, 1.0, 2.5], [2.0, 2.5, 1.0], [4.0, 1.0, 0.5]])),
    C("Exponential", rate=d([0.5, 1.0, 3.0])), C("Exponential", rate=d([2.0, 0.75, 3.0])),
    C("Gamma", concentration=d([0.5, 2.0, 5.0]), rate=d([1.0, 0.5, 2.0])),
    C("Gamma", concentration=d([1.5, 1.0, 3.0]), rate=d([2.0, 1.5, 0.25])),
    C("Geometric", probs=d([0.2, 0.5, 0.8])), C("Geometric", probs=d([0.6, 0.3, 0.7])),
    C("Gumbel", loc=d([0.0, 1.0, -1.0]), scale=d([1.0, 2.0, 0.5])), C("Gumbel", loc=d([0.5, -1.0, 0.25]), scale=d([2.0, 1.5, 1.0])),
    C("HalfCauchy", scale=d([1.0, 2.0, 3.0])), C("HalfNormal", scale=d([1.0, 2.0, 3.0])), C("HalfNormal", scale=d([2.0, 1.5, 0.5])),
    C("Independent", base_distribution=C("Normal", loc=d([[0.0, 1.0], [2.0, 3.0], [1.0, 0.0]]), scale=d([1.0, 2.0])), reinterpreted_batch_ndims=1),
    C("Independent", base_distribution=C("Normal", loc=d([[1.0, 1.5], [0.0, 2.0], [0.5, 0.0]]), scale=d([2.0, 0.5])), reinterpreted_batch_ndims=1),
    C("Kumaraswamy", concentration1=d([1.0, 2.0, 3.0]), concentration0=d([2.0, 1.0, 0.5])),
    C("Laplace", loc=d([0.0, 1.0, -1.0]), scale=d([1.0, 2.0, 0.5])), C("Laplace", loc=d([0.5, -1.0, 0.25]), scale=d([2.0, 1.5, 1.0])),
    C("LogNormal", loc=d([0.0, 1.0, -1.0]), scale=d([1.0, 2.0, 0.5])), C("LogNormal", loc=d([0.5, -1.0, 0.25]), scale=d([2.0, 1.5, 1.0])),
    C("LowRankMultivariateNormal", loc=d([[0.0, 1.0], [2.0, 3.0], [1.0, 0.0]]), cov_factor=d([[1.0], [0.5]]), cov_diag=d([0.75, 1.25])),
    C("LowRankMultivariateNormal", loc=d([1.0, -1.0]), cov_factor=d([[[0.5], [0.25]], [[1.0], [2.0]], [[0.0], [0.5]]]), cov_diag=d([1.0, 0.5])),
    C("MultivariateNormal", loc=d([[0.0, 1.0], [2.0, 3.0], [1.0, 0.0]]), covariance_matrix=d(M2[0])),
    C("MultivariateNormal", loc=d([0.5, 1.0]), scale_tril=d([[[1.0, 0.0], [0.5, 2.0]], [[0.5, 0.0], [1.0, 1.5]], [[2.0, 0.0], [0.0, 1.0]]])),
    C("NegativeBinomial", total_count=4, probs=d([0.2, 0.5, 0.8])),
    C("Normal", loc=d([0.0, 1.0, -1.0]), scale=d([1.0, 2.0, 0.5])), C("Normal", loc=d([0.5, -1.0, 0.25]), scale=d([2.0, 1.5, 1.0])),
    C("OneHotCategorical", probs=d([[0.2, 0.3, 0.5], [0.0, 0.5, 0.5], [0.3, 0.3, 0.4]])),
    C("OneHotCategorical", logits=d([[0.2, 0.3, 0.5], [0.1, 0.5, 0.5], [0.3, 0.3, 0.4]])),
    C("Pareto", scale=d([0.5, 1.0, 2.0]), alpha=d([0.75, 1.5, 4.0])), C("Pareto", scale=d([0.25, 0.5, 3.0]), alpha=d([2.5, 3.0, 1.0])),
    C("Poisson", rate=d([0.5, 2.0, 9.0])), C("Poisson", rate=d([1.5, 1.0, 12.0])),
    C("StudentT", df=d([1.0, 2.0, 3.0])), C("Uniform", low=d([0.25, 0.0, -1.0]), high=d([0.75, 1.0, 2.0])),
    C("Uniform", low=d([-0.5, 0.0, -2.0]), high=d([1.5, 1.0, 1.0])), C("Uniform", low=d([0.5, 2.0, 4.0]), high=d([0.75, 3.0, 5.0])),
    C("Weibull", scale=d([1.0, 2.0, 3.0]), concentration=d([1.0, 2.0, 0.5])), C("VonMises", loc=d([0.0, 1.0, 2.0]), concentration=d([1.0, 2.0, 3.0])),
    C("Wishart", df=d([3.0, 4.0, 5.0]), covariance_matrix=d(M2[0])), C("Wishart", df=d([5.0, 3.5, 4.0]), covariance_matrix=d(M2[1])),
]


def kl_records():
    instances, records = [], []
    for case in KL:
        params = []
        instances.append({"code": case.lua(params), "params": [(p, True) for p in params if p.is_floating_point()]})
    for i, p in enumerate(KL):
        for j, q in enumerate(KL):
            try:
                value = D.kl_divergence(p.python(), q.python())
            except (NotImplementedError, ValueError):
                continue
            records.append((i + 1, j + 1, value))
    missing = [(p.__name__, q.__name__) for p, q in kl._KL_REGISTRY
               if not any(issubclass(type(KL[i - 1].python()), p) and issubclass(type(KL[j - 1].python()), q) for i, j, _ in records)]
    if missing:
        print("divergences without a case:", missing)
    return {"instances": instances, "values": records}


# --- transforms and constraints -------------------------------------------------------------------------------------
X3 = [[0.5, -1.0, 2.0], [0.25, 1.5, -0.75]]
MAT = [[0.5, -1.0, 0.3], [0.25, 1.5, -0.75], [1.0, 0.2, -0.5]]
TRANSFORMS = [
    (C("ExpTransform"), d(X3)), (C("AbsTransform"), d(X3)), (C("SigmoidTransform"), d(X3)), (C("SigmoidTransform"), t([-100.0, 100.0])),
    (C("SoftplusTransform"), d([[0.5, -1.0, 30.0]])), (C("TanhTransform"), d(X3)), (C("TanhTransform", cache_size=1), d(X3)),
    (C("AffineTransform", loc=1.0, scale=-2.0), d(X3)), (C("AffineTransform", loc=d([1.0, 2.0, 3.0]), scale=d([[2.0], [-1.0]])), d(X3)),
    (C("AffineTransform", loc=0, scale=d([1.0, 2.0, 3.0]), event_dim=1), d(X3)), (C("PowerTransform", exponent=2.0), d([0.5, 2.0])),
    (C("PowerTransform", exponent=d([-1.0, 0.5])), d([0.5, 2.0])), (C("SoftmaxTransform"), d(X3)), (C("StickBreakingTransform"), d(X3)),
    (C("StickBreakingTransform"), t(X3)), (C("LowerCholeskyTransform"), d(MAT)), (C("PositiveDefiniteTransform"), d([MAT, MAT])),
    (C("CorrCholeskyTransform"), d(X3)), (C("CorrCholeskyTransform"), d([[0.5]])), (C("ReshapeTransform", in_shape=(3,), out_shape=(3, 1)), d(X3)),
    (C("ReshapeTransform", in_shape=(2, 3), out_shape=(6,)), d(X3)), (C("IndependentTransform", base_transform=C("ExpTransform"), reinterpreted_batch_ndims=1), d(X3)),
    (C("IndependentTransform", base_transform=C("AffineTransform", loc=0.5, scale=3.0), reinterpreted_batch_ndims=2), d(X3)),
    (C("ComposeTransform", parts=[C("AffineTransform", loc=0.5, scale=-1.5), C("ExpTransform"), C("PowerTransform", exponent=0.5)]), d(X3)),
    (C("ComposeTransform", parts=[C("ExpTransform"), C("StickBreakingTransform")]), d(X3)), (C("ComposeTransform", parts=[]), d(X3)),
    (C("ComposeTransform", parts=[C("StickBreakingTransform"), C("StickBreakingTransform").inv], cache_size=1), d(X3)),
    (C("identity_transform"), d(X3)), (C("ExpTransform").inv, d([0.5, 2.0])), (C("StickBreakingTransform").inv, d([[0.2, 0.3, 0.5]])),
    (C("CatTransform", tseq=[C("ExpTransform"), C("AffineTransform", loc=1.0, scale=2.0)], dim=1, lengths=[1, 2]), d(X3)),
    (C("CatTransform", tseq=[C("ExpTransform"), C("TanhTransform")], dim=-2), d(X3)),
    (C("CatTransform", tseq=[C("AffineTransform", loc=1.0, scale=2.0, event_dim=1), C("ExpTransform")], dim=-1, lengths=[2, 1]), d(X3)),
    (C("StackTransform", tseq=[C("ExpTransform"), C("TanhTransform")], dim=0), d(X3)),
    (C("StackTransform", tseq=[C("ExpTransform"), C("TanhTransform"), C("SigmoidTransform")], dim=-1), d(X3)),
    (C("CumulativeDistributionTransform", distribution=C("Normal", loc=d(0.5), scale=d(2.0))), d(X3)),
]


def transform_record(case, x):
    params = []
    record = {"code": case.lua(params)}
    record["params"] = [(p, p.requires_grad) for p in params]
    f = case.python()
    record["text"], record["x"] = repr(f), x
    put(record, "domain", lambda: str(f.domain))
    put(record, "codomain", lambda: str(f.codomain))
    record["bijective"] = f.bijective
    put(record, "event_dim", lambda: f.event_dim)
    put(record, "sign", lambda: f.sign)
    y = put(record, "y", lambda: f(x))
    put(record, "y_grad", lambda: gradients(y, [x] + params))
    if case.kwargs.get("cache_size") is None:
        put(record, "back", lambda: f.inv(y.detach()))
    jacobian = put(record, "jacobian", lambda: f.log_abs_det_jacobian(x, y))
    if jacobian is not None:
        put(record, "jacobian_grad", lambda: gradients(jacobian, [x] + params))
    put(record, "forward_shape", lambda: torch.Size(f.forward_shape(x.shape)))
    put(record, "inverse_shape", lambda: torch.Size(f.inverse_shape(y.shape)))
    return record


NAN, INF = float("nan"), float("inf")
LINE = t([-INF, -2.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, INF, NAN], grad=False)
VECTORS = t([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [-0.5, 1.0, 0.5], [1.0, 1.0, 0.0], [0.5, 0.2, 0.2]], grad=False)
MATRICES = d([L3, M3, [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]], [[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
              [[-1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]], [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]).detach()
CONSTRAINTS = (
    [(C(n), LINE) for n in ("boolean", "nonnegative_integer", "positive_integer", "real", "positive", "nonnegative", "unit_interval")]
    + [(C("integer_interval", lower_bound=0, upper_bound=2), LINE), (C("greater_than", lower_bound=0.5), LINE),
       (C("greater_than_eq", lower_bound=0.5), LINE), (C("less_than", upper_bound=1), LINE), (C("interval", lower_bound=-0.5, upper_bound=1.0), LINE),
       (C("interval", lower_bound=d([0.0, 1.0]), upper_bound=d(2.0)), d([0.5, 0.5]).detach()), (C("half_open_interval", lower_bound=0.0, upper_bound=1.0), LINE)]
    + [(C(n), VECTORS) for n in ("one_hot", "real_vector", "simplex")]
    + [(C("multinomial", upper_bound=3), t([[1, 2, 0], [2, 2, 0], [-1, 1, 1]], torch.int64))]
    + [(C(n), MATRICES) for n in ("lower_triangular", "lower_cholesky", "corr_cholesky", "square", "symmetric", "positive_semidefinite", "positive_definite")]
    + [(C("square"), VECTORS), (C("independent", base_constraint=C("positive"), reinterpreted_batch_ndims=1), VECTORS),
       (C("MixtureSameFamilyConstraint", base_constraint=C("positive")), VECTORS),
       (C("cat", cseq=[C("positive"), C("unit_interval")], dim=-1, lengths=[1, 2]), VECTORS),
       (C("stack", cseq=[C("positive"), C("unit_interval"), C("real")], dim=1), VECTORS)]
)
UNCONSTRAINED = {0: d([[0.5, -1.0, 2.0]]), 1: d(X3), 2: d(MAT)}


def constraint_record(case, value):
    params = []
    record = {"code": case.lua(params)}
    record["params"] = [(p, p.requires_grad) for p in params]
    c = case.python()
    record["text"], record["value"] = str(c), value
    record["event_dim"], record["is_discrete"], record["check"] = c.event_dim, c.is_discrete, c.check(value)
    for name in ("biject_to", "transform_to"):
        try:
            f = getattr(D, name)(c)
        except NotImplementedError:
            continue
        x = UNCONSTRAINED[c.event_dim].detach()
        if case.name == "corr_cholesky":
            x = UNCONSTRAINED[1].detach()
        if case.name == "interval" and params:
            x = x[..., :2]
        record[name] = {"text": repr(f), "x": x, "y": f(x)}
    return record


# --- errors: Lua, Python ----------------------------------------------------------------------------------------------
ERRORS = [
    ("D.Normal(0, -1)", "D.Normal(0, -1)"),
    ("D.Normal(T{0., 0/0}, T{1., 1.})", "D.Normal(T([0., float('nan')]), T([1., 1.]))"),
    ("D.Normal(T{0., 1.}, T{1., 0.})", "D.Normal(T([0., 1.]), T([1., 0.]))"),
    ("D.Bernoulli()", "D.Bernoulli()"),
    ("D.Bernoulli(0.5, 0.5)", "D.Bernoulli(0.5, 0.5)"),
    ("D.Bernoulli(T{0.5, 1.5})", "D.Bernoulli(T([0.5, 1.5]))"),
    ("D.Categorical(T{-1., 2.})", "D.Categorical(T([-1., 2.]))"),
    ("D.Categorical(T(1.))", "D.Categorical(T(1.))"),
    ("D.Categorical{logits = T(1.)}", "D.Categorical(logits=T(1.))"),
    ("D.Uniform(1, 0)", "D.Uniform(1, 0)"),
    ("D.Uniform(0, 1):log_prob(T(2.))", "D.Uniform(0, 1).log_prob(T(2.))"),
    ("D.Geometric(0.)", "D.Geometric(0.)"),
    ("D.Geometric(T{0., 0.5})", "D.Geometric(T([0., 0.5]))"),
    ("D.Poisson(1):log_prob(T{0.5, 1.})", "D.Poisson(1).log_prob(T([0.5, 1.]))"),
    ("D.Normal(0, 1):log_prob(T(0/0))", "D.Normal(0, 1).log_prob(T(float('nan')))"),
    ("D.Normal(T{0., 1.}, 1):log_prob(T{0., 1., 2.})", "D.Normal(T([0., 1.]), 1).log_prob(T([0., 1., 2.]))"),
    ("D.Dirichlet(T{1., 1.}):log_prob(T{1.})", "D.Dirichlet(T([1., 1.])).log_prob(T([1.]))"),
    ("D.Dirichlet(T{1., 1.}):log_prob(T{0.5, 0.6})", "D.Dirichlet(T([1., 1.])).log_prob(T([0.5, 0.6]))"),
    ("D.Dirichlet(T(1.))", "D.Dirichlet(T(1.))"),
    ("D.Independent(D.Normal(0, 1), 1)", "D.Independent(D.Normal(0, 1), 1)"),
    ("D.Independent(D.Bernoulli(T{0.5}), 1):enumerate_support()", "D.Independent(D.Bernoulli(T([0.5])), 1).enumerate_support()"),
    ("D.MultivariateNormal(T(0.), torch.eye(2))", "D.MultivariateNormal(T(0.), torch.eye(2))"),
    ("D.MultivariateNormal(torch.zeros(2))", "D.MultivariateNormal(torch.zeros(2))"),
    ("D.MultivariateNormal(torch.zeros(2), torch.ones(2))", "D.MultivariateNormal(torch.zeros(2), torch.ones(2))"),
    ("D.MultivariateNormal(torch.zeros(2), -torch.eye(2))", "D.MultivariateNormal(torch.zeros(2), -torch.eye(2))"),
    ("D.MultivariateNormal(torch.zeros(2), {scale_tril = torch.ones(2, 2)})", "D.MultivariateNormal(torch.zeros(2), scale_tril=torch.ones(2, 2))"),
    ("D.LowRankMultivariateNormal(T(0.), torch.eye(2), torch.ones(2))", "D.LowRankMultivariateNormal(T(0.), torch.eye(2), torch.ones(2))"),
    ("D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2), torch.ones(2))", "D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2), torch.ones(2))"),
    ("D.LKJCholesky(1)", "D.LKJCholesky(1)"),
    ("D.Wishart(T(1.), torch.eye(3))", "D.Wishart(T(1.), torch.eye(3))"),
    ("D.Wishart(3, {scale_tril = torch.ones(2, 2)})", "D.Wishart(3, scale_tril=torch.ones(2, 2))"),
    ("D.Binomial(T{1., 2.}, T{0.5, 0.5}):enumerate_support()", "D.Binomial(T([1., 2.]), T([0.5, 0.5])).enumerate_support()"),
    ("D.Binomial(-1, T{0.5})", "D.Binomial(-1, T([0.5]))"),
    ("D.Binomial(3, T{0.5}):log_prob(T{4.})", "D.Binomial(3, T([0.5])).log_prob(T([4.]))"),
    ("D.MixtureSameFamily(D.Categorical(T{1., 1.}), D.Normal(torch.zeros(3), 1))", "D.MixtureSameFamily(D.Categorical(T([1., 1.])), D.Normal(torch.zeros(3), 1))"),
    ("D.MixtureSameFamily(D.Categorical(torch.ones(2, 3)), D.Normal(torch.zeros(3, 3), 1))", "D.MixtureSameFamily(D.Categorical(torch.ones(2, 3)), D.Normal(torch.zeros(3, 3), 1))"),
    ("D.TransformedDistribution(D.Normal(0, 1), D.StickBreakingTransform())", "D.TransformedDistribution(D.Normal(0, 1), D.StickBreakingTransform())"),
    ("D.kl_divergence(D.Normal(0, 1), D.StudentT(1))", "D.kl_divergence(D.Normal(0, 1), D.StudentT(1))"),
    ("D.kl_divergence(D.Binomial(2, T{0.5}), D.Binomial(3, T{0.5}))", "D.kl_divergence(D.Binomial(2, T([0.5])), D.Binomial(3, T([0.5])))"),
    ("D.biject_to(D.constraints.positive_definite)", "D.biject_to(D.constraints.positive_definite)"),
    ("D.ExpTransform{cache_size = 2}", "D.ExpTransform(cache_size=2)"),
    ("D.ReshapeTransform({2}, {3})", "D.ReshapeTransform((2,), (3,))"),
    ("D.ReshapeTransform({2}, {2}):forward_shape(torch.Size{3})", "D.ReshapeTransform((2,), (2,)).forward_shape(torch.Size((3,)))"),
    ("D.CorrCholeskyTransform():forward_shape(torch.Size{2})", "D.CorrCholeskyTransform().forward_shape(torch.Size((2,)))"),
    ("D.CorrCholeskyTransform():inverse_shape(torch.Size{2, 3})", "D.CorrCholeskyTransform().inverse_shape(torch.Size((2, 3)))"),
    ("D.StickBreakingTransform():forward_shape(torch.Size{})", "D.StickBreakingTransform().forward_shape(torch.Size(()))"),
    ("D.ReshapeTransform({2}, {1, 2}).event_dim", "D.ReshapeTransform((2,), (1, 2)).event_dim"),
    ("D.IndependentTransform(D.ExpTransform(), 1)(T(1.))", "D.IndependentTransform(D.ExpTransform(), 1)(T(1.))"),
    ("D.CatTransform({D.ExpTransform()}, 0, {1, 2})", "D.CatTransform([D.ExpTransform()], 0, [1, 2])"),
    ("D.constraints.independent(D.constraints.real, -1)", "D.constraints.independent(D.constraints.real, -1)"),
    ("D.constraints.independent(D.constraints.real, 2):check(torch.zeros(2))", "D.constraints.independent(D.constraints.real, 2).check(torch.zeros(2))"),
    ("D.constraints.dependent:check(T(0.))", "D.constraints.dependent.check(T(0.))"),
    ("D.constraints.dependent.event_dim", "D.constraints.dependent.event_dim"),
    ("D.constraints.cat({D.constraints.real}, 0, {1, 2})", "D.constraints.cat([D.constraints.real], 0, [1, 2])"),
    ("D.utils.tril_matrix_to_vec(torch.eye(2), 2)", "D.utils.tril_matrix_to_vec(torch.eye(2), 2)"),
]


def error_records():
    records = []
    for code, python in ERRORS:
        try:
            eval(python, {"D": D, "T": torch.tensor, "torch": torch})
            print("no error:", python)
        except Exception as e:
            records.append((code, str(e)))
    return records


def write(name, rows):
    os.makedirs(OUT, exist_ok=True)
    with open(os.path.join(OUT, name + ".lua"), "w") as f:
        f.write("-- Written by scripts/gen/golden_distributions.py with PyTorch %s.\n" % torch.__version__.split("+")[0])
        f.write("local inf, nan = math.huge, 0 / 0\nreturn {\n")
        for row in rows:
            f.write(row + ",\n")
        f.write("}\n")


def main():
    rows = [distribution_record(case) for case in CASES]
    names = sorted({case.name for case in CASES})
    missing = [n for n in D.__all__ if isinstance(getattr(D, n), type) and issubclass(getattr(D, n), D.Distribution) and n not in names]
    print(len(rows), "distributions; without a case:", missing)
    half = len(rows) // 2
    write("values_1", map(lua, rows[:half]))
    write("values_2", map(lua, rows[half:]))
    record = kl_records()
    print(len(record["values"]), "divergences")
    write("kl", ["instances={" + ",\n".join(map(lua, record["instances"])) + "}", "values={" + ",\n".join(map(lua, record["values"])) + "}"])
    write("transforms", [lua(transform_record(case, x)) for case, x in TRANSFORMS])
    write("constraints", [lua(constraint_record(case, v)) for case, v in CONSTRAINTS])
    write("errors", map(lua, error_records()))


if __name__ == "__main__":
    main()
