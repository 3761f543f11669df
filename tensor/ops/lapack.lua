-- Linear systems, decompositions, norms: torch.linalg. The matrices are the last two dims, the others
-- are batches. float32, float64, complex64 and complex128.

-- --- helpers --------------------------------------------------------------------------------------------

op{ "det_backward(Tensor grad, Tensor A, Tensor det) -> Tensor", variants = "internal", kind = "composite" }
op{ "slogdet_backward(Tensor? grad_sign, Tensor? grad_logabsdet, Tensor A, Tensor sign) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "solve_backward(Tensor grad, Tensor A, int[] b_sizes, Tensor x, bool left, mask wanted) "
      .. "-> (Tensor grad_A, Tensor grad_B)", variants = "internal", kind = "composite" }
op{ "triangular_backward_a(Tensor grad, Tensor A, Tensor x, bool upper, bool left, bool unitriangular) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "triangular_backward_b(Tensor grad, Tensor A, int[] b_sizes, bool upper, bool left, bool unitriangular) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "cholesky_backward(Tensor grad, Tensor factor, bool upper) -> Tensor", variants = "internal", kind = "composite" }
op{ "cholesky_solve_backward(Tensor grad, Tensor x, Tensor factor, bool upper) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "cholesky_inverse_backward(Tensor grad, Tensor inverse, Tensor factor, bool upper) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "qr_backward(Tensor grad_q, Tensor grad_r, Tensor q, Tensor r, str mode) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "lu_backward(Tensor grad, Tensor lu, Tensor pivots) -> Tensor", variants = "internal", kind = "composite" }
op{ "eigh_backward(Tensor? grad_values, Tensor? grad_vectors, Tensor values, Tensor vectors) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "eig_backward(Tensor? grad_values, Tensor? grad_vectors, Tensor values, Tensor vectors) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "svd_backward(Tensor? grad_u, Tensor? grad_s, Tensor? grad_vh, Tensor u_full, Tensor sv, Tensor vh_full) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "pinv_backward(Tensor grad, Tensor A, Tensor pinv) -> Tensor", variants = "internal", kind = "composite" }
op{ "lstsq_backward(Tensor grad, Tensor A, Tensor b, mask wanted) -> (Tensor grad_A, Tensor grad_b)",
    variants = "internal", kind = "composite" }
op{ "svdvals_only(Tensor A) -> Tensor", variants = "internal", grad = "none" }
op{ "eigvalsh_only(Tensor self, str UPLO) -> Tensor", variants = "internal", grad = "none" }
op{ "eigvals_only(Tensor self) -> Tensor", variants = "internal", grad = "none" }
op{ "lu_permutation(Tensor pivots, int m, dtype dtype) -> Tensor", variants = "internal", grad = "none" }
op{ "pinv_by_svd(Tensor A, Tensor? atol, Tensor? rtol, bool hermitian) -> Tensor", variants = "internal",
    grad = { A = "sum_to_size(pinv_backward(grad, A, result), A.shape)" } }
op{ "lstsq_solve(Tensor self, Tensor b, float? rcond, bool by_svd) -> \z
     (Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)", variants = "internal",
    nondiff = "residuals rank singular_values",
    grad = { ["self, b"] = "lstsq_backward(grad_solution, self, b, grad_mask)" } }

-- --- inverse and determinant --------------------------------------------------------------------------------

op{ "inv(Tensor A) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out",
    grad = { A = "neg(matmul(mat_adjoint(result), matmul(grad, mat_adjoint(result))))" },
    cases = { "(3,3)s", "(2,3,3)s", "(0,0)", "(0,3,3)" },
    doc = "The inverse of a square matrix; an error when it is singular.",
    example = "torch.linalg.inv(torch.tensor{{2., 0.}, {0., 4.}})" }
op{ "inv_ex(Tensor A, *, bool check_errors=false) -> (Tensor inverse, Tensor info)", module = "linalg",
    autocast = "fp32", variants = "function out", nondiff = "info",
    grad = { A = "neg(matmul(mat_adjoint(inverse), matmul(grad, mat_adjoint(inverse))))" },
    cases = { "(3,3)s", "(2,3,3)s" },
    doc = "The inverse, and for each matrix 0 or the number of the pivot that is zero, where inv would raise an error.",
    example = "torch.linalg.inv_ex(torch.tensor{{2., 0.}, {0., 4.}})" }
op{ "inverse(Tensor self) -> Tensor", autocast = "fp32", composite = "linalg_inv(self)", cases = { "(3,3)s" },
    doc = "The inverse of a square matrix: linalg.inv.", example = "torch.inverse(torch.tensor{{2., 0.}, {0., 4.}})" }
op{ "det(Tensor A) -> Tensor", module = "linalg", variants = "function out",
    grad = { A = "det_backward(grad, A, result)" },
    cases = { "(3,3)", "(2,3,3)", "(0,0)", "(1,1)", "(4,4)t" },
    doc = "The determinant.", example = "torch.linalg.det(torch.tensor{{1., 2.}, {3., 4.}})" }
op{ "det(Tensor self) -> Tensor", composite = "linalg_det(self)", cases = { "(3,3)" },
    doc = "The determinant: linalg.det.", example = "torch.det(torch.tensor{{1., 2.}, {3., 4.}})" }
op{ "slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet)", module = "linalg", variants = "function out",
    grad = { A = "slogdet_backward(grad_sign, grad_logabsdet, A, sign)" }, cases = { "(3,3)", "(2,3,3)", "(0,0)" },
    doc = "The sign (or phase) of the determinant and the logarithm of its modulus.",
    example = "torch.linalg.slogdet(torch.tensor{{1., 2.}, {3., 4.}})" }
op{ "slogdet(Tensor self) -> (Tensor sign, Tensor logabsdet)", variants = "function method out", composite = "linalg_slogdet(self)", cases = { "(3,3)" },
    doc = "linalg.slogdet.", example = "torch.slogdet(torch.tensor{{1., 2.}, {3., 4.}})" }
op{ "logdet(Tensor self) -> Tensor", kind = "composite", cases = { "(3,3)s", "(2,3,3)s" },
    doc = "The logarithm of the determinant; NaN when that is negative.",
    example = "torch.logdet(torch.tensor{{2., 0.}, {0., 4.}})" }

-- --- systems ---------------------------------------------------------------------------------------------------

op{ "solve(Tensor A, Tensor B, *, bool left=true) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out",
    grad = { ["A, B"] = "solve_backward(grad, A, B.shape, result, left, grad_mask)" },
    cases = { "(3,3)s, (3,2)", "(3,3)s, (3)", "(2,3,3)s, (2,3,2)", "(2,3,3)s, (2,3)", "(3,3)s, (2,3,4)",
              "(3,3)s, (2,3), left=false", "(0,0), (0,2)" },
    doc = "X with A X = B (X A = B when not left). B holds matrices, or one vector per matrix of A.",
    example = "torch.linalg.solve(torch.tensor{{2., 0.}, {0., 4.}}, torch.tensor{1., 1.})" }
op{ "solve_ex(Tensor A, Tensor B, *, bool left=true, bool check_errors=false) -> (Tensor result, Tensor info)",
    module = "linalg", variants = "function out", nondiff = "info",
    grad = { ["A, B"] = "solve_backward(grad, A, B.shape, result, left, grad_mask)" },
    cases = { "(3,3)s, (3,2)", "(2,3,3)s, (2,3)" },
    doc = "solve, and for each matrix 0 or the number of the pivot that is zero.",
    example = "torch.linalg.solve_ex(torch.tensor{{2., 0.}, {0., 4.}}, torch.tensor{1., 1.})" }
op{ "solve_triangular(Tensor A, Tensor B, *, bool upper, bool left=true, bool unitriangular=false) -> Tensor",
    module = "linalg", variants = "function out",
    grad = { A = "triangular_backward_a(grad, A, result, upper, left, unitriangular)",
             B = "triangular_backward_b(grad, A, B.shape, upper, left, unitriangular)" },
    cases = { "(3,3)s, (3,2), upper=true", "(2,3,3)s, (2,3,2), upper=false", "(3,3)s, (2,3), upper=true, left=false",
              "(3,3)s, (3,2), upper=false, unitriangular=true" },
    doc = "X with A X = B for a triangular A; only its named triangle is read.",
    example = "torch.linalg.solve_triangular(torch.tensor{{2., 1.}, {0., 4.}}, torch.tensor{{1.}, {1.}}, {upper = true})" }
op{ "triangular_solve(Tensor self, Tensor A, bool upper=true, bool transpose=false, bool unitriangular=false) -> \z
     (Tensor solution, Tensor cloned_coefficient)", autocast = "fp32", variants = "function method out", kind = "composite",
    cases = { "(3,2), (3,3)s", "(3,2), (3,3)s, false, true" },
    doc = "X with A X = self for a triangular A, and a copy of A.",
    example = "torch.triangular_solve(torch.tensor{{1.}, {1.}}, torch.tensor{{2., 1.}, {0., 4.}})" }
op{ "lstsq(Tensor self, Tensor b, float? rcond=nil, *, str? driver=nil) -> \z
     (Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)", module = "linalg", autocast = "fp32", variants = "function out",
    kind = "composite", cases = { "(4,3), (4,2)", "(2,4,3), (2,4,2)", "(3,4), (3,2)", "(4,3), (4,2), driver='gelsd'", "(4,3), (4), driver='gels'" },
    doc = "The X that makes self X - b smallest, its squared residuals, the ranks and (drivers gelsd, gelss) the singular values.",
    example = "torch.linalg.lstsq(torch.tensor{{1., 0.}, {1., 1.}, {1., 2.}}, torch.tensor{{1.}, {3.}, {5.}})" }
op{ "lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=true, bool adjoint=false) -> Tensor", module = "linalg",
    variants = "function out", kind = "composite",
    doc = "X with A X = B from the LU factors of A that lu_factor gave.",
    example = "LU, pivots = torch.linalg.lu_factor(torch.tensor{{2., 0.}, {0., 4.}}); torch.linalg.lu_solve(LU, pivots, torch.ones(2, 1))" }
op{ "lu_solve(Tensor self, Tensor LU_data, Tensor LU_pivots) -> Tensor",
    autocast = "fp32", variants = "function method out", composite = "linalg_lu_solve(LU_data, LU_pivots, self)",
    doc = "linalg.lu_solve, the right-hand sides first.",
    example = "torch.lu_solve(torch.ones(2, 1), torch.linalg.lu_factor(torch.tensor{{2., 0.}, {0., 4.}}))" }
op{ "cholesky_solve(Tensor self, Tensor input2, bool upper=false) -> Tensor",
    autocast = "fp32", variants = "function method out", grad = { self = "sum_to_size(cholesky_solve(grad, input2, upper), self.shape)",
             input2 = "cholesky_solve_backward(grad, result, input2, upper)" },
    cases = { "(3,2), (3,3)s", "(3,2), (3,3)s, true" },
    doc = "X with A X = self from the Cholesky factor input2 of A.",
    example = "torch.cholesky_solve(torch.ones(2, 1), torch.tensor{{2., 0.}, {1., 1.}})" }
op{ "cholesky_inverse(Tensor self, bool upper=false) -> Tensor",
    autocast = "fp32", variants = "function method out",
    grad = { self = "cholesky_inverse_backward(grad, result, self, upper)" }, cases = { "(3,3)s", "(3,3)s, true" },
    doc = "The inverse of A from its Cholesky factor.",
    example = "torch.cholesky_inverse(torch.tensor{{2., 0.}, {1., 1.}})" }
op{ "pinv(Tensor self, *, Tensor? atol=nil, Tensor? rtol=nil, bool hermitian=false) -> Tensor", module = "linalg",
    variants = "function out", kind = "composite",
    cases = { "(3,3)s", "(4,3)", "(3,4)", "(2,3,4)", "(3,3)s, hermitian=true", "(2,4,3), rtol=0.5", "(2,4,3), atol=(2,)p" },
    doc = "The pseudo-inverse; singular values up to the larger of atol and rtol times the largest count as 0. Tolerances are \z
           numbers or tensors of the batch's shape; hermitian: only the lower triangle is read.",
    example = "torch.linalg.pinv(torch.tensor{{1., 0.}, {0., 2.}, {0., 0.}})" }
op{ "pinv.rcond(Tensor self, Tensor rcond, bool hermitian=false) -> Tensor", module = "linalg", variants = "function out",
    kind = "composite", cases = { "(4,3), 0.1" },
    doc = "The pseudo-inverse with rtol = rcond.", example = "torch.linalg.pinv(torch.eye(2), 1e-3)" }
op{ "pinverse(Tensor self, float rcond=1e-15) -> Tensor", autocast = "fp32", composite = "linalg_pinv(self, nil, rcond, false)",
    cases = { "(4,3)" }, doc = "The pseudo-inverse.", example = "torch.pinverse(torch.tensor{{1., 0.}, {0., 2.}, {0., 0.}})" }

-- --- decompositions ----------------------------------------------------------------------------------------------

op{ "cholesky(Tensor self, *, bool upper=false) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out",
    grad = { self = "cholesky_backward(grad, result, upper)" },
    cases = { "(3,3)s", "(2,3,3)s", "(3,3)s, upper=true", "(0,0)" },
    doc = "The lower triangular L with self = L L^H (the upper U with U^H U when upper); an error unless self is positive definite.",
    example = "torch.linalg.cholesky(torch.tensor{{4., 2.}, {2., 5.}})" }
op{ "cholesky_ex(Tensor self, *, bool upper=false, bool check_errors=false) -> (Tensor L, Tensor info)",
    module = "linalg", autocast = "fp32", variants = "function out", nondiff = "info", grad = { self = "cholesky_backward(grad, L, upper)" },
    cases = { "(3,3)s", "(2,3,3)s" },
    doc = "The Cholesky factor, and for each matrix 0 or the order of the leading minor that is not positive.",
    example = "torch.linalg.cholesky_ex(torch.tensor{{4., 2.}, {2., 5.}})" }
op{ "householder_product(Tensor self, Tensor tau) -> Tensor", module = "linalg", autocast = "fp32", variants = "function", kind = "composite",
    cases = { "(4,3), (3)", "(2,4,4), (2,2)" },
    doc = "The first columns of the product of Householder reflectors, as geqrf leaves them below the diagonal.",
    example = "torch.linalg.householder_product(torch.tensor{{1., 0.}, {0., 1.}}, torch.zeros(2))" }
op{ "reflectors_product(Tensor self, Tensor tau) -> Tensor", variants = "internal", grad = "none" }
op{ "cholesky(Tensor self, bool upper=false) -> Tensor", autocast = "fp32", composite = "linalg_cholesky(self, upper=upper)",
    cases = { "(3,3)s", "(3,3)s, true" }, doc = "The Cholesky factor: linalg.cholesky.",
    example = "torch.cholesky(torch.tensor{{4., 2.}, {2., 5.}})" }
op{ "qr(Tensor A, str mode='reduced') -> (Tensor Q, Tensor R)", module = "linalg", autocast = "fp32", variants = "function out",
    grad = { A = "qr_backward(grad_Q, grad_R, Q, R, mode)" },
    cases = { "(4,3)", "(3,3)", "(3,4)", "(2,4,3)", "(3,4), 'complete'", "(0,3)" },
    doc = "A = Q R with orthonormal columns in Q and upper triangular R; mode is 'reduced', 'complete' or 'r' (R only).",
    example = "torch.linalg.qr(torch.tensor{{3., 1.}, {4., 2.}})" }
op{ "qr(Tensor self, bool some=true) -> (Tensor Q, Tensor R)",
    variants = "function method out", composite = "linalg_qr(self, some ? 'reduced' : 'complete')", cases = { "(4,3)" },
    doc = "The QR decomposition: linalg.qr.", example = "torch.qr(torch.tensor{{3., 1.}, {4., 2.}})" }
op{ "lu_factor(Tensor A, *, bool pivot=true) -> (Tensor LU, Tensor pivots)", module = "linalg", variants = "function out",
    nondiff = "pivots", grad = { A = "lu_backward(grad, LU, pivots)" },
    cases = { "(3,3)", "(2,3,3)", "(4,3)", "(3,4)" },
    doc = "The factors of A = P L U in one matrix (L's unit diagonal left out), and the row swaps, counted from 1 as LAPACK does.",
    example = "torch.linalg.lu_factor(torch.tensor{{1., 2.}, {3., 4.}})" }
op{ "lu_factor_ex(Tensor A, *, bool pivot=true, bool check_errors=false) -> (Tensor LU, Tensor pivots, Tensor info)",
    module = "linalg", variants = "function out", nondiff = "pivots info", grad = { A = "lu_backward(grad, LU, pivots)" },
    cases = { "(3,3)", "(2,4,3)" },
    doc = "lu_factor, and for each matrix 0 or the number of the pivot that is zero.",
    example = "torch.linalg.lu_factor_ex(torch.tensor{{1., 2.}, {3., 4.}})" }
op{ "lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=true, bool unpack_pivots=true) -> \z
     (Tensor P, Tensor L, Tensor U)", variants = "function out", kind = "composite",
    doc = "P, L and U from what lu_factor gave.",
    example = "torch.lu_unpack(torch.linalg.lu_factor(torch.tensor{{1., 2.}, {3., 4.}}))" }
op{ "lu(Tensor A, *, bool pivot=true) -> (Tensor P, Tensor L, Tensor U)", module = "linalg", variants = "function out",
    kind = "composite", cases = { "(3,3)", "(2,4,3)", "(3,4)" },
    doc = "A = P L U: a permutation, a lower triangle of unit diagonal, an upper triangle.",
    example = "torch.linalg.lu(torch.tensor{{1., 2.}, {3., 4.}})" }
op{ "svd(Tensor A, bool full_matrices=true) -> (Tensor U, Tensor S, Tensor Vh)", module = "linalg", autocast = "fp32", variants = "function out",
    grad = { A = "svd_backward(grad_U, grad_S, grad_Vh, U, S, Vh)" },
    cases = { "(4,3), false", "(3,4), false" },
    doc = "A = U diag(S) Vh with the singular values S in descending order.",
    example = "torch.linalg.svd(torch.tensor{{3., 0.}, {0., 4.}})" }
op{ "svdvals(Tensor A) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out", kind = "composite",
    cases = { "(4,3)", "(3,4)", "(2,3,3)", "(0,3)" },
    doc = "The singular values, in descending order.", example = "torch.linalg.svdvals(torch.tensor{{3., 0.}, {0., 4.}})" }
op{ "svd(Tensor self, bool some=true, bool compute_uv=true) -> (Tensor U, Tensor S, Tensor V)",
    autocast = "fp32", variants = "function method out", kind = "composite",
    doc = "self = U diag(S) V^H (mind: V, where linalg.svd gives V^H).",
    example = "torch.svd(torch.tensor{{3., 0.}, {0., 4.}})" }
op{ "eigh(Tensor self, str UPLO='L') -> (Tensor eigenvalues, Tensor eigenvectors)", module = "linalg",
    autocast = "fp32", variants = "function out",
    grad = { self = "eigh_backward(grad_eigenvalues, grad_eigenvectors, eigenvalues, eigenvectors)" },
    doc = "Eigenvalues (ascending) and eigenvectors (columns) of a Hermitian matrix, of which one triangle is read.",
    example = "torch.linalg.eigh(torch.tensor{{2., 1.}, {1., 2.}})" }
op{ "eigvalsh(Tensor self, str UPLO='L') -> Tensor", module = "linalg", autocast = "fp32", variants = "function out", kind = "composite",
    cases = { "(3,3)s", "(2,3,3)s" },
    doc = "The eigenvalues of a Hermitian matrix, ascending.",
    example = "torch.linalg.eigvalsh(torch.tensor{{2., 1.}, {1., 2.}})" }
op{ "eig(Tensor self) -> (Tensor eigenvalues, Tensor eigenvectors)", module = "linalg", autocast = "fp32", variants = "function out",
    grad = { self = "eig_backward(grad_eigenvalues, grad_eigenvectors, eigenvalues, eigenvectors)" },
    doc = "Eigenvalues and eigenvectors (columns) of any square matrix; always complex.",
    example = "torch.linalg.eig(torch.tensor{{0., -1.}, {1., 0.}})" }
op{ "eigvals(Tensor self) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out", kind = "composite",
    doc = "The eigenvalues of any square matrix; always complex.",
    example = "torch.linalg.eigvals(torch.tensor{{0., -1.}, {1., 0.}})" }
op{ "matrix_exp(Tensor A) -> Tensor", module = "linalg", autocast = "off", variants = "function", kind = "composite",
    cases = { "(3,3)", "(2,3,3)", "(1,1)", "(4,4)s" },
    doc = "The exponential of a square matrix.", example = "torch.linalg.matrix_exp(torch.tensor{{0., 1.}, {0., 0.}})" }
op{ "matrix_exp(Tensor self) -> Tensor", composite = "linalg_matrix_exp(self)", cases = { "(3,3)" },
    doc = "The exponential of a square matrix.", example = "torch.matrix_exp(torch.tensor{{0., 1.}, {0., 0.}})" }

-- --- norms ----------------------------------------------------------------------------------------------------------

op{ "norm(Tensor self, Scalar? ord=nil, int[1]? dim=nil, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    module = "linalg", variants = "function out", kind = "composite",
    cases = { "(4)", "(3,4)", "(3,4), 1", "(3,4), 2", "(4), 3", "(2,3,4), nil, [0, 1]", "(2,3,4), 1, [1, 2], true", "(3,4), 1, 1" },
    doc = "A vector norm, or a matrix norm when dim names two dims (or self is a matrix and ord is given).",
    example = "torch.linalg.norm(torch.tensor{3., 4.})" }
op{ "norm.ord_str(Tensor self, str ord, int[1]? dim=nil, bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    module = "linalg", variants = "function out", kind = "composite", cases = { "(3,4), 'fro'", "(3,4), 'nuc'" },
    doc = "The matrix norm named 'fro' or 'nuc'.", example = "torch.linalg.norm(torch.ones(2, 2), 'fro')" }
op{ "matrix_norm(Tensor self, Scalar ord, int[] dim=[-2, -1], bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    module = "linalg", variants = "function out", kind = "composite",
    cases = { "(3,4), 1", "(3,4), -1", "(3,4), 2", "(3,4), -2", "(2,3,4), 1, [0, 2]", "(2,3,4), 2, [1, 2], true" },
    doc = "The matrix norm of order 1, -1, 2, -2, inf or -inf.", example = "torch.linalg.matrix_norm(torch.ones(2, 2), 1)" }
op{ "matrix_norm.str_ord(Tensor self, str ord='fro', int[] dim=[-2, -1], bool keepdim=false, *, dtype? dtype=nil) -> Tensor",
    module = "linalg", variants = "function out", kind = "composite",
    cases = { "(3,4)", "(2,3,4), 'nuc'", "(2,3,4), 'fro', [0, 1], true" },
    doc = "The matrix norm named 'fro' or 'nuc'.", example = "torch.linalg.matrix_norm(torch.ones(2, 2))" }
op{ "matrix_rank(Tensor self, *, Tensor? atol=nil, Tensor? rtol=nil, bool hermitian=false) -> Tensor", module = "linalg",
    autocast = "fp32", variants = "function out", kind = "composite",
    cases = { "(3,4)", "(2,3,3)", "(3,3)s, hermitian=true", "(2,3,3), rtol=0.3", "(2,3,3), atol=(2,)p" },
    doc = "The number of singular values above the larger of atol and rtol times the largest. Tolerances are numbers or \z
           tensors of the batch's shape.",
    example = "torch.linalg.matrix_rank(torch.ones(3, 3))" }
op{ "matrix_rank.tol(Tensor self, Tensor tol, bool hermitian=false) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out",
    kind = "composite", cases = { "(3,4), 0.5" },
    doc = "matrix_rank with atol = tol and rtol = 0.", example = "torch.linalg.matrix_rank(torch.ones(3, 3), 0.1)" }
op{ "cond(Tensor self, Scalar? p=nil) -> Tensor", module = "linalg", autocast = "fp32", variants = "function", kind = "composite",
    cases = { "(3,3)s", "(3,3)s, 1", "(4,3), 2", "(4,3), -2" },
    doc = "The condition number: the norm of self times the norm of its inverse.",
    example = "torch.linalg.cond(torch.tensor{{1., 0.}, {0., 100.}})" }
op{ "cond.p_str(Tensor self, str p) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out", kind = "composite",
    cases = { "(3,3)s, 'fro'", "(3,3)s, 'nuc'" },
    doc = "The condition number in the norm 'fro' or 'nuc'.",
    example = "torch.linalg.cond(torch.tensor{{1., 0.}, {0., 100.}}, 'fro')" }

-- --- products along a dim, distances -----------------------------------------------------------------------------------

op{ "matmul(Tensor self, Tensor other) -> Tensor", module = "linalg", variants = "function",
    composite = "matmul(self, other)", cases = { "(3,4), (4,5)" },
    doc = "torch.matmul.", example = "torch.linalg.matmul(torch.ones(2, 3), torch.ones(3, 4)).shape" }
op{ "diagonal(Tensor A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor", module = "linalg",
    variants = "function", composite = "diagonal(A, offset, dim1, dim2)", cases = { "(3,4)", "(2,3,3), offset=1" },
    doc = "torch.diagonal of the last two dims.", example = "torch.linalg.diagonal(torch.ones(2, 2))" }
op{ "tensorinv(Tensor self, int ind=2) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out", kind = "composite",
    cases = { "(2,3,6)", "(6,2,3), 1" },
    doc = "The inverse with respect to tensordot over ind dims.",
    example = "torch.linalg.tensorinv(torch.eye(4):reshape(2, 2, 4)).shape" }
op{ "tensorsolve(Tensor self, Tensor other, int[]? dims=nil) -> Tensor", module = "linalg", autocast = "fp32", variants = "function out",
    kind = "composite", cases = { "(2,3,6), (2,3)", "(2,6,3), (2,3), [1]" },
    doc = "X with tensordot(self, X, X.ndim) = other; dims are moved to the end of self first.",
    example = "torch.linalg.tensorsolve(torch.eye(4):reshape(2, 2, 4), torch.ones(2, 2))" }
op{ "vander(Tensor x, *, int? N=nil) -> Tensor", module = "linalg", variants = "function", kind = "composite",
    cases = { "(3)", "(2,3), N=4" },
    doc = "Rows of powers 0 .. N-1 of the elements of x.", example = "torch.linalg.vander(torch.tensor{1., 2., 3.})" }
op{ "vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor", module = "linalg", autocast = "lower_precision_fp", variants = "function out", kind = "composite",
    cases = { "(3,4), (3,4)", "(3,4), (4)", "(3,4), (3,4), dim=0" },
    doc = "Dot products along a dim, x conjugated.", example = "torch.linalg.vecdot(torch.ones(2, 3), torch.ones(3))" }
op{ "cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor", module = "linalg", variants = "function out",
    kind = "composite", cases = { "(3), (3)", "(2,3), (2,3)", "(2,3), (1,3)", "(3,4), (3,4), dim=0" },
    doc = "Cross products of vectors of 3 elements along a dim.",
    example = "torch.linalg.cross(torch.tensor{1., 0., 0.}, torch.tensor{0., 1., 0.})" }
op{ "cross(Tensor self, Tensor other, int? dim=nil) -> Tensor", variants = "function method out", kind = "composite",
    cases = { "(3), (3)", "(2,3), (2,3)", "(3,4), (3,4)" },
    doc = "Cross products along dim, or along the first dim of size 3.",
    example = "torch.cross(torch.tensor{1., 0., 0.}, torch.tensor{0., 1., 0.})" }
--- Distances between the rows of contiguous batches of matrices, (batch, rows, columns) of float32 or float64; by a
--- matrix product when product is true and p is 2.
op{ "pair_distances(Tensor x1, Tensor x2, float p, bool product) -> Tensor", variants = "internal", node = "CdistBackward0",
    grad = { x1 = "pair_distances_backward(grad, x1, x2, result, p, product)",
      x2 = "pair_distances_backward(transpose(grad, -1, -2), x2, x1, transpose(result, -1, -2), p, product)" } }
op{ "pair_distances_backward(Tensor grad, Tensor x1, Tensor x2, Tensor result, float p, bool product) -> Tensor",
    variants = "internal", kind = "composite" }
--- The same without a gradient of its own, for 0 < p < inf: nothing of the size of all differences is made.
op{ "pair_distances_slope(Tensor grad, Tensor x1, Tensor x2, Tensor result, float p) -> Tensor", variants = "internal",
    grad = "none" }
op{ "cdist(Tensor x1, Tensor x2, float p=2, \z
     str compute_mode='use_mm_for_euclid_dist_if_necessary') -> Tensor", autocast = "fp32", variants = "function", kind = "composite",
    cases = { "(3,4), (5,4)", "(2,3,4), (2,5,4), 1.0", "(3,4), (5,4), 3.0", "(30,3), (70,3)",
              "(2,1,26,5), (3,4,5), 2.0, 'use_mm_for_euclid_dist'", "(3,4), (66,4), 0.0", "(3,4), (5,4), inf",
              "(4,0), (5,0)" },
    doc = "The distances (of order p) between each row of x1 and each row of x2.",
    example = "torch.cdist(torch.zeros(2, 3), torch.ones(4, 3))" }
--- The distances of each row of a matrix from those after it, all in one row.
op{ "distances_of_rows(Tensor self, float p) -> Tensor", variants = "internal", node = "PdistBackward0",
    grad = { self = "distances_of_rows_backward(grad, self, result, p)" } }
op{ "distances_of_rows_backward(Tensor grad, Tensor self, Tensor result, float p) -> Tensor", variants = "internal",
    kind = "composite" }
--- The same without a gradient of its own, for 0 < p < inf.
op{ "distances_of_rows_slope(Tensor grad, Tensor self, Tensor result, float p) -> Tensor", variants = "internal",
    grad = "none" }
op{ "pdist(Tensor self, float p=2) -> Tensor", module = "torch nn.functional", variants = "function", kind = "composite",
    cases = { "(4,3)", "(4,3), 1.0" },
    doc = "The distances between all pairs of rows.", example = "torch.pdist(torch.tensor{{0., 0.}, {3., 4.}, {0., 1.}})" }
