-- Further factorisations: LDL, Householder reflectors, the polar decomposition, the square root.

op{ "ldl_factor_ex(Tensor self, *, bool hermitian=false, bool check_errors=false) -> \z
     (Tensor LD, Tensor pivots, Tensor info)", module = "linalg", variants = "function out", grad = "none",
    cases = { "(3,3)s", "(2,3,3)s", "(3,3)s, hermitian=true", "(0,0)" },
    doc = "The factors of self = L D L^T (L^H when hermitian) in one lower triangle, LAPACK's pivots, and for each matrix \z
           0 or the number of the diagonal element of D that is zero. Only the lower triangle of self is read.",
    example = "torch.linalg.ldl_factor_ex(torch.tensor{{2., 1.}, {1., -3.}})" }
op{ "ldl_factor(Tensor self, *, bool hermitian=false) -> (Tensor LD, Tensor pivots)", module = "linalg",
    variants = "function out", grad = "none", cases = { "(3,3)s", "(2,3,3)s" },
    doc = "The factors of a symmetric (hermitian) matrix that need not be positive; an error when D is singular.",
    example = "torch.linalg.ldl_factor(torch.tensor{{2., 1.}, {1., -3.}})" }
op{ "ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=false) -> Tensor", module = "linalg",
    variants = "function out", grad = { B = "ldl_solve_backward(grad, LD, pivots, B.shape, hermitian)" },
    doc = "X with A X = B from the factors of A that ldl_factor gave.",
    example = "LD, pivots = torch.linalg.ldl_factor(torch.tensor{{2., 1.}, {1., -3.}}); torch.linalg.ldl_solve(LD, pivots, torch.ones(2, 1))" }
op{ "ldl_solve_backward(Tensor grad, Tensor LD, Tensor pivots, int[] sizes, bool hermitian) -> Tensor",
    variants = "internal", kind = "composite" }

op{ "geqrf(Tensor self) -> (Tensor a, Tensor tau)", autocast = "fp32", variants = "function method out", grad = "none",
    cases = { "(4,3)", "(3,4)", "(2,3,3)" },
    doc = "The QR decomposition as LAPACK leaves it: R above the diagonal, Householder reflectors below it, their factors \z
           in tau. torch.linalg.qr is easier to use.",
    example = "torch.geqrf(torch.tensor{{3., 1.}, {4., 2.}})" }
op{ "orgqr(Tensor self, Tensor input2) -> Tensor", autocast = "fp32", variants = "function method",
    composite = "linalg_householder_product(self, input2)", cases = { "(4,3), (3,)" },
    doc = "linalg.householder_product.", example = "torch.orgqr(torch.geqrf(torch.tensor{{3., 1.}, {4., 2.}}))" }
op{ "ormqr_apply(Tensor self, Tensor input2, Tensor input3, bool left, bool transpose) -> Tensor", variants = "internal",
    grad = "none" }
op{ "ormqr(Tensor self, Tensor input2, Tensor input3, bool left=true, bool transpose=false) -> Tensor",
    autocast = "fp32", variants = "function method out", kind = "composite",
    cases = { "(4,3), (3,), (4,2)", "(4,3), (3,), (2,4), false, true", "(2,4,3), (2,3), (2,4,2), true, true" },
    doc = "The product of Q (its conjugate transpose when transpose) and input3, from the left or the right; Q is given by \z
           the reflectors in self and their factors input2, as geqrf leaves them.",
    example = "a, tau = torch.geqrf(torch.tensor{{3., 1.}, {4., 2.}}); torch.ormqr(a, tau, torch.ones(2, 1))" }

op{ "polar(Tensor A) -> (Tensor U, Tensor H)", module = "linalg", autocast = "fp32_inside", variants = "function out",
    grad = { A = "polar_backward(grad_U, grad_H, U, H)" }, cases = { "(3,3)", "(4,3)", "(2,4,2)", "(0,0)" },
    doc = "A = U H with orthonormal columns in U and a positive semidefinite H; A has at least as many rows as columns.",
    example = "torch.linalg.polar(torch.tensor{{0., 2.}, {-3., 0.}})" }
op{ "polar_backward(Tensor grad_U, Tensor grad_H, Tensor U, Tensor H) -> Tensor", variants = "internal",
    kind = "composite" }
-- Y with Y H + H Y = M, for a hermitian positive H.
op{ "lyapunov(Tensor H, Tensor M) -> Tensor", variants = "internal", kind = "composite" }
op{ "matrix_sqrth(Tensor self) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out",
    grad = { self = "sqrth_backward(grad, result)" }, cases = { "(3,3)s", "(2,3,3)s", "(0,0)" },
    doc = "The positive square root of a symmetric (hermitian) positive definite matrix; its lower triangle is read.",
    example = "torch.linalg.matrix_sqrth(torch.tensor{{2., 0.}, {0., 9.}})" }
op{ "sqrth_backward(Tensor grad, Tensor root) -> Tensor", variants = "internal", kind = "composite" }
