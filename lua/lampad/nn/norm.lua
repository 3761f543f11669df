-- nn.LayerNorm, nn.GroupNorm, nn.RMSNorm: normalisation within each sample.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local F = require "lampad.nn.functional"

local torch = core.torch

-- Weight 1, bias 0.
local function reset(self)
  torch.no_grad(function()
    if self.weight ~= nil then self.weight:fill_(1) end
    if self.bias ~= nil then self.bias:zero_() end
  end)
end

local function declare(self, sizes, with_weight, with_bias, device, dtype)
  local options = args.making(device, dtype)
  self:register_parameter("weight", with_weight and Parameter(torch.empty(sizes, options)) or nil)
  if with_bias ~= nil then
    self:register_parameter("bias", with_bias and Parameter(torch.empty(sizes, options)) or nil)
  end
  self:reset_parameters()
end

-- --- LayerNorm (Ba et al. 2016) -----------------------------------------------------------------
local LayerNorm = Module:extend "LayerNorm"
local layer_spec = args [[LayerNorm(ints normalized_shape, float eps=1e-05, bool elementwise_affine=true,
  bool bias=true, device device=nil, dtype dtype=nil)]]

--- Normalises over the last dims, which must be normalized_shape.
function LayerNorm:init(...)
  local shape, eps, affine, bias, device, dtype = layer_spec(...)
  if type(shape) == "number" then shape = { shape } end
  self:_set { normalized_shape = shape, eps = eps, elementwise_affine = affine }
  declare(self, shape, affine, affine and bias, device, dtype)
end

LayerNorm.reset_parameters = reset

function LayerNorm:forward(input)
  if type(input) ~= "userdata" then input = args.input(self.__name, input, "input") end
  return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)
end

function LayerNorm:extra_repr()
  return ("%s, eps=%s, elementwise_affine=%s, bias=%s"):format(text.repr(self.normalized_shape),
    text.repr(self.eps), text.repr(self.elementwise_affine), text.repr(self.bias ~= nil))
end

-- --- RMSNorm (Zhang and Sennrich 2019) ------------------------------------------------------------
local RMSNorm = Module:extend "RMSNorm"
local rms_spec = args [[RMSNorm(ints normalized_shape, float eps=nil, bool elementwise_affine=true,
  device device=nil, dtype dtype=nil)]]

function RMSNorm:init(...)
  local shape, eps, affine, device, dtype = rms_spec(...)
  if type(shape) == "number" then shape = { shape } end
  self:_set { normalized_shape = shape, eps = eps, elementwise_affine = affine }
  declare(self, shape, affine, nil, device, dtype)
end

RMSNorm.reset_parameters = reset

function RMSNorm:forward(input)
  if type(input) ~= "userdata" then input = args.input("RMSNorm", input, "x") end
  return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)
end

function RMSNorm:extra_repr()
  return ("%s, eps=%s, elementwise_affine=%s"):format(text.repr(self.normalized_shape),
    text.repr(self.eps), text.repr(self.elementwise_affine))
end

-- --- GroupNorm (Wu and He 2018) ---------------------------------------------------------------------
local GroupNorm = Module:extend "GroupNorm"
local group_spec = args [[GroupNorm(int num_groups, int num_channels, float eps=1e-05, bool affine=true,
  device device=nil, dtype dtype=nil, *, bool bias=true)]]

--- Normalises each of num_groups groups of channels. Input (N, num_channels, ...).
function GroupNorm:init(...)
  local groups, channels, eps, affine, device, dtype, bias = group_spec(...)
  if groups <= 0 or channels % groups ~= 0 then
    args.fail("GroupNorm", "num_channels (%d) must be divisible by num_groups (%d)", channels, groups)
  end
  self:_set { num_groups = groups, num_channels = channels, eps = eps, affine = affine }
  declare(self, { channels }, affine, affine and bias, device, dtype)
end

GroupNorm.reset_parameters = reset

function GroupNorm:forward(input)
  if type(input) ~= "userdata" then input = args.input(self.__name, input, "input") end
  return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)
end

function GroupNorm:extra_repr()
  return ("%d, %d, eps=%s, affine=%s, bias=%s"):format(self.num_groups, self.num_channels,
    text.repr(self.eps), text.repr(self.affine), text.repr(self.bias ~= nil))
end

return { LayerNorm = LayerNorm, RMSNorm = RMSNorm, GroupNorm = GroupNorm }
