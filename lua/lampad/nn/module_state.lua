-- The state of modules: state_dict(), load_state_dict(), extra state and the hooks round them. Adds its methods to
-- nn.Module; called by module.lua.
--
-- A class with more state than its parameters and buffers defines get_extra_state() and set_extra_state(state), or
-- overrides _save_to_state_dict and _load_from_state_dict, as in PyTorch.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local hooks = require "lampad.nn.module_hooks"
local Parameter = require "lampad.nn.parameter"
local OrderedDict = require "lampad.ordered_dict"
local is_lazy = require("lampad.nn.uninitialized").is_lazy

local torch = core.torch
local EXTRA = "_extra_state"

local Incompatible = { __name = "IncompatibleKeys" }
function Incompatible.__tostring(self)
  if #self.missing_keys == 0 and #self.unexpected_keys == 0 then return "<All keys matched successfully>" end
  local function list(keys)
    local parts = {}
    for i, key in ipairs(keys) do parts[i] = "'" .. key .. "'" end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  return ("_IncompatibleKeys(missing_keys=%s, unexpected_keys=%s)"):format(list(self.missing_keys),
    list(self.unexpected_keys))
end

local function quoted(keys)
  local parts = {}
  for i, key in ipairs(keys) do parts[i] = '"' .. key .. '"' end
  return table.concat(parts, ", ")
end

