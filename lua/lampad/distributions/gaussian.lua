-- Linear algebra of distributions with covariance matrices: factors, quadratic forms and determinants, in batches that
-- broadcast.
local core = require "lampad.core"
local args = require "lampad.args"
local shapes = require "lampad.distributions.shapes"

local torch = core.torch
local M = {}

--- The name and the matrix of the one given of the three.
function M.one_matrix(what, covariance, precision, scale_tril)
  local name, matrix, count = nil, nil, 0
  for key, value in pairs { covariance_matrix = covariance, precision_matrix = precision, scale_tril = scale_tril } do
    name, matrix, count = key, value, count + 1
  end
  if count ~= 1 then
    args.fail(what, "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
  end
  return name, matrix
end

--- The lower Cholesky factor of the covariance that the matrix of that name stands for.
function M.scale_tril(name, matrix)
  if name == "scale_tril" then return matrix end
  if name == "covariance_matrix" then return torch.linalg.cholesky(matrix) end
  -- With P turned by 180 degrees = F F^T, the turned F is an upper U with P = U U^T, and (U^T)^-1 the factor of P^-1.
  local upper = torch.linalg.cholesky(matrix:flip { -2, -1 }):flip { -2, -1 }
  local identity = torch.eye(matrix:size(-1), { dtype = matrix.dtype, device = matrix.device })
  return torch.linalg.solve_triangular(upper.mT, identity, { upper = false })
end

--- Products of matrices (..., n, m) and vectors (..., m).
function M.multiply(matrix, vector) return matrix:matmul(vector:unsqueeze(-1)):squeeze(-1) end

--- x^T (L L^T)^-1 x for factors L (..., n, n) and vectors x (..., n).
function M.mahalanobis(L, x)
  local batch, n, dims = shapes.slice(L.shape, 0, -2), x:size(-1), x.ndim - 1
  if dims < #batch or shapes.slice(x.shape, dims - #batch, dims) ~= batch then
    return torch.linalg.solve_triangular(L, x:unsqueeze(-1), { upper = false }):pow(2):sum { -2, -1 }
  end
  -- The vectors in front of L's batch are the columns of one solve for each L.
  local count = shapes.slice(x.shape, 0, dims - #batch):numel()
  local columns = x:reshape(torch.Size { count } .. batch .. { n }):movedim(0, -1)
  local squares = torch.linalg.solve_triangular(L, columns, { upper = false }):pow(2):sum(-2)
  return squares:movedim(-1, 0):reshape(shapes.slice(x.shape, 0, -1))
end

--- Half of log det(L L^T).
function M.half_log_det(L) return L:diagonal(0, -2, -1):log():sum(-1) end

--- tr(X X^T).
function M.trace_square(X) return X:pow(2):sum { -2, -1 } end

--- The Cholesky factor of I + W^T D^-1 W for W (..., n, m) and the diagonals D (..., n).
function M.capacitance_tril(W, D)
  local K = (W.mT / D:unsqueeze(-2)):matmul(W)
  return torch.linalg.cholesky(K + torch.eye(K:size(-1), { dtype = K.dtype, device = K.device }))
end

--- log det(W W^T + D), by the matrix determinant lemma.
function M.low_rank_log_det(D, capacitance) return 2 * M.half_log_det(capacitance) + D:log():sum(-1) end

--- x^T (W W^T + D)^-1 x, by the Woodbury identity.
function M.low_rank_mahalanobis(W, D, x, capacitance)
  local projected = M.multiply(W.mT / D:unsqueeze(-2), x)
  return (x:pow(2) / D):sum(-1) - M.mahalanobis(capacitance, projected)
end

return M
