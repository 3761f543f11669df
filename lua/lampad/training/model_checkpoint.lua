-- training.ModelCheckpoint: the files from which training goes on, the newest state and the best one.
--
--   local checkpoint = torch.training.ModelCheckpoint("run.ckpt", {net = net, optimizer = optimizer, scheduler = scheduler},
--     {monitor = "val_loss"})
--   local last = checkpoint:resume()                    -- nil at the first start
--   for epoch = last and last.epoch + 1 or 1, epochs do
--     ...
--     checkpoint:step {epoch = epoch, val_loss = loss}  -- writes run.ckpt, and run.best.ckpt when the loss is the lowest
--   end
--
-- Exact resume: a file holds the state_dict of every object, the state of the default generator and of every torch.Generator
-- among the objects, and the values of the step. Lua's own math.random cannot be asked for its state; draw from torch's generators.
--
-- Note [Order of the two files]: the best file is written first. The last file says which value the best one has; a stop
-- between the two leaves a last file one step behind, whose repetition writes the same best file again.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local watch = require "lampad.training.watch"

local torch = core.torch
local ModelCheckpoint = class.extend(class.Object, "ModelCheckpoint")
local spec = args [[ModelCheckpoint(str path, table objects, str monitor=nil, str mode='min', *, bool save_last=true,
  bool save_best=true, int every=1, function save=nil, function load=nil)]]

local VERSION = 1

-- run.ckpt -> run.best.ckpt, run -> run.best
local function best_path(path)
  local folder, name = path:match "^(.*/)([^/]*)$"
  folder, name = folder or "", name or path
  local stem, extension = name:match "^(.+)(%.[^.]*)$"
  return folder .. (stem or name) .. ".best" .. (extension or "")
end

local function is_generator(object) return type(object) == "userdata" and torch.isinstance(object, torch.Generator) end

--- ModelCheckpoint(path, objects, {monitor, mode = "min", save_last = true, save_best = true, every = 1, save, load}).
--- objects: modules, optimizers, schedulers, metrics, samplers, ... by name: whatever has state_dict and load_state_dict; and
--- torch.Generators. monitor: the name of the value whose best state is kept. every: the last file is written at every n-th
--- step. save(value, path) and load(path) write and read a file whole or not at all; the default is torch.save and torch.load.
function ModelCheckpoint:init(...)
  local o = spec:collect(...)
  watch.check_mode("ModelCheckpoint", o.mode)
  if o.every < 1 then args.fail("ModelCheckpoint", "`every` must be positive, got %d", o.every) end
  local names = {}
  for name, object in pairs(o.objects) do
    local ok, usable = pcall(function() return is_generator(object) or (object.state_dict and object.load_state_dict) end)
    if type(name) ~= "string" or not ok or not usable then
      args.fail("ModelCheckpoint", "objects['%s'] must be a torch.Generator or have state_dict and load_state_dict, got %s",
        tostring(name), text.describe(object))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  self.path, self.best_path = o.path, best_path(o.path)
  self.objects, self.monitor, self.mode, self.every = o.objects, o.monitor, o.mode, o.every
  self.save_last, self.save_best = o.save_last, o.save_best and o.monitor ~= nil
  self.best, self.steps = nil, 0
  self._names = names
  self._save = o.save or function(value, path) torch.save(value, path) end
  self._load = o.load or function(path) return torch.load(path) end
end

local function gather(self, values)
  local states = {}
  for _, name in ipairs(self._names) do
    local object = self.objects[name]
    states[name] = is_generator(object) and object:get_state() or object:state_dict()
  end
  return { version = VERSION, objects = states, values = values, rng = torch.get_rng_state(), steps = self.steps, best = self.best }
end

--- step(values): writes what is due; returns whether the monitored value was the best so far. `values` is a plain table that
--- resume() gives back: the epoch, losses, whatever the loop needs to go on.
function ModelCheckpoint:step(values)
  values = values or {}
  if type(values) ~= "table" then
    args.fail("ModelCheckpoint.step", "expected a table of values, got %s", text.describe(values))
  end
  self.steps = self.steps + 1
  local improved = false
  if self.monitor then
    if values[self.monitor] == nil then
      args.fail("ModelCheckpoint.step", "the monitored value '%s' is missing", self.monitor)
    end
    local value = watch.number("ModelCheckpoint.step", "'" .. self.monitor .. "'", values[self.monitor])
    improved = watch.better(self.mode, value, self.best)
    if improved then self.best = value end
  end
  local due = self.save_last and self.steps % self.every == 0
  if not (due or improved and self.save_best) then return improved end
  local state = gather(self, values)
  if improved and self.save_best then self._save(state, self.best_path) end -- Note [Order of the two files]
  if due then self._save(state, self.path) end
  return improved
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function read(self, path)
  local state = self._load(path)
  if type(state) ~= "table" or type(state.objects) ~= "table" or state.version ~= VERSION then
    args.fail("ModelCheckpoint", "%s is no file of a ModelCheckpoint", path)
  end
  for _, name in ipairs(self._names) do
    if state.objects[name] == nil then
      args.fail("ModelCheckpoint", "%s has no state of '%s'", path, name)
    end
  end
  return state
end

local function load_object(object, state)
  if is_generator(object) then object:set_state(state) else object:load_state_dict(state) end
end

--- resume(): loads the last file into the objects and generators and returns the values of its step; nil without a file.
function ModelCheckpoint:resume()
  if not exists(self.path) then return nil end
  local state = read(self, self.path)
  for _, name in ipairs(self._names) do load_object(self.objects[name], state.objects[name]) end
  self.best, self.steps = state.best, state.steps
  torch.set_rng_state(state.rng) -- last: loading may draw
  return state.values
end

--- load_best(names): loads the best file into the named objects (a name or a list, all by default) and returns its values. Random
--- numbers go on as they were.
function ModelCheckpoint:load_best(names)
  if type(names) == "string" then names = { names } end
  local state = read(self, self.best_path)
  for _, name in ipairs(names or self._names) do
    if self.objects[name] == nil then args.fail("ModelCheckpoint.load_best", "there is no object '%s'", tostring(name)) end
    load_object(self.objects[name], state.objects[name])
  end
  return state.values
end

return ModelCheckpoint