return function(Module, own_parameters, own_buffers)
  local is_module, own_children = Module.is_module, Module.own_children

  local function entries(self, kind) return self._hooks and self._hooks[kind] or {} end

  local function add_hook(self, kind, what, hook)
    if not self._hooks then rawset(self, "_hooks", {}) end
    return hooks.add(self._hooks, kind, what, hook)
  end

  -- --- saving ---------------------------------------------------------------------------------------------
  for _, name in ipairs { "get_extra_state", "set_extra_state" } do
    -- A class that has state beside its tensors defines the two; nobody calls these.
    Module[name] = function(self)
      args.fail(name, "%s has no extra state: define get_extra_state and set_extra_state in the class", self.__name)
    end
  end

  local function save(destination, prefix, keep_vars, names, values)
    for i = 1, #names do destination[prefix .. names[i]] = keep_vars and values[i] or values[i]:detach() end
  end

  --- Writes this module's own state into the map; layers with other state override it.
  function Module:_save_to_state_dict(destination, prefix, keep_vars)
    if #rawget(self, "_order") > 0 then
      save(destination, prefix, keep_vars, own_parameters(self))
      if rawget(self, "_persistence") then save(destination, prefix, keep_vars, own_buffers(self, true)) end
    end
    if self.get_extra_state ~= Module.get_extra_state then
      destination[prefix .. EXTRA] = self:get_extra_state()
    end
  end

  local NO_HOOKS = {}

  -- state_dict() with its arguments matched.
  local function save_tree(self, destination, prefix, keep_vars)
    local metadata = { version = self._version or 1 }
    destination._metadata[prefix:sub(1, -2)] = metadata
    local lists = self._hooks or NO_HOOKS
    for _, entry in ipairs(lists.state_dict_pre or NO_HOOKS) do entry.fn(self, prefix, keep_vars) end
    self:_save_to_state_dict(destination, prefix, keep_vars)
    local names, children = own_children(self)
    for i = 1, #children do
      local child, child_prefix = children[i], prefix .. names[i] .. "."
      if child.state_dict == Module.state_dict then
        save_tree(child, destination, child_prefix, keep_vars)
      else -- a class of the user's own
        child:state_dict { destination = destination, prefix = child_prefix, keep_vars = keep_vars }
      end
    end
    for _, entry in ipairs(lists.state_dict_post or NO_HOOKS) do
      if entry.fn(self, destination, prefix, metadata) ~= nil then
        args.fail("state_dict", "state_dict post-hook must return None (nil); change the state_dict in place")
      end
    end
    for _, entry in ipairs(lists.state_dict_private or NO_HOOKS) do
      destination = entry.fn(self, destination, prefix, metadata) or destination
    end
    return destination
  end

  local state_spec = args "state_dict(any destination=nil, str prefix='', bool keep_vars=false)"

  --- An ordered map from names to tensors that share the module's memory.
  function Module:state_dict(...)
    local destination, prefix, keep_vars = state_spec(...)
    destination = destination or OrderedDict()
    if not OrderedDict.is(destination) and (type(destination) ~= "table" or getmetatable(destination) ~= nil) then
      args.fail("state_dict", "argument 'destination' must be an ordered map or a table, got %s",
        text.describe(destination))
    end
    if rawget(destination, "_metadata") == nil then rawset(destination, "_metadata", OrderedDict()) end
    return save_tree(self, destination, prefix, keep_vars)
  end

  -- --- loading ----------------------------------------------------------------------------------------------
  --- Copies this module's own state from the map. metadata: of the module when it was saved, with
  --- assign_to_params_buffers when tensors are to be put in place instead of copied. Appends keys and messages to the
  --- three lists.
  function Module:_load_from_state_dict(state, prefix, metadata, strict, missing, unexpected, errors)
    for _, entry in ipairs(entries(self, "load_state_dict_pre")) do
      entry.fn(self, state, prefix, metadata, strict, missing, unexpected, errors)
    end
    for _, entry in ipairs(entries(self, "load_state_dict_private")) do
      entry.fn(state, prefix, metadata, strict, missing, unexpected, errors)
    end
    local known, assign = {}, metadata.assign_to_params_buffers
    local function load(names, values)
      for i = 1, #names do
        local name, value = names[i], values[i]
        known[name] = true
        local key = prefix .. name
        local input = OrderedDict.get(state, key)
        if input == nil then
          if strict then missing[#missing + 1] = key end
        elseif is_lazy(input) and is_lazy(value) then
          value:to(input.dtype) -- neither has a shape: nothing to copy
        elseif not torch.is_tensor(input) and not is_lazy(input) then
          errors[#errors + 1] = ('While copying the parameter named "%s", expected a tensor '
            .. "from checkpoint but received %s"):format(key, text.describe(input))
        else
          if value.ndim == 0 and input.ndim == 1 and input:size(0) == 1 then input = input[0] end
          if value.shape ~= input.shape then
            errors[#errors + 1] = ("size mismatch for %s: copying a param with shape %s from "
              .. "checkpoint, the shape in current model is %s."):format(key, tostring(input.shape),
              tostring(value.shape))
          elseif assign then
            if Parameter.is(value) then
              if Parameter.is(input) then
                input:requires_grad_(value.requires_grad)
              else
                input = Parameter(input, value.requires_grad)
              end
            end
            self[name] = input
          else
            local ok, message = pcall(torch.no_grad, function() value:copy_(input) end)
            if not ok then
              errors[#errors + 1] = ('While copying the parameter named "%s", whose dimensions in the model are %s and '
                .. "whose dimensions in the checkpoint are %s, an exception occurred : %s."):format(key,
                tostring(value.shape), tostring(input.shape), tostring(message))
            end
          end
        end
      end
    end
    load(own_parameters(self))
    load(own_buffers(self, true))
    local extra = prefix .. EXTRA
    if self.set_extra_state ~= Module.set_extra_state then
      known[EXTRA] = true
      local value = OrderedDict.get(state, extra)
      if value ~= nil then
        self:set_extra_state(value)
      elseif strict then
        missing[#missing + 1] = extra
      end
    end
    if not strict then return end
    for key in OrderedDict.keys(state) do
      if type(key) == "string" and key:sub(1, #prefix) == prefix then
        local first, rest = key:sub(#prefix + 1):match("^([^.]*)(.*)$")
        local fits = known[first]
        if rest ~= "" then fits = is_module(rawget(self, first)) end
        if not fits then unexpected[#unexpected + 1] = key end
      end
    end
  end

  -- The map's entries below a prefix by the child they belong to: "fc" -> the entries "fc.weight", "fc.bias".
  local function by_child(state, prefix)
    local parts, pattern = {}, "^([^.]*)%."
    for key, value in OrderedDict.items(state) do
      local name = type(key) == "string" and key:sub(1, #prefix) == prefix and key:match(pattern, #prefix + 1)
      if name then
        parts[name] = parts[name] or OrderedDict()
        parts[name][key] = value
      end
    end
    return parts
  end

  local function load_tree(self, state, prefix, saved, assign, report)
    local metadata = {}
    for key, value in pairs(saved and OrderedDict.get(saved, prefix:sub(1, -2)) or {}) do metadata[key] = value end
    if assign then metadata.assign_to_params_buffers = true end
    self:_load_from_state_dict(state, prefix, metadata, true, report.missing_keys, report.unexpected_keys,
      report.errors)
    local names, children = own_children(self)
    local parts = #children > 0 and by_child(state, prefix)
    for i = 1, #children do
      load_tree(children[i], parts[names[i]] or OrderedDict(), prefix .. names[i] .. ".", saved, assign, report)
    end
    for _, entry in ipairs(entries(self, "load_state_dict_post")) do
      if entry.fn(self, report.incompatible) ~= nil then
        args.fail("load_state_dict", "a hook of register_load_state_dict_post_hook must not return a value; change "
          .. "incompatible_keys in place")
      end
    end
  end

  local load_spec = args "load_state_dict(any state_dict, bool strict=true, bool assign=false)"

  --- Copies a state_dict (an ordered map, or a plain table by name) into the module. With strict, every
  --- key must match. With assign the tensors of the map become the module's own. Returns {missing_keys,
  --- unexpected_keys}.
  function Module:load_state_dict(...)
    local state, strict, assign = load_spec(...)
    if type(state) ~= "table" or is_module(state) then
      args.fail("load_state_dict", "expected state_dict to be an ordered map or a table, got %s", text.describe(state))
    end
    if not OrderedDict.is(state) then state = OrderedDict(state) end
    local saved = rawget(state, "_metadata")
    local report = { missing_keys = {}, unexpected_keys = {}, errors = {} }
    report.incompatible = setmetatable({ missing_keys = report.missing_keys,
      unexpected_keys = report.unexpected_keys }, Incompatible)
    -- A copy: hooks may change it.
    load_tree(self, OrderedDict.copy(state), "", OrderedDict.is(saved) and saved or nil, assign, report)
    local errors = report.errors
    if strict then
      if #report.unexpected_keys > 0 then
        table.insert(errors, 1, ("Unexpected key(s) in state_dict: %s. "):format(quoted(report.unexpected_keys)))
      end
      if #report.missing_keys > 0 then
        table.insert(errors, 1, ("Missing key(s) in state_dict: %s. "):format(quoted(report.missing_keys)))
      end
    end
    if #errors > 0 then
      args.fail(nil, "%s", ("Error(s) in loading state_dict for %s:\n\t%s"):format(self.__name,
        table.concat(errors, "\n\t")))
    end
    return report.incompatible
  end

  -- --- hooks ------------------------------------------------------------------------------------------------
  --- hook(module, prefix, keep_vars) before state_dict() reads the module.
  function Module:register_state_dict_pre_hook(hook)
    return add_hook(self, "state_dict_pre", "register_state_dict_pre_hook", hook)
  end

  --- hook(module, state_dict, prefix, metadata) after state_dict() has read the module; it changes the map in place.
  function Module:register_state_dict_post_hook(hook)
    return add_hook(self, "state_dict_post", "register_state_dict_post_hook", hook)
  end

  --- As register_state_dict_post_hook, but a map the hook returns takes the place of state_dict()'s.
  function Module:_register_state_dict_hook(hook)
    return add_hook(self, "state_dict_private", "_register_state_dict_hook", hook)
  end

  --- hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors) before loading.
  function Module:register_load_state_dict_pre_hook(hook)
    return add_hook(self, "load_state_dict_pre", "register_load_state_dict_pre_hook", hook)
  end

  --- The same without the module as first argument, unless with_module.
  function Module:_register_load_state_dict_pre_hook(hook, with_module)
    if type(with_module) == "table" then with_module = with_module.with_module end
    return add_hook(self, with_module and "load_state_dict_pre" or "load_state_dict_private",
      "_register_load_state_dict_pre_hook", hook)
  end

  --- hook(module, incompatible_keys) after loading; it may edit the lists in place.
  function Module:register_load_state_dict_post_hook(hook)
    return add_hook(self, "load_state_dict_post", "register_load_state_dict_post_hook", hook)
  end
end
