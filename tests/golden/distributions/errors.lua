-- Written by scripts/gen/golden_distributions.py with PyTorch 2.15.0.
local inf, nan = math.huge, 0 / 0
return {
{"D.Normal(0, -1)",[==[
Expected parameter scale (Tensor of shape ()) of distribution Normal(loc: 0.0, scale: -1.0) to satisfy the constraint GreaterThan(lower_bound=0.0), but found invalid values:
-1.0]==]},
{"D.Normal(T{0., 0/0}, T{1., 1.})",[==[
Expected parameter loc (Tensor of shape (2,)) of distribution Normal(loc: torch.Size([2]), scale: torch.Size([2])) to satisfy the constraint Real(), but found invalid values:
tensor([0., nan])]==]},
{"D.Normal(T{0., 1.}, T{1., 0.})",[==[
Expected parameter scale (Tensor of shape (2,)) of distribution Normal(loc: torch.Size([2]), scale: torch.Size([2])) to satisfy the constraint GreaterThan(lower_bound=0.0), but found invalid values:
tensor([1., 0.])]==]},
{"D.Bernoulli()","Either `probs` or `logits` must be specified, but not both."},
{"D.Bernoulli(0.5, 0.5)","Either `probs` or `logits` must be specified, but not both."},
{"D.Bernoulli(T{0.5, 1.5})",[==[
Expected parameter probs (Tensor of shape (2,)) of distribution Bernoulli(probs: torch.Size([2])) to satisfy the constraint Interval(lower_bound=0.0, upper_bound=1.0), but found invalid values:
tensor([0.5000, 1.5000])]==]},
{"D.Categorical(T{-1., 2.})",[==[
Expected parameter probs (Tensor of shape (2,)) of distribution Categorical(probs: torch.Size([2])) to satisfy the constraint Simplex(), but found invalid values:
tensor([-1.,  2.])]==]},
{"D.Categorical(T(1.))","`probs` parameter must be at least one-dimensional."},
{"D.Categorical{logits = T(1.)}","`logits` parameter must be at least one-dimensional."},
{"D.Uniform(1, 0)",[==[
Expected parameter low (Tensor of shape ()) of distribution Uniform(low: 1.0, high: 0.0) to satisfy the constraint LessThan(upper_bound=0.0), but found invalid values:
1.0]==]},
{"D.Uniform(0, 1):log_prob(T(2.))",[==[
Expected value argument (Tensor of shape ()) to be within the support (Interval(lower_bound=0.0, upper_bound=1.0)) of the distribution Uniform(low: 0.0, high: 1.0), but found invalid values:
2.0]==]},
{"D.Geometric(0.)",[==[
Expected parameter probs (Tensor of shape ()) of distribution Geometric(probs: 0.0) to be positive but found invalid values:
tensor([0.])]==]},
{"D.Geometric(T{0., 0.5})",[==[
Expected parameter probs (Tensor of shape (2,)) of distribution Geometric(probs: torch.Size([2])) to be positive but found invalid values:
tensor([0.])]==]},
{"D.Poisson(1):log_prob(T{0.5, 1.})",[==[
Expected value argument (Tensor of shape (2,)) to be within the support (IntegerGreaterThan(lower_bound=0)) of the distribution Poisson(rate: 1.0), but found invalid values:
tensor([0.5000, 1.0000])]==]},
{"D.Normal(0, 1):log_prob(T(0/0))",[==[
Expected value argument (Tensor of shape ()) to be within the support (Real()) of the distribution Normal(loc: 0.0, scale: 1.0), but found invalid values:
nan]==]},
{"D.Normal(T{0., 1.}, 1):log_prob(T{0., 1., 2.})","Value is not broadcastable with batch_shape+event_shape: torch.Size([3]) vs torch.Size([2])."},
{"D.Dirichlet(T{1., 1.}):log_prob(T{1.})","The right-most size of value must match event_shape: torch.Size([1]) vs torch.Size([2])."},
{"D.Dirichlet(T{1., 1.}):log_prob(T{0.5, 0.6})",[==[
Expected value argument (Tensor of shape (2,)) to be within the support (Simplex()) of the distribution Dirichlet(concentration: torch.Size([2])), but found invalid values:
tensor([0.5000, 0.6000])]==]},
{"D.Dirichlet(T(1.))","`concentration` parameter must be at least one-dimensional."},
{"D.Independent(D.Normal(0, 1), 1)","Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual 1 vs 0"},
{"D.Independent(D.Bernoulli(T{0.5}), 1):enumerate_support()","Enumeration over cartesian product is not implemented"},
{"D.MultivariateNormal(T(0.), torch.eye(2))","loc must be at least one-dimensional."},
{"D.MultivariateNormal(torch.zeros(2))","Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."},
{"D.MultivariateNormal(torch.zeros(2), torch.ones(2))","covariance_matrix must be at least two-dimensional, with optional leading batch dimensions"},
{"D.MultivariateNormal(torch.zeros(2), -torch.eye(2))",[==[
Expected parameter covariance_matrix (Tensor of shape (2, 2)) of distribution MultivariateNormal(loc: torch.Size([2]), covariance_matrix: torch.Size([2, 2])) to satisfy the constraint PositiveDefinite(), but found invalid values:
tensor([[-1., -0.],
        [-0., -1.]])]==]},
{"D.MultivariateNormal(torch.zeros(2), {scale_tril = torch.ones(2, 2)})",[==[
Expected parameter scale_tril (Tensor of shape (2, 2)) of distribution MultivariateNormal(loc: torch.Size([2]), scale_tril: torch.Size([2, 2])) to satisfy the constraint LowerCholesky(), but found invalid values:
tensor([[1., 1.],
        [1., 1.]])]==]},
{"D.LowRankMultivariateNormal(T(0.), torch.eye(2), torch.ones(2))","loc must be at least one-dimensional."},
{"D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2), torch.ones(2))","cov_factor must be at least two-dimensional, with optional leading batch dimensions"},
{"D.LKJCholesky(1)","Expected dim to be an integer greater than or equal to 2. Found dim=1."},
{"D.Wishart(T(1.), torch.eye(3))","Value of df=1.0 expected to be greater than ndim - 1 = 2."},
{"D.Wishart(3, {scale_tril = torch.ones(2, 2)})",[==[
Expected parameter scale_tril (Tensor of shape (2, 2)) of distribution Wishart(scale_tril: torch.Size([2, 2]), df: 3.0) to satisfy the constraint LowerCholesky(), but found invalid values:
tensor([[1., 1.],
        [1., 1.]])]==]},
{"D.Binomial(T{1., 2.}, T{0.5, 0.5}):enumerate_support()","Inhomogeneous total count not supported by `enumerate_support`."},
{"D.Binomial(-1, T{0.5})",[==[
Expected parameter total_count (Tensor of shape (1,)) of distribution Binomial(total_count: tensor([-1.]), probs: tensor([0.5000])) to satisfy the constraint IntegerGreaterThan(lower_bound=0), but found invalid values:
tensor([-1.])]==]},
{"D.Binomial(3, T{0.5}):log_prob(T{4.})",[==[
Expected value argument (Tensor of shape (1,)) to be within the support (IntegerInterval(lower_bound=0, upper_bound=tensor([3.]))) of the distribution Binomial(total_count: tensor([3.]), probs: tensor([0.5000])), but found invalid values:
tensor([4.])]==]},
{"D.MixtureSameFamily(D.Categorical(T{1., 1.}), D.Normal(torch.zeros(3), 1))","`mixture_distribution component` (2) does not equal `component_distribution.batch_shape[-1]` (3)"},
{"D.MixtureSameFamily(D.Categorical(torch.ones(2, 3)), D.Normal(torch.zeros(3, 3), 1))","`mixture_distribution.batch_shape` (torch.Size([2])) is not compatible with `component_distribution.batch_shape`(torch.Size([3]))"},
{"D.TransformedDistribution(D.Normal(0, 1), D.StickBreakingTransform())","base_distribution needs to have shape with size at least 1, but got torch.Size([])."},
{"D.kl_divergence(D.Normal(0, 1), D.StudentT(1))","No KL(p || q) is implemented for p type Normal and q type StudentT"},
{"D.kl_divergence(D.Binomial(2, T{0.5}), D.Binomial(3, T{0.5}))","KL between Binomials where q.total_count > p.total_count is not implemented"},
{"D.biject_to(D.constraints.positive_definite)","Cannot transform _PositiveDefinite constraints"},
{"D.ExpTransform{cache_size = 2}","cache_size must be 0 or 1"},
{"D.ReshapeTransform({2}, {3})","in_shape, out_shape have different numbers of elements"},
{"D.ReshapeTransform({2}, {2}):forward_shape(torch.Size{3})","Shape mismatch: expected torch.Size([3]) but got torch.Size([2])"},
{"D.CorrCholeskyTransform():forward_shape(torch.Size{2})","Input is not a flattened lower-diagonal number"},
{"D.CorrCholeskyTransform():inverse_shape(torch.Size{2, 3})","Input is not square"},
{"D.StickBreakingTransform():forward_shape(torch.Size{})","Too few dimensions on input"},
{"D.ReshapeTransform({2}, {1, 2}).event_dim","Please use either .domain.event_dim or .codomain.event_dim"},
{"D.IndependentTransform(D.ExpTransform(), 1)(T(1.))","Too few dimensions on input"},
{"D.CatTransform({D.ExpTransform()}, 0, {1, 2})","lengths (2) must match transforms (1)"},
{"D.constraints.independent(D.constraints.real, -1)","reinterpreted_batch_ndims must be >= 0, got -1"},
{"D.constraints.independent(D.constraints.real, 2):check(torch.zeros(2))","Expected value.dim() >= 2 but got 1"},
{"D.constraints.dependent:check(T(0.))","Cannot determine validity of dependent constraint"},
{"D.constraints.dependent.event_dim",".event_dim cannot be determined statically"},
{"D.constraints.cat({D.constraints.real}, 0, {1, 2})","lengths (2) must match cseq (1)"},
{"D.utils.tril_matrix_to_vec(torch.eye(2), 2)","diag (2) provided is outside [-2, 1]."},
}
