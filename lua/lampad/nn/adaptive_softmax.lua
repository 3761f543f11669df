-- nn.AdaptiveLogSoftmaxWithLoss (Grave et al. 2017): frequent classes in the head, the others in clusters.
local core = require "lampad.core"
local args = require "lampad.args"
local Module = require "lampad.nn.module"
local Linear = require "lampad.nn.linear"
local containers = require "lampad.nn.containers"
local F = require "lampad.nn.functional"

local torch = core.torch
local Adaptive = Module:extend "AdaptiveLogSoftmaxWithLoss"
local spec = args [[AdaptiveLogSoftmaxWithLoss(int in_features, int n_classes, ints cutoffs, float div_value=4.0,
  bool head_bias=false, device device=nil, dtype dtype=nil)]]

--- cutoffs {a, b, ...}: classes [0, a) are in the head, [a, b) in the first cluster, ...; a cluster's hidden
--- size is in_features / div_value^k. forward(input, target) gives the log probabilities of the targets and
--- their mean, negated.
function Adaptive:init(...)
  local in_features, n_classes, cutoffs, div_value, head_bias, device, dtype = spec(...)
  if type(cutoffs) ~= "table" then cutoffs = { cutoffs } end
  if #cutoffs == 0 then args.fail("AdaptiveLogSoftmaxWithLoss", "cutoffs should be a sequence of length larger than 0") end
  local bounds, before = {}, 0
  for i, cutoff in ipairs(cutoffs) do
    if cutoff <= before or cutoff > n_classes - 1 then
      args.fail("AdaptiveLogSoftmaxWithLoss",
        "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is "
        .. "between 1 and n_classes-1, got %d", cutoff)
    end
    bounds[i], before = cutoff, cutoff
  end
  bounds[#bounds + 1] = n_classes
  local options = { device = device, dtype = dtype }
  self:_set {
    in_features = in_features, n_classes = n_classes, cutoffs = bounds, div_value = div_value, head_bias = head_bias,
    shortlist_size = bounds[1], n_clusters = #bounds - 1, head_size = bounds[1] + #bounds - 1,
  }
  self.head = Linear(in_features, self.head_size, { bias = head_bias, device = device, dtype = dtype })
  local tail = containers.ModuleList()
  for i = 1, self.n_clusters do
    local hidden = math.floor(in_features // div_value ^ i)
    options.bias = false
    tail:append(containers.Sequential(Linear(in_features, hidden, options),
      Linear(hidden, bounds[i + 1] - bounds[i], options)))
  end
  self.tail = tail
end

function Adaptive:reset_parameters()
  self.head:reset_parameters()
  for i = 0, self.n_clusters - 1 do
    self.tail[i][0]:reset_parameters()
    self.tail[i][1]:reset_parameters()
  end
end

-- The rows of the batch whose target lies in [low, high).
local function rows_of(target, low, high)
  return target:ge(low):logical_and(target:lt(high)):nonzero():squeeze(1)
end

Adaptive.forward = args.forward("AdaptiveLogSoftmaxWithLoss", { "input_", "target_" }, function(self, input, target)
  args.tensor("AdaptiveLogSoftmaxWithLoss", "target_", target)
  local batched = target.ndim == 1
  if target.ndim > 1 then
    args.fail("AdaptiveLogSoftmaxWithLoss", "target must have 0 or 1 dims, got shape %s", tostring(target.shape))
  end
  if input.ndim ~= target.ndim + 1 or (batched and input:size(0) ~= target:size(0)) then
    args.fail("AdaptiveLogSoftmaxWithLoss", "input and target must be of one batch, got shapes %s and %s",
      tostring(input.shape), tostring(target.shape))
  end
  if not batched then input, target = input:unsqueeze(0), target:unsqueeze(0) end
  local count, low, used = target:size(0), 0, 0
  local output = torch.zeros({ count }, { dtype = input.dtype, device = input.device })
  local columns = torch.zeros({ count }, { dtype = torch.int64, device = input.device })
  for i, high in ipairs(self.cutoffs) do
    local rows = rows_of(target, low, high)
    used = used + rows:numel()
    if rows:numel() > 0 then
      local wanted = target:index_select(0, rows) - low
      if i == 1 then
        columns = columns:index_copy(0, rows, wanted)
      else
        local scores = self.tail[i - 2](input:index_select(0, rows))
        local logs = F.log_softmax(scores, 1):gather(1, wanted:unsqueeze(1)):squeeze(1)
        columns = columns:index_fill(0, rows, self.shortlist_size + i - 2)
        output = output:index_copy(0, rows, logs)
      end
    end
    low = high
  end
  if used ~= count then
    args.fail("AdaptiveLogSoftmaxWithLoss", "targets must lie in [0, %d), got from %d to %d", self.n_classes,
      target:min():item(), target:max():item())
  end
  local head = F.log_softmax(self.head(input), 1)
  output = output + head:gather(1, columns:unsqueeze(1)):squeeze(1)
  local loss = -output:mean()
  return batched and output or output:squeeze(0), loss
end)

-- The log probabilities of all classes, from the head's scores.
local function all_logs(self, input, head)
  local logs = F.log_softmax(head, 1)
  local parts = { logs:narrow(1, 0, self.shortlist_size) }
  for i = 1, self.n_clusters do
    parts[i + 1] = F.log_softmax(self.tail[i - 1](input), 1)
      + logs:narrow(1, self.shortlist_size + i - 1, 1)
  end
  return torch.cat(parts, 1)
end

--- The log probabilities (N, n_classes) of all classes.
function Adaptive:log_prob(input)
  return all_logs(self, input, self.head(input))
end

--- The most probable class of each row.
function Adaptive:predict(input)
  local head = self.head(input)
  local best = head:argmax(1)
  if best:lt(self.shortlist_size):all():item() then return best end
  return all_logs(self, input, head):argmax(1)
end

return Adaptive
