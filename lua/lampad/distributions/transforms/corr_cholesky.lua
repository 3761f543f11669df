-- torch.distributions.CorrCholeskyTransform: vectors of D (D - 1) / 2 numbers to Cholesky factors of correlation matrices.
-- Row by row: partial correlations tanh(x) break the unit length of the row as sticks break (Stan reference manual,
-- "Cholesky factors of correlation matrices").
local core = require "lampad.core"
local args = require "lampad.args"
local F = require "lampad.nn.functional"
local constraints = require "lampad.distributions.constraints"
local shapes = require "lampad.distributions.shapes"
local utils = require "lampad.distributions.utils"
local Transform = require "lampad.distributions.transforms.transform"

local torch = core.torch

--- CorrCholeskyTransform{cache_size}.
local CorrCholesky = Transform:extend "CorrCholeskyTransform"
CorrCholesky.domain, CorrCholesky.codomain = constraints.real_vector, constraints.corr_cholesky
CorrCholesky.bijective = true

-- Rows moved right by one, 1 in the first column.
local function shift(rows) return F.pad(rows:narrow(-1, 0, rows:size(-1) - 1), { 1, 0 }, { value = 1 }) end

function CorrCholesky:_call(x)
  local eps = torch.finfo(x.dtype).eps
  local r = utils.vec_to_tril_matrix(x:tanh():clamp { min = -1 + eps, max = 1 - eps }, -1)
  local rest = (1 - r:pow(2)):sqrt():cumprod(-1)
  return (r + torch.eye(r:size(-1), { dtype = r.dtype, device = r.device })) * shift(rest)
end

function CorrCholesky:_inverse(y)
  local rest = shift(1 - (y * y):cumsum(-1))
  local r = utils.tril_matrix_to_vec(y, -1) / utils.tril_matrix_to_vec(rest, -1):sqrt()
  return (r:log1p() - (-r):log1p()) / 2
end

--- Of x and the part of y below the diagonal.
function CorrCholesky:log_abs_det_jacobian(x, y)
  local rest = utils.tril_matrix_to_vec(1 - (y * y):cumsum(-1), -2)
  return 0.5 * rest:log():sum(-1) - 2 * (x + F.softplus(-2 * x) - math.log(2)):sum(-1)
end

function CorrCholesky:forward_shape(shape)
  if #shape < 1 then args.fail(self.__name, "Too few dimensions on input") end
  local n = shape[-1]
  local D = math.floor(math.sqrt(0.25 + 2 * n) + 1)
  if D * (D - 1) // 2 ~= n then args.fail(self.__name, "Input is not a flattened lower-diagonal number") end
  return shapes.slice(shape, 0, -1) .. { D, D }
end

function CorrCholesky:inverse_shape(shape)
  if #shape < 2 then args.fail(self.__name, "Too few dimensions on input") end
  if shape[-2] ~= shape[-1] then args.fail(self.__name, "Input is not square") end
  return shapes.slice(shape, 0, -2) .. { shape[-1] * (shape[-1] - 1) // 2 }
end

return CorrCholesky
