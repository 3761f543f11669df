-- Goes on with the training that training.py began, saves the states it took over into again/, and begins training of its own
-- in own/. The net and its data are those of training.py.
--   build/lampad scripts/interop/training.lua FOLDER
local torch = require "lampad"
local json = require "lampad.json"
local here = arg[0]:match "^(.*)/" or "."
local D = dofile(here .. "/describe.lua")
local optim, lr_scheduler = torch.optim, torch.optim.lr_scheduler
local folder = arg[1]
torch.warnings.simplefilter "ignore"

os.execute(("mkdir -p '%s/again' '%s/own'"):format(folder, folder))

local SHAPES = { { 4, 3 }, { 4 }, { 2, 4 }, { 2 }, {} }
local MATRICES = { { 4, 3 }, { 2, 4 } }

local function wave(shape, phase, dtype)
  local count, values = 1, {}
  for _, n in ipairs(shape) do count = count * n end
  for k = 0, count - 1 do values[k + 1] = math.sin(0.7 * k + phase) end
  return torch.tensor(values, { dtype = torch.float64 }):reshape(shape):to(dtype)
end

local function loss_of(p, step, dtype)
  local x, y = wave({ 6, 3 }, 0.2 + 0.1 * step, dtype), wave({ 6, 2 }, 0.9, dtype)
  if #p == 2 then return (torch.tanh(x:mm(p[1].T)):mm(p[2].T) - y):square():mean() end
  return ((torch.tanh(x:mm(p[1].T) + p[2]):mm(p[3].T) + p[4]) * (p[5] + 1) - y):square():mean()
end

local function plain(params)
  local copies = {}
  for i, p in ipairs(params) do copies[i] = p:detach():clone() end
  return copies
end

local function make(row)
  local options = {}
  for name, value in pairs(row.options) do options[name] = value ~= json.null and value or nil end
  local dtype = options.half and torch.float32 or torch.float64
  options.half = nil
  local params = {}
  for i, shape in ipairs(row.name == "Muon" and MATRICES or SHAPES) do
    params[i] = (wave(shape, i - 1, dtype) * 0.5):requires_grad_()
  end
  return params, optim[row.name](params, options), dtype
end

local function train(row, params, optimizer, dtype, from, to)
  for step = from, to do
    local function closure()
      optimizer:zero_grad()
      local loss = loss_of(params, row.name == "LBFGS" and 0 or step, dtype)
      loss:backward()
      return loss
    end
    if row.name == "LBFGS" then
      optimizer:step(closure)
    else
      closure()
      optimizer:step()
    end
  end
end

