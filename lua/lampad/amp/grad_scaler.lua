-- amp.GradScaler: scales a loss up, so that small gradients of float16 do not become 0, and gradients down again before the
-- optimizer's step; steps whose gradients are not finite are left out, and the scale follows.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local warnings = require "lampad.warnings"

local torch = core.torch
local fail = args.fail

local GradScaler = class.extend(class.Object, "GradScaler")

local spec = args("GradScaler(str device='cuda', float init_scale=65536.0, float growth_factor=2.0, "
  .. "float backoff_factor=0.5, int growth_interval=2000, bool enabled=true)")

--- GradScaler(device = "cuda", {init_scale = 65536., growth_factor = 2., backoff_factor = 0.5, growth_interval = 2000,
--- enabled = true}): update() multiplies the scale by growth_factor after growth_interval steps in a row whose gradients
--- were finite, and by backoff_factor after one whose gradients were not. Without a CUDA device, "cuda" warns and
--- disables: then all methods leave things as they are.
function GradScaler:init(...)
  local device, init_scale, growth_factor, backoff_factor, growth_interval, enabled = spec(...)
  self._device, self._enabled = device, enabled
  if enabled and device == "cuda" then
    warnings.warn "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling."
    self._enabled = false
  end
  if not self._enabled then return end
  if growth_factor <= 1 then fail("GradScaler", "The growth factor must be > 1.0, got %s", growth_factor) end
  if backoff_factor >= 1 then fail("GradScaler", "The backoff factor must be < 1.0, got %s", backoff_factor) end
  self._init_scale, self._growth_factor, self._backoff_factor = init_scale, growth_factor, backoff_factor
  self._growth_interval, self._growth_tracker = growth_interval, 0
  self._scale = nil -- a tensor of float32, from the first scale() on
  self._optimizers = {} -- since the last update: optimizer -> { stage, found_inf }
end

local function check_scaled(self, what)
  if self._scale then return end
  fail("GradScaler." .. what, "Attempted %s but _scale is None.  This may indicate your script did not use "
    .. "scaler:scale(loss or outputs) earlier in the iteration.", what)
end

local function state_of(self, what, optimizer)
  if type(optimizer) ~= "table" or type(optimizer.param_groups) ~= "table" then
    fail("GradScaler." .. what, "argument 'optimizer' must be an optimizer, got %s", text.describe(optimizer))
  end
  local state = self._optimizers[optimizer]
  if not state then
    state = { stage = "ready" }
    self._optimizers[optimizer] = state
  end
  return state
end

--- The tensor, or a list's tensors, times the scale.
function GradScaler:scale(outputs)
  if not self._enabled then return outputs end
  if torch.is_tensor(outputs) then
    self._scale = self._scale or torch.full({}, self._init_scale, { dtype = torch.float32 })
    return outputs * self._scale
  end
  if type(outputs) ~= "table" or getmetatable(outputs) ~= nil then
    fail("GradScaler.scale", "outputs must be a Tensor or an iterable of Tensors, got %s", text.describe(outputs))
  end
  local result = {}
  for key, value in pairs(outputs) do result[key] = self:scale(value) end
  return result
end

-- Divides the gradients by the scale; whether one of them was not finite, or nil when there are none.
local function unscale(optimizer, inverse)
  local _ <close> = torch.no_grad()
  local found
  for _, group in ipairs(optimizer.param_groups) do
    for _, param in ipairs(group.params) do
      local grad = param.grad
      if grad ~= nil then
        if grad.dtype == torch.float16 then fail("GradScaler.unscale_", "Attempting to unscale FP16 gradients.") end
        -- The largest modulus: infinite or NaN when any element is.
        found = found or grad:numel() > 0 and not torch.isfinite(torch.linalg.vector_norm(grad, math.huge)):item()
        grad:mul_(inverse)
      end
    end
  end
  return found
end

--- Divides the optimizer's gradients by the scale: for those who clip or look at them before step(), which does it
--- otherwise.
function GradScaler:unscale_(optimizer)
  if not self._enabled then return end
  check_scaled(self, "unscale_")
  local state = state_of(self, "unscale_", optimizer)
  if state.stage == "unscaled" then
    fail("GradScaler.unscale_", "unscale_() has already been called on this optimizer since the last update().")
  elseif state.stage == "stepped" then
    fail("GradScaler.unscale_", "unscale_() is being called after step().")
  end
  state.found_inf = unscale(optimizer, self._scale:double():reciprocal():float())
  state.stage = "unscaled"
