-- nn.BatchNorm1d/2d/3d and nn.InstanceNorm1d/2d/3d: normalisation by channel statistics.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local OrderedDict = require "lampad.ordered_dict"
local F = require "lampad.nn.functional"

local torch = core.torch
local classes = {}

local Base = Module:extend "_NormBase"
Base._version = 2 -- state_dicts before version 2 have no num_batches_tracked

function Base:_setup(o)
  if o.num_features < 0 then
    args.fail(self.__name, "num_features must not be negative, got %d", o.num_features)
  end
  self:_set {
    num_features = o.num_features, eps = o.eps, momentum = o.momentum, affine = o.affine,
    track_running_stats = o.track_running_stats,
  }
  local sizes, options = { o.num_features }, args.making(o.device, o.dtype)
  self:register_parameter("weight", o.affine and Parameter(torch.empty(sizes, options)) or nil)
  self:register_parameter("bias", o.affine and o.bias and Parameter(torch.empty(sizes, options)) or nil)
  local track = o.track_running_stats
  self:register_buffer("running_mean", track and torch.zeros(sizes, options) or nil)
  self:register_buffer("running_var", track and torch.ones(sizes, options) or nil)
  self:register_buffer("num_batches_tracked",
    track and torch.zeros({}, { dtype = torch.int64, device = o.device }) or nil)
  self:reset_parameters()
end

--- Running mean 0, variance 1, no batches seen.
function Base:reset_running_stats()
  if self.running_mean ~= nil then
    self.running_mean:zero_()
    self.running_var:fill_(1)
    self.num_batches_tracked:zero_()
  end
end

--- Weight 1, bias 0, statistics reset.
function Base:reset_parameters()
  self:reset_running_stats()
  torch.no_grad(function()
    if self.weight ~= nil then self.weight:fill_(1) end
    if self.bias ~= nil then self.bias:zero_() end
  end)
end

--- Raises unless the input has as many dims as the layer takes; a subclass may allow others.
function Base:_check_input_dim(input)
  local ndim = input.ndim
  local low, high = self.least_dims, self.most_dims
  if ndim < low or ndim > high then
    args.fail(self.__name, "expected %s input (got %dD input), its shape is %s",
      low == high and low .. "D" or low .. "D or " .. high .. "D", ndim, tostring(input.shape))
  end
end

function Base:extra_repr()
  return ("%d, eps=%s, momentum=%s, affine=%s, bias=%s, track_running_stats=%s"):format(self.num_features,
    text.repr(self.eps), text.repr(self.momentum), text.repr(self.affine), text.repr(self.bias ~= nil),
    text.repr(self.track_running_stats))
end

-- An old state_dict starts counting from what the module has.
function Base:_load_from_state_dict(state, prefix, metadata, ...)
  local version = metadata.version
  local key = prefix .. "num_batches_tracked"
  if (version == nil or version < 2) and self.num_batches_tracked ~= nil and not OrderedDict.contains(state, key) then
    state[key] = self.num_batches_tracked:clone()
  end
  Module._load_from_state_dict(self, state, prefix, metadata, ...)
end

local arguments = [[(int num_features, float eps=1e-05, float? momentum=0.1, bool affine=%s,
  bool track_running_stats=%s, device device=nil, dtype dtype=nil, *, bool bias=true)]]

local BatchNormBase = Base:extend "_BatchNorm"

function BatchNormBase:forward(input)
  if type(input) ~= "userdata" then input = args.input(self.__name, input, "input") end
  self:_check_input_dim(input)
  local factor = self.momentum or 0.0
  local mean, var = self.running_mean, self.running_var
  local training = self.training
  if training then
    local count = self.num_batches_tracked
    if count ~= nil then
      count:add_(1)
      if self.momentum == nil then factor = 1.0 / count:item() end -- the average over all batches
    end
    if not self.track_running_stats then mean, var = nil, nil end
  else
    training = mean == nil and var == nil
  end
  return F.batch_norm(input, mean, var, self.weight, self.bias, training, factor, self.eps)
