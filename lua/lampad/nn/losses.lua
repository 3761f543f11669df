-- The loss layers, from one table. A row gives the constructor's signature, the tensors it keeps as
-- buffers, and what forward computes; lampad.nn makes the class at first use.
-- `size_average` and `reduce` are PyTorch's old way to say `reduction`; they stand in the signatures
-- only to keep the positions.
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local F = require "lampad.nn.functional"

local rows = {}
local old = "bool size_average=nil, bool reduce=nil, str reduction='mean'"

local function loss(row)
  rows[row[1]:match("^[%w_]+")] = row
end

local function check_margin(self)
  if self.margin <= 0 then
    args.fail(self.__name, "expected margin to be greater than 0, got %s instead", text.repr(self.margin))
  end
end

loss { "L1Loss(" .. old .. ")",
  forward = function(self, x, y) return F.l1_loss(x, y, { reduction = self.reduction }) end }
loss { "MSELoss(" .. old .. ")",
  forward = function(self, x, y) return F.mse_loss(x, y, { reduction = self.reduction }) end }
loss { "SmoothL1Loss(" .. old .. ", float beta=1.0)",
  forward = function(self, x, y) return F.smooth_l1_loss(x, y, { reduction = self.reduction, beta = self.beta }) end }
loss { "HuberLoss(str reduction='mean', float delta=1.0)",
  forward = function(self, x, y) return F.huber_loss(x, y, { reduction = self.reduction, delta = self.delta }) end }
loss { "KLDivLoss(" .. old .. ", bool log_target=false)",
  forward = function(self, x, y)
    return F.kl_div(x, y, { reduction = self.reduction, log_target = self.log_target })
  end }
loss { "CrossEntropyLoss(Tensor weight=nil, bool size_average=nil, int ignore_index=-100, bool reduce=nil, "
  .. "str reduction='mean', float label_smoothing=0.0)", buffers = { "weight" },
  forward = function(self, x, y)
    return F.cross_entropy(x, y, { weight = self.weight, ignore_index = self.ignore_index,
      reduction = self.reduction, label_smoothing = self.label_smoothing })
  end }
for _, name in ipairs { "NLLLoss", "NLLLoss2d" } do -- PyTorch keeps the old name
  loss { name .. "(Tensor weight=nil, bool size_average=nil, int ignore_index=-100, bool reduce=nil, "
    .. "str reduction='mean')", buffers = { "weight" },
    forward = function(self, x, y)
      return F.nll_loss(x, y, { weight = self.weight, ignore_index = self.ignore_index, reduction = self.reduction })
    end }
end
loss { "BCELoss(Tensor weight=nil, " .. old .. ")", buffers = { "weight" },
  forward = function(self, x, y)
    return F.binary_cross_entropy(x, y, { weight = self.weight, reduction = self.reduction })
  end }
loss { "BCEWithLogitsLoss(Tensor weight=nil, " .. old .. ", Tensor pos_weight=nil)",
  buffers = { "weight", "pos_weight" },
  forward = function(self, x, y)
    return F.binary_cross_entropy_with_logits(x, y, { weight = self.weight, reduction = self.reduction,
      pos_weight = self.pos_weight })
  end }
loss { "PoissonNLLLoss(bool log_input=true, bool full=false, bool size_average=nil, float eps=1e-08, "
  .. "bool reduce=nil, str reduction='mean')", inputs = { "log_input", "target" },
  forward = function(self, x, y)
    return F.poisson_nll_loss(x, y, { log_input = self.log_input, full = self.full, eps = self.eps,
      reduction = self.reduction })
  end }
loss { "GaussianNLLLoss(* , bool full=false, float eps=1e-06, str reduction='mean')", inputs = { "input", "target", "var" },
  forward = function(self, x, y, var)
    return F.gaussian_nll_loss(x, y, var, { full = self.full, eps = self.eps, reduction = self.reduction })
  end }
loss { "SoftMarginLoss(" .. old .. ")",
  forward = function(self, x, y) return F.soft_margin_loss(x, y, { reduction = self.reduction }) end }
loss { "HingeEmbeddingLoss(float margin=1.0, " .. old .. ")",
  forward = function(self, x, y)
    return F.hinge_embedding_loss(x, y, { margin = self.margin, reduction = self.reduction })
  end }
loss { "MarginRankingLoss(float margin=0.0, " .. old .. ")", inputs = { "input1", "input2", "target" },
  forward = function(self, x1, x2, y)
    return F.margin_ranking_loss(x1, x2, y, { margin = self.margin, reduction = self.reduction })
  end }
loss { "CosineEmbeddingLoss(float margin=0.0, " .. old .. ")", inputs = { "input1", "input2", "target" },
  forward = function(self, x1, x2, y)
    return F.cosine_embedding_loss(x1, x2, y, { margin = self.margin, reduction = self.reduction })
  end }
