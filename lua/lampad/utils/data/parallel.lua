-- The iterator of a DataLoader with workers: gives tasks to them in turn, keeps prefetch_factor of them in flight
-- for each, and hands the batches out in order.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local crossing = require "lampad.crossing"

local Iterator = class.extend(class.Object, "DataLoaderIterator")

local SLICE_S = 0.05 -- how long the program waits in C before Lua may look at a debug hook (Ctrl-C of a host)

--- The workers of a loader: what they are given goes over once.
local Workers = class.extend(class.Object, "DataLoaderWorkers")

function Workers:init(loader, base_seed)
  self.n, self.epoch, self.version = loader.num_workers, 0, 1
  local o = {
    is_iterable = loader._iterable, is_batched = loader._batched, batch_size = loader.batch_size,
    drop_last = loader.drop_last, default_collate = loader._default_collate, sample_seeds = loader.sample_seeds,
    num_workers = loader.num_workers, base_seed = base_seed,
  }
  self.values = { loader.dataset, loader.collate_fn, loader.worker_init_fn, o }
  self.pool = core.worker_pool(self.n, "lampad.utils.data.worker",
    { "dataset", "collate_fn", "worker_init_fn", "options" }, table.unpack(self.values, 1, 4))
end

function Workers:close() self.pool:close() end

function Workers:is_closed() return self.pool:is_closed() end

-- Some library values of the setup are the program's own after all: they are to be copied.
function Workers:renew(version, names)
  if version ~= self.version then return end -- another worker has said it already
  self.version = version + 1
  crossing.bar(names)
  self.pool:renew(table.unpack(self.values, 1, 4))
end

-- The next message of this epoch: {id, number, kind, values...}; nil when `seconds` have passed.
function Workers:take(seconds)
  local until_s = core.now() + seconds
  while true do
    if self:is_closed() then args.fail("DataLoader", "the workers have ended") end
    local left = until_s - core.now()
    local message = table.pack(self.pool:take(math.max(0, math.min(left, SLICE_S))))
    local kind = message[1]
    if kind == "values" then
      if message[3] == self.epoch then return table.move(message, 4, message.n, 2, { message[2], n = message.n - 2 }) end
    elseif kind == "missing" then
      self:renew(message[3], message[4])
    elseif kind == "dead" then
      self:close()
      args.fail("DataLoader", "worker %d exited unexpectedly: %s", message[2], tostring(message[3]))
    elseif left <= 0 then
      return nil
    end
  end
end

--- `source` gives indices, the number of samples before them, that of batches, and a snapshot (dataloader.lua);
--- `progress` is told what was handed out.
function Iterator:init(loader, workers, base_seed, source, progress)
  self.loader, self.workers, self.source, self.progress = loader, workers, source, progress
  self.sent, self.wanted, self.outstanding = 0, 0, 0 -- numbers of tasks sent, of the one handed out next; in flight
  self.tasks = {}                                    -- number -> {worker, snapshot, message = once it is there}
  self.active, self.loads, self.turn = {}, {}, 0
  for id = 0, workers.n - 1 do self.active[id], self.loads[id] = true, 0 end
  workers.epoch = workers.epoch + 1
  self.epoch = workers.epoch
  if base_seed then
    for id = 0, workers.n - 1 do workers.pool:post(id, "epoch", self.epoch, base_seed) end
  end
  for _ = 1, loader.prefetch_factor * workers.n do self:send() end
end

-- The worker whose turn it is; nil when all have ended.
function Iterator:choose()
  local n, in_order = self.workers.n, self.loader.in_order
  local active = 0
  for id = 0, n - 1 do active = active + (self.active[id] and 1 or 0) end
  for _ = 1, n do
    local id = self.turn
    self.turn = (id + 1) % n
    if self.active[id] and (in_order or self.loads[id] < self.loader.prefetch_factor * n // active) then return id end
  end
end

function Iterator:send()
  if self.exhausted then return end
  local indices, first, number, snapshot = self.source()
  if indices == nil then
    self.exhausted = true
    return
  end
  local id = self:choose()
  if not id then return end
  self.workers.pool:post(id, "task", self.epoch, self.sent, first, indices, number)
  self.tasks[self.sent] = { worker = id, number = number, snapshot = snapshot }
  self.sent, self.outstanding = self.sent + 1, self.outstanding + 1
  self.loads[id] = self.loads[id] + 1
end

-- Raises a worker's error as it was, with where it happened. An error that is an object is raised as it is.
local function rethrow(id, number, err, trace, index)
  if type(err) ~= "string" then error(err, 0) end
  local where = index ~= nil and ("sample %s of the dataset, batch %d"):format(tostring(index), number)
    or ("batch %d"):format(number)
  error(("%s\nin DataLoader worker %d, %s:\n%s"):format(err, id, where, trace), 0)
end

-- Hands out the batch of task `number`, which is in `message`.
function Iterator:finish(number, message)
  local task = self.tasks[number]
  self.tasks[number] = nil
  self.loads[task.worker] = self.loads[task.worker] - 1
  self:send()
  local kind = message[3]
  if kind == "error" then rethrow(message[1], task.number, message[4], message[5], message[6]) end
  self.progress:advance(task.snapshot)
  return table.unpack(message, 4, message.n)
end

function Iterator:receive()
  local timeout = self.loader.timeout
  local message = self.workers:take(timeout > 0 and timeout or math.huge)
  if not message then
    args.fail("DataLoader", "timed out after %s seconds: no worker has finished a batch", tostring(timeout))
  end
  self.outstanding = self.outstanding - 1
  return message
end

--- The values of the next batch, or nil after the last.
function Iterator:next()
  if self.closed then return nil end
  if self.epoch ~= self.workers.epoch then
    args.fail("DataLoader", "with persistent_workers a loader has one iterator; this one ended when the next began")
  end
  while true do
    -- Tasks of workers whose dataset had ended will never come.
    while self.wanted < self.sent do
      local task = self.tasks[self.wanted]
      if task and (task.message or self.active[task.worker]) then break end
      self.tasks[self.wanted] = nil
      self.wanted = self.wanted + 1
    end
    if self.wanted >= self.sent then
      self:close()
      self.progress:finish()
      return nil
    end
    local task = self.tasks[self.wanted]
    if task.message then
      self.wanted = self.wanted + 1
      return self:finish(self.wanted - 1, task.message)
    end
    local message = self:receive()
    local number, kind = message[2], message[3]
    local its_task = self.tasks[number]
    if kind == "end" then
      if its_task and self.active[message[1]] then
        self.active[message[1]] = false
        self:send()
      end
    elseif its_task then
      if number == self.wanted then
        self.wanted = number + 1
        return self:finish(number, message)
      end
      if not self.loader.in_order then return self:finish(number, message) end
      its_task.message = message
    end
  end
end

--- Ends the epoch: the workers too, unless they are to persist.
function Iterator:close()
  self.closed = true
  self.tasks = {}
  if not self.loader.persistent_workers then self.workers:close() end
end

return { Iterator = Iterator, Workers = Workers }