end

-- Input (N, C, ...): BatchNorm1d takes (N, C) and (N, C, L).
for n = 1, 3 do
  local name = "BatchNorm" .. n .. "d"
  local BatchNorm = BatchNormBase:extend(name)
  local spec = args(name .. arguments:format("true", "true"))
  BatchNorm.least_dims, BatchNorm.most_dims = n == 1 and 2 or n + 2, n + 2

  function BatchNorm:init(...) self:_setup(spec:collect(...)) end
  classes[name] = BatchNorm
end

-- --- SyncBatchNorm -------------------------------------------------------------------------------------------
local SyncBatchNorm = BatchNormBase:extend "SyncBatchNorm"
local sync_spec = args [[SyncBatchNorm(int num_features, float eps=1e-05, float? momentum=0.1, bool affine=true,
  bool track_running_stats=true, any process_group=nil, device device=nil, dtype dtype=nil, *, bool bias=true)]]

--- Batch normalisation of an input (N, C, ...). There is one process, where it is nn.BatchNorm* as in PyTorch;
--- process_group is kept and has no effect.
function SyncBatchNorm:init(...)
  local o = sync_spec:collect(...)
  self:_setup(o)
  self:_set { process_group = o.process_group }
end

function SyncBatchNorm:_check_input_dim(input)
  if input.ndim < 2 then args.fail("SyncBatchNorm", "expected at least 2D input (got %dD input)", input.ndim) end
  if input:size(1) == 0 then args.fail("SyncBatchNorm", "number of input channels should be non-zero") end
end

local convert_spec = args "convert_sync_batchnorm(Module module, any process_group=nil)"

--- nn.SyncBatchNorm.convert_sync_batchnorm(net): the net with every nn.BatchNorm* replaced by a SyncBatchNorm of the same
--- parameters and buffers.
function SyncBatchNorm.convert_sync_batchnorm(...)
  if rawequal((...), SyncBatchNorm) then return SyncBatchNorm.convert_sync_batchnorm(select(2, ...)) end
  local module, group = convert_spec(...)
  local result = module
  if module:isinstance(BatchNormBase) then
    result = SyncBatchNorm(module.num_features, module.eps, module.momentum or false, module.affine,
      module.track_running_stats, group, { bias = module.bias ~= nil })
    for _, name in ipairs { "weight", "bias", "running_mean", "running_var", "num_batches_tracked" } do
      if module[name] ~= nil then result[name] = module[name] end
    end
    result.training = module.training
  end
  for name, child in module:named_children() do
    result:add_module(name, SyncBatchNorm.convert_sync_batchnorm(child, group))
  end
  return result
end
classes.SyncBatchNorm = SyncBatchNorm

local InstanceNormBase = Base:extend "_InstanceNorm"

-- Input (N, C, ...) or (C, ...).
for n = 1, 3 do
  local name = "InstanceNorm" .. n .. "d"
  local InstanceNorm = InstanceNormBase:extend(name)
  local spec = args(name .. arguments:format("false", "false"))
  InstanceNorm.least_dims, InstanceNorm.most_dims = n + 1, n + 2

  function InstanceNorm:init(...) self:_setup(spec:collect(...)) end

  function InstanceNorm:forward(input)
    if type(input) ~= "userdata" then input = args.input(self.__name, input, "input") end
    self:_check_input_dim(input)
    local batched = input.ndim == n + 2
    local channels = input:size(batched and 1 or 0)
    if channels ~= self.num_features and self.affine then
      args.fail(name, "expected input's size at dim=%d to match num_features (%d), but got: %d",
        batched and 1 or 0, self.num_features, channels)
    end
    local x = batched and input or input:unsqueeze(0)
    local y = F.instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
      self.training or not self.track_running_stats, self.momentum or 0.0, self.eps)
    return batched and y or y:squeeze(0)
  end
  classes[name] = InstanceNorm
end

return classes
