-- Times steps of optimizers: one line each, "model name options<TAB>microseconds"; the twin of optim.py --worker.
--   build/lampad scripts/bench/optim.lua MODEL [PATTERN]      MODEL: mlp or resnet
local torch = require "lampad"
local core = require "lampad.core"
local optim = torch.optim
local model, pattern = arg[1], arg[2] or ""

torch.manual_seed(0)
local shapes = {}
for line in io.lines((arg[0]:match("^(.*)/") or ".") .. "/optim_" .. model .. ".txt") do
  local shape = {}
  for n in line:gmatch "%d+" do shape[#shape + 1] = math.tointeger(n) end
  if #shape > 0 then shapes[#shapes + 1] = shape end
end

local function parameters(only_matrices)
  local list = {}
  for _, shape in ipairs(shapes) do
    if not only_matrices or #shape == 2 then
      local p = (torch.randn(shape) * 0.05):requires_grad_()
      p.grad = torch.randn(shape) * 0.01
      list[#list + 1] = p
    end
  end
  return list
end

local cases = {
  { "SGD", { lr = 1e-3 } }, { "SGD momentum", { lr = 1e-3, momentum = 0.9, weight_decay = 1e-4 } },
  { "Adam", {} }, { "Adam amsgrad", { amsgrad = true } }, { "AdamW", {} }, { "Adadelta", {} }, { "Adagrad", {} },
  { "Adamax", {} }, { "ASGD", {} }, { "NAdam", {} }, { "RAdam", {} }, { "RMSprop", {} },
  { "RMSprop centered", { centered = true, momentum = 0.9 } }, { "Rprop", {} }, { "Adafactor", {} },
  { "Muon", {} }, { "clip_grad_norm_" }, { "clip_grad_value_" }, { "zero_grad" },
}

local function stepper(name, options)
  local utils = torch.nn.utils
  local params = parameters(name == "Muon")
  if #params == 0 then return nil end
  if name == "clip_grad_norm_" then return function() utils.clip_grad_norm_(params, 1e9) end end
  if name == "clip_grad_value_" then return function() utils.clip_grad_value_(params, 1e9) end end
  if name == "zero_grad" then
    local optimizer = optim.SGD(params, { lr = 0.1 })
    return function() optimizer:zero_grad(false) end
  end
  local optimizer = optim[name:match "%S+"](params, options)
  return function() optimizer:step() end
end

-- With one thread the processor's time counts: busy neighbours do not change it.
local clock = os.getenv "OMP_NUM_THREADS" == "1" and os.clock or core.now

for _, case in ipairs(cases) do
  local fn = case[1]:find(pattern, 1, true) and stepper(case[1], case[2])
  if fn then
    for _ = 1, 3 do fn() end
    local times = {}
    local start = core.now()
    while core.now() - start < 0.4 or #times < 7 do
      local before = clock()
      fn()
      times[#times + 1] = clock() - before
    end
    table.sort(times)
    print(("%s\t%.2f"):format(case[1], times[(#times + 1) // 2] * 1e6))
  end
end
