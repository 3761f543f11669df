-- What the specs of torch.distributions share: the golden records (tests/golden/distributions, written by
-- scripts/gen/golden_distributions.py) as tensors and objects, and comparisons with them.
local torch = require "lampad"
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

local M = {}

function M.load(name) return dofile(here .. "/../golden/distributions/" .. name .. ".lua") end

local function is_record(v) return type(v) == "table" and type(v[1]) == "string" and torch[v[1]] ~= nil and #v == 3 end
M.is_record = is_record

--- The tensor of a record {dtype, shape, values}.
function M.tensor(record)
  local dtype, shape, values = torch[record[1]], record[2], record[3]
  if #values == 0 then return torch.empty(shape, { dtype = dtype }) end
  return torch.tensor(values, { dtype = dtype }):reshape(shape)
end

--- The parameters of a record (leaves that require gradients where the record says so), and the object its code makes.
local coarsest -- the dtype of the last record's parameters that rounds most
function M.make(record)
  local P = {}
  coarsest = nil
  for i, param in ipairs(record.params) do
    P[i] = M.tensor(param[1])
    if param[1][1] == "float32" then coarsest = "float32" end
    if param[2] then P[i]:requires_grad_(true) end
  end
  local chunk = assert(load("local D, P = ...; return " .. record.code, "=golden", "t"))
  return chunk(torch.distributions, P), P
end

local tolerances = { float32 = { 2e-5, 2e-6 }, float64 = { 1e-8, 1e-10 } }

--- Raises unless the tensor has the record's dtype, shape and values, within tolerances of the dtype times `slack`.
function M.close(record, got, what, slack)
  local expected = M.tensor(record)
  if not torch.is_tensor(got) then error(("%s: expected a tensor, got %s"):format(what, tostring(got)), 2) end
  if got.dtype ~= expected.dtype or got.shape ~= expected.shape then
    error(("%s: expected %s %s, got %s %s"):format(what, tostring(expected.dtype), tostring(expected.shape),
      tostring(got.dtype), tostring(got.shape)), 2)
  end
  local tolerance = tolerances[record[1] == "float64" and coarsest or record[1]] or { 0, 0 }
  local a, b = record[3], got:detach():reshape(-1):tolist()
  for i = 1, #a do
    local x, y = a[i], b[i]
    local same = x == y or (x ~= x and y ~= y)
    if not same and type(x) == "number" then
      same = math.abs(x - y) <= (tolerance[1] * math.abs(x) + tolerance[2]) * (slack or 1)
    end
    if not same then
      error(("%s: element %d is %s, expected %s"):format(what, i - 1, tostring(y), tostring(x)), 2)
    end
  end
end

--- The gradients of the sum of y's elements, weighted with cos(0), cos(1), ..., by the leaves among `params`.
function M.gradients(y, params)
  local leaves = {}
  for _, p in ipairs(params) do
    if p.requires_grad then leaves[#leaves + 1] = p end
  end
  local weights = torch.cos(torch.arange(y:numel(), { dtype = torch.float64 })):reshape(y.shape):to(y.dtype)
  local grads = { torch.autograd.grad((y * weights):sum(), leaves, { allow_unused = true, retain_graph = true }) }
  for i, leaf in ipairs(leaves) do grads[i] = grads[i] or torch.zeros_like(leaf) end
  return grads
end

--- Compares the gradients with a list of records.
function M.close_gradients(records, y, params, what, slack)
  local grads = M.gradients(y, params)
  for i, record in ipairs(records) do M.close(record, grads[i], ("%s by parameter %d"):format(what, i), slack) end
end

--- A message without the place and the name in front.
function M.bare(message)
  return (message:gsub("^[^\n]-:%d+: ", "", 1):gsub("^[%a_][%w_%.]*: ", "", 1))
end

return M
