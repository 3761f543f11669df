-- nn.LinearCrossEntropyLoss: the cross entropy of a linear layer's scores.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Options = require "lampad.nn.linear_cross_entropy_options"
local Linear = require "lampad.nn.linear"
local F = require "lampad.nn.functional"

local torch = core.torch
local Loss = Module:extend "LinearCrossEntropyLoss"
local spec = args [[LinearCrossEntropyLoss(int in_features, int num_classes, *, ints out_features=nil, bool bias=false,
  device device=nil, dtype dtype=nil, str reduction='mean', Tensor weight=nil, int ignore_index=nil,
  float label_smoothing=0.0, any options=nil)]]

--- forward(input, target): input (N, in_features), target as for nn.CrossEntropyLoss with scores
--- (N, num_classes, ...out_features). options: an nn.LinearCrossEntropyOptions, without effect on the results.
function Loss:init(...)
  local o = spec:collect(...)
  local name = "LinearCrossEntropyLoss"
  if o.options ~= nil and not class.isinstance(o.options, Options) then
    args.fail(name, "argument 'options' must be an nn.LinearCrossEntropyOptions, got %s", text.describe(o.options))
  end
  if o.weight and o.weight.shape ~= torch.Size { o.num_classes } then
    args.fail(name, "expected weight shape to be (%d,), got %s", o.num_classes,
      text.repr { o.weight.shape:unpack() })
  end
  if o.label_smoothing < 0 or o.label_smoothing > 1 then
    args.fail(name, "expected label_smoothing to be in range [0, 1], got %s", text.repr(o.label_smoothing))
  end
  if o.reduction ~= "mean" and o.reduction ~= "sum" and o.reduction ~= "none" then
    args.fail(name, "%s is not a valid value for reduction; use 'mean', 'sum' or 'none'", o.reduction)
  end
  local sizes = o.out_features or {}
  if type(sizes) ~= "table" then sizes = { sizes } end
  self:register_buffer("weight", o.weight)
  local outputs = o.num_classes
  for _, n in ipairs(sizes) do outputs = outputs * n end
  self:_set {
    num_classes = o.num_classes, out_features = sizes, reduction = o.reduction, ignore_index = o.ignore_index,
    label_smoothing = o.label_smoothing, options = o.options,
  }
  self.linear = Linear(o.in_features, outputs, { bias = o.bias, device = o.device, dtype = o.dtype })
end

Loss.forward = args.forward("LinearCrossEntropyLoss", { "input", "target" }, function(self, input, target)
  local sizes = { self.num_classes, table.unpack(self.out_features) }
  local bias = self.linear.bias
  if bias ~= nil then bias = bias:reshape(sizes) end
  sizes[#sizes + 1] = self.linear.in_features
  return F.linear_cross_entropy(input, self.linear.weight:reshape(sizes), target, {
    linear_bias = bias, weight = self.weight, reduction = self.reduction, ignore_index = self.ignore_index,
    label_smoothing = self.label_smoothing,
  })
end)

function Loss:extra_repr()
  return ("in_features=%d, num_classes=%d, out_features=%s, bias=%s, reduction=%s, ignore_index=%s, label_smoothing=%s, "
    .. "options=%s"):format(self.linear.in_features, self.num_classes, text.repr(self.out_features),
    text.repr(self.linear.bias ~= nil), self.reduction, text.repr(self.ignore_index), text.repr(self.label_smoothing),
    text.repr(self.options))
end

return Loss