local function far(want, got, tolerance)
  local faults = {}
  for i, a in ipairs(want) do
    local off = (a:double() - got[i]:double()):abs():max():item()
    if not (off <= tolerance) then faults[#faults + 1] = ("number %d is off by %g, allowed are %g"):format(i, off, tolerance) end
  end
  return faults
end

local function tolerance_of(row)
  if row.name == "Muon" then return 2e-2 end -- computes in bfloat16
  return row.options.half and 1e-5 or 1e-9
end

-- What a row does: a fault in the middle is its failure, not the end of all.
local function try(name, run)
  local ok, faults = xpcall(run, debug.traceback)
  D.result(name, ok and faults or { tostring(faults) })
end

local function optimizer_row(row)
  local label = row.name .. " " .. json.encode(row.options)
  local path = folder .. "/" .. row.id
  try(label, function()
    local saved = torch.load(path .. ".pt")
    local params, optimizer, dtype = make(row)
    torch.no_grad(function()
      for i, p in ipairs(params) do p:copy_(saved.params[i]) end
    end)
    optimizer:load_state_dict(saved.optimizer)
    torch.save({ optimizer = optimizer:state_dict() }, ("%s/again/%s.pt"):format(folder, row.id))
    if row.name == "SparseAdam" then return {} end -- its steps need sparse gradients
    train(row, params, optimizer, dtype, row.first, row.first + row.more - 1)
    return far(torch.load(path .. ".end"), params, tolerance_of(row))
  end)
  if row.name == "SparseAdam" then return end
  try("own " .. label, function()
    local params, optimizer, dtype = make(row)
    train(row, params, optimizer, dtype, 0, row.first - 1)
    torch.save({ params = plain(params), optimizer = optimizer:state_dict() }, ("%s/own/%s.pt"):format(folder, row.id))
    train(row, params, optimizer, dtype, row.first, row.first + row.more - 1)
    torch.save(plain(params), ("%s/own/%s.end"):format(folder, row.id))
    return {}
  end)
end

local function schedule(row)
  local params = { torch.zeros(2):requires_grad_(), torch.zeros(3):requires_grad_() }
  local optimizer = optim.SGD({ { params = { params[1] }, lr = 0.1 }, { params = { params[2] }, lr = 0.05 } }, { momentum = 0.9 })
  local name, made = row.name
  if name == "LambdaLR" then
    made = lr_scheduler.LambdaLR(optimizer, function(epoch) return 0.95 ^ epoch end)
  elseif name == "MultiplicativeLR" then
    made = lr_scheduler.MultiplicativeLR(optimizer, function() return 0.9 end)
  elseif name == "SequentialLR" then
    made = lr_scheduler.SequentialLR(optimizer, { lr_scheduler.ConstantLR(optimizer, { factor = 0.1, total_iters = 4 }),
      lr_scheduler.ExponentialLR(optimizer, 0.9) }, { 9 })
  elseif name == "ChainedScheduler" then
    made = lr_scheduler.ChainedScheduler({ lr_scheduler.ConstantLR(optimizer, { factor = 0.1, total_iters = 8 }),
      lr_scheduler.ExponentialLR(optimizer, 0.9) }, optimizer)
  else
    made = lr_scheduler[name](optimizer, row.options)
  end
  return optimizer, made
end

local function rates(row, optimizer, scheduler, from, to)
  local result = {}
  for step = from, to do
    optimizer:step()
    if row.name == "ReduceLROnPlateau" then scheduler:step(1.0 / (1 + math.min(step, 4))) else scheduler:step() end
    local lrs = {}
    for i, group in ipairs(optimizer.param_groups) do lrs[i] = group.lr end
    result[#result + 1] = lrs
  end
  return torch.tensor(result, { dtype = torch.float64 })
end

local function scheduler_row(row)
  local label, path = row.name .. " " .. json.encode(row.options), folder .. "/" .. row.id
  local function save(to, optimizer, scheduler)
    torch.save({ optimizer = optimizer:state_dict(), scheduler = scheduler:state_dict() }, to)
  end
  try(label, function()
    local saved = torch.load(path .. ".pt")
    local optimizer, scheduler = schedule(row)
    optimizer:load_state_dict(saved.optimizer)
    scheduler:load_state_dict(saved.scheduler)
    save(("%s/again/%s.pt"):format(folder, row.id), optimizer, scheduler)
    local got = rates(row, optimizer, scheduler, row.first, row.first + row.more - 1)
    return far({ torch.load(path .. ".end") }, { got }, 1e-12)
  end)
  try("own " .. label, function()
    local optimizer, scheduler = schedule(row)
    rates(row, optimizer, scheduler, 0, row.first - 1)
    save(("%s/own/%s.pt"):format(folder, row.id), optimizer, scheduler)
    torch.save(rates(row, optimizer, scheduler, row.first, row.first + row.more - 1), ("%s/own/%s.end"):format(folder, row.id))
    return {}
  end)
end

local file <close> = assert(io.open(folder .. "/rows.json"))
for _, row in ipairs(json.decode(file:read "a")) do
  for name, value in pairs(row.options) do -- a list of JSON's has a mark
    row.options[name] = type(value) == "table" and { table.unpack(value) } or value
  end
  if row.id:find "^optimizer" then optimizer_row(row) else scheduler_row(row) end
end
D.finish()
