-- Draws and reparameterised derivatives that torch.distributions rests on.

op{ "_standard_gamma(Tensor self, Generator? generator=nil) -> Tensor", variants = "function",
    grad = { self = "grad * _standard_gamma_grad(self, result)" },
    doc = "A number of each Gamma distribution whose shape self holds, of rate 1; differentiable by the shape.",
    example = "torch._standard_gamma(torch.tensor{0.5, 2., 30.})" }
op{ "_standard_gamma_grad(Tensor self, Tensor output) -> Tensor", variants = "function", kind = "binary",
    kernel = "standard_gamma_grad", dtypes = "double",
    grad = { self = "not_implemented(grad, '_standard_gamma_grad: self')",
      output = "not_implemented(grad, '_standard_gamma_grad: output')" },
    cases = { "(3,4)pg, (3,4)pg", "(3,4)pg, (4,)pg", "(2,3)tpg, (2,3)pg", "(0,)g, (0,)g", "()pg, ()pg" },
    doc = "How a number output of the Gamma distribution of shape self moves with the shape: the derivative of output by self \z
      with the distribution function held.",
    example = "torch._standard_gamma_grad(torch.tensor{0.5, 2.}, torch.tensor{0.3, 1.5})" }
op{ "_sample_dirichlet(Tensor self, Generator? generator=nil) -> Tensor", variants = "function",
    grad = { self = "_sample_dirichlet_backward(grad, result, self)" },
    doc = "A point of the simplex for each row of concentrations, the last dim of self; differentiable by them.",
    example = "torch._sample_dirichlet(torch.tensor{0.5, 2., 30.})" }
op{ "_sample_dirichlet_backward(Tensor grad, Tensor sample, Tensor concentration) -> Tensor", variants = "internal",
    composite = "_dirichlet_grad(sample, concentration, expand(sum_dim(concentration, [-1], true), concentration.shape)) \z
      * (grad - sum_dim(sample * grad, [-1], true))" }
op{ "_dirichlet_grad(Tensor x, Tensor alpha, Tensor total) -> Tensor", variants = "function",
    grad = { x = "not_implemented(grad, '_dirichlet_grad: x')", alpha = "not_implemented(grad, '_dirichlet_grad: alpha')",
      total = "not_implemented(grad, '_dirichlet_grad: total')" },
    cases = { "(3,4)ug, (3,4)pg, (3,4)pg" },
    doc = "How a coordinate x of a Dirichlet sample moves with its concentration alpha, the concentrations summing to total: \z
      the derivative of x by alpha over 1 - x.",
    example = "torch._dirichlet_grad(torch.tensor{0.2, 0.8}, torch.tensor{1., 2.}, torch.tensor{3., 3.})" }