end

--- Unscales the gradients, unless that was done, and calls optimizer:step(...) when they are finite; returns what that
--- does.
function GradScaler:step(optimizer, ...)
  if not self._enabled then return optimizer:step(...) end
  local named = select(-1, nil, ...)
  if args.is_named(named) and named.closure ~= nil then
    fail("GradScaler.step", "Closure use is not currently supported if GradScaler is enabled.")
  end
  check_scaled(self, "step")
  local state = state_of(self, "step", optimizer)
  if state.stage == "stepped" then
    fail("GradScaler.step", "step() has already been called since the last update().")
  end
  if state.stage == "ready" then self:unscale_(optimizer) end
  if state.found_inf == nil then fail("GradScaler.step", "No inf checks were recorded for this optimizer.") end
  local result
  if not state.found_inf then result = optimizer:step(...) end
  state.stage = "stepped"
  return result
end

local function set_scale(self, new_scale)
  if type(new_scale) == "number" then
    self._scale:fill_(new_scale)
    return
  end
  if not torch.is_tensor(new_scale) or new_scale:numel() ~= 1 or new_scale.requires_grad
    or new_scale.device.type ~= self._device then
    fail("GradScaler.update", "new_scale should be a float or a 1-element torch.FloatTensor with requires_grad=False, "
      .. "got %s", text.describe(new_scale))
  end
  self._scale:copy_(new_scale:reshape({}))
end

--- Ends an iteration: grows the scale or backs off, or sets it to new_scale.
function GradScaler:update(new_scale)
  if not self._enabled then return end
  check_scaled(self, "update")
  if new_scale ~= nil then
    set_scale(self, new_scale)
  else
    local found
    for _, state in pairs(self._optimizers) do
      if state.found_inf ~= nil then found = found or state.found_inf end
    end
    if found == nil then fail("GradScaler.update", "No inf checks were recorded prior to update.") end
    if found then
      self._scale:mul_(self._backoff_factor)
      self._growth_tracker = 0
    else
      self._growth_tracker = self._growth_tracker + 1
      if self._growth_tracker == self._growth_interval then
        local grown = self._scale * self._growth_factor
        if torch.isfinite(grown):item() then self._scale:copy_(grown) end
        self._growth_tracker = 0
      end
    end
  end
  self._optimizers = {}
end

--- The scale as a number; 1 when disabled.
function GradScaler:get_scale()
  if not self._enabled then return 1.0 end
  return self._scale and self._scale:item() or self._init_scale
end

for _, name in ipairs { "growth_factor", "backoff_factor", "growth_interval" } do
  GradScaler["get_" .. name] = function(self) return self["_" .. name] end
  GradScaler["set_" .. name] = function(self, value)
    if type(value) ~= "number" then
      fail("GradScaler.set_" .. name, "expected a number, got %s", text.describe(value))
    end
    self["_" .. name] = value
  end
end

--- Is it in force?
function GradScaler:is_enabled() return self._enabled end

--- What a later run needs: scale, growth_factor, backoff_factor, growth_interval, _growth_tracker; empty when disabled.
--- Take it after update().
function GradScaler:state_dict()
  if not self._enabled then return {} end
  return { scale = self:get_scale(), growth_factor = self._growth_factor, backoff_factor = self._backoff_factor,
    growth_interval = self._growth_interval, _growth_tracker = self._growth_tracker }
end

--- Takes over a state_dict().
function GradScaler:load_state_dict(state)
  if not self._enabled then return end
  if type(state) ~= "table" then fail("GradScaler.load_state_dict", "expected a table, got %s", text.describe(state)) end
  if state.scale == nil then
    fail("GradScaler.load_state_dict", "The source state dict is empty, possibly because it was saved from a disabled "
      .. "instance of GradScaler.")
  end
  self._init_scale = state.scale
  if self._scale then self._scale:fill_(state.scale) end
  self._growth_factor, self._backoff_factor = state.growth_factor, state.backoff_factor
  self._growth_interval, self._growth_tracker = state.growth_interval, state._growth_tracker
end

return { GradScaler = GradScaler }