loss { "TripletMarginLoss(float margin=1.0, float p=2.0, float eps=1e-06, bool swap=false, " .. old .. ")",
  inputs = { "anchor", "positive", "negative" }, setup = check_margin,
  forward = function(self, anchor, positive, negative)
    return F.triplet_margin_loss(anchor, positive, negative, { margin = self.margin, p = self.p, eps = self.eps,
      swap = self.swap, reduction = self.reduction })
  end }

loss { "CTCLoss(int blank=0, str reduction='mean', bool zero_infinity=false)",
  inputs = { "log_probs", "targets", "input_lengths", "target_lengths" },
  forward = function(self, log_probs, targets, input_lengths, target_lengths)
    return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity)
  end }
loss { "MultiLabelMarginLoss(" .. old .. ")",
  forward = function(self, x, y) return F.multilabel_margin_loss(x, y, { reduction = self.reduction }) end }
loss { "MultiLabelSoftMarginLoss(Tensor weight=nil, " .. old .. ")", buffers = { "weight" },
  forward = function(self, x, y)
    return F.multilabel_soft_margin_loss(x, y, { weight = self.weight, reduction = self.reduction })
  end }
loss { "MultiMarginLoss(int p=1, float margin=1.0, Tensor weight=nil, " .. old .. ")", buffers = { "weight" },
  setup = function(self)
    if self.p ~= 1 and self.p ~= 2 then args.fail("MultiMarginLoss", "only p == 1 and p == 2 supported, got %d", self.p) end
    if self.weight ~= nil and self.weight.ndim ~= 1 then
      args.fail("MultiMarginLoss", "expected weight to be None or 1D tensor, got %dD instead", self.weight.ndim)
    end
  end,
  forward = function(self, x, y)
    return F.multi_margin_loss(x, y, { p = self.p, margin = self.margin, weight = self.weight,
      reduction = self.reduction })
  end }

loss { "TripletMarginWithDistanceLoss(* , function distance_function=nil, float margin=1.0, bool swap=false, "
  .. "str reduction='mean')", inputs = { "anchor", "positive", "negative" },
  setup = function(self)
    check_margin(self)
    local distance = self.distance_function
    rawset(self, "distance_function", nil)
    if distance == nil then distance = require("lampad.nn").PairwiseDistance() end
    self.distance_function = distance -- a module is a child
  end,
  forward = function(self, anchor, positive, negative)
    return F.triplet_margin_with_distance_loss(anchor, positive, negative, { distance_function = self.distance_function,
      margin = self.margin, swap = self.swap, reduction = self.reduction })
  end }

-- --- making the classes -----------------------------------------------------------------------------
-- size_average and reduce of the options o as reduction.
local function settle_reduction(o)
  if o.size_average ~= nil or o.reduce ~= nil then
    o.reduction = o.reduce == false and "none" or o.size_average == false and "sum" or "mean"
  end
  o.size_average, o.reduce = nil, nil
end

local Loss = Module:extend "_Loss"
local loss_spec, weighted_spec = args("_Loss(" .. old .. ")"), args("_WeightedLoss(Tensor weight=nil, " .. old .. ")")

--- nn.modules.loss._Loss(size_average, reduce, reduction = 'mean'): the base of losses; a class of the user's reads
--- self.reduction.
function Loss:init(...)
  local o = loss_spec:collect(...)
  settle_reduction(o)
  self:_set(o)
end

local WeightedLoss = Loss:extend "_WeightedLoss"

--- nn.modules.loss._WeightedLoss(weight, ...): a loss that keeps `weight` as a buffer.
function WeightedLoss:init(...)
  local o = weighted_spec:collect(...)
  settle_reduction(o)
  self:register_buffer("weight", o.weight)
  self:_set { reduction = o.reduction }
end

local function make(name)
  local row = rows[name]
  local buffers = row.buffers or {}
  local Class = (buffers[1] == "weight" and name ~= "BCEWithLogitsLoss" and WeightedLoss or Loss):extend(name)
  local spec = args(row[1])
  function Class:init(...)
    local o = spec:collect(...)
    settle_reduction(o)
    if o.reduction ~= "mean" and o.reduction ~= "sum" and o.reduction ~= "none"
      and not (name == "KLDivLoss" and o.reduction == "batchmean") then
      args.fail(name, "%s is not a valid value for reduction; use 'mean', 'sum' or 'none'", o.reduction)
    end
    for _, buffer in ipairs(buffers) do
      self:register_buffer(buffer, o[buffer])
      o[buffer] = nil
    end
    self:_set(o)
    if row.setup then row.setup(self) end
  end
  Class.forward = args.forward(name, row.inputs or { "input", "target" }, row.forward)
  return Class
end

return { rows = rows, make = make, bases = { _Loss = Loss, _WeightedLoss = WeightedLoss } }
