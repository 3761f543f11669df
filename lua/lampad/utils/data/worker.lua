-- What a worker of a DataLoader does, in its own thread and Lua state (vm/worker.c): it gets tasks and sends
-- batches, until there are no more messages.
--
-- Messages to it: "epoch", epoch, base_seed; "task", epoch, task, first, indices, number.
-- Messages from it: epoch, task, "batch", values...; "end" when an iterable dataset has ended; "error", the error,
-- the traceback, the index of the sample or nil.
local core = require "lampad.core"
local Fetcher = require "lampad.utils.data.fetch"
local worker_info = require "lampad.utils.data.worker_info"

local torch = core.torch

-- The error and where it was raised, without the frames of the worker itself.
local function describe_error(err)
  local trace = debug.traceback("", 2):gsub("^\n?stack traceback:\n", "")
  local lines = {}
  for line in trace:gmatch "[^\n]+" do
    if line:find("[C]: in function 'xpcall'", 1, true) then break end
    lines[#lines + 1] = line
  end
  return { err = err, trace = table.concat(lines, "\n") }
end

local function send_error(channel, epoch, task, failure, index)
  -- Lua calls no handler when it is out of memory.
  if type(failure) ~= "table" or failure.trace == nil then failure = { err = failure, trace = "\t(no traceback)" } end
  local sent = pcall(channel.send, channel, epoch, task, "error", failure.err, failure.trace, index)
  if not sent then -- an error that is an object which cannot cross
    channel:send(epoch, task, "error", tostring(failure.err), failure.trace, index)
  end
end

-- ok and what the fetcher gave, or false and what describe_error made of the error.
local function answer(channel, fetcher, epoch, task, ok, ...)
  if ok and fetcher.is_iterable and (...) == nil then
    channel:send(epoch, task, "end")
  elseif ok then
    local sent, err = pcall(channel.send, channel, epoch, task, "batch", ...)
    if not sent then send_error(channel, epoch, task, { err = err, trace = "\t(handing the batch over)" }) end
  else
    send_error(channel, epoch, task, (...), fetcher.index)
  end
end

return function(channel, dataset, collate_fn, worker_init_fn, o)
  local id = channel:id()
  local seed = o.base_seed + id
  local function seed_generators(value)
    torch.manual_seed(value)
    math.randomseed(value)
  end
  seed_generators(seed)
  -- Lua's would end the whole program.
  function os.exit() error("os.exit was called in a DataLoader worker", 2) end -- luacheck: ignore 122
  worker_info.set { id = id, num_workers = o.num_workers, seed = seed, dataset = dataset }

  local failed, fetcher
  local function prepare()
    if worker_init_fn then worker_init_fn(id) end
    o.dataset, o.collate_fn = dataset, collate_fn
    fetcher = Fetcher(o)
    fetcher:start(o.base_seed)
  end
  local ok, failure = xpcall(prepare, describe_error)
  if not ok then failed = failure end

  while true do
    local kind, epoch, task, first, indices, number = channel:receive()
    if kind == nil then return end
    if failed then
      if kind == "task" then send_error(channel, epoch, task, failed) end
    elseif kind == "epoch" then
      if o.sample_seeds then seed_generators(task + id) end
      fetcher:start(task)
    else
      answer(channel, fetcher, epoch, task, xpcall(fetcher.read, describe_error, fetcher, indices, number, first))
    end
  end
end
