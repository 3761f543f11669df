-- torch.utils.data.get_worker_info: who reads the data. Each worker has a Lua state, and so a copy of this file.
local class = require "lampad.class"
local text = require "lampad.text"

local WorkerInfo = class.extend(class.Object, "WorkerInfo")
function WorkerInfo:init(fields)
  for name, value in pairs(fields) do self[name] = value end
end

function WorkerInfo.__tostring(self)
  return ("WorkerInfo(id=%d, num_workers=%d, seed=%d, dataset=%s)"):format(self.id, self.num_workers, self.seed,
    text.describe(self.dataset))
end

local current

--- In a worker of a DataLoader its id (from 0), num_workers, seed and dataset (its copy); nil in the main program.
local function get_worker_info() return current end

local function set(fields) current = fields and WorkerInfo(fields) end

return { get_worker_info = get_worker_info, set = set }
