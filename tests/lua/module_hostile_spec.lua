-- Every public function of modules, containers and nn.utils with arguments of the wrong kinds: whatever raises says so
-- at the user's line, in words, and no class is changed.
local torch = require "lampad"
local nn = torch.nn

local makers = {
  linear = function() return nn.Linear(2, 2) end,
  sequential = function() return nn.Sequential(nn.Linear(2, 2), nn.ReLU()) end,
  list = function() return nn.ModuleList { nn.Linear(2, 2) } end,
  dict = function() return nn.ModuleDict { a = nn.ReLU() } end,
  parameters = function() return nn.ParameterList { torch.ones(2) } end,
  named = function() return nn.ParameterDict { a = torch.ones(2) } end,
}

local count = 9
local function odd(i)
  if i == 1 then return nil end
  if i == 2 then return -1 end
  if i == 3 then return "x" end
  if i == 4 then return { 1, 2 } end
  if i == 5 then return { a = 1 } end
  if i == 6 then return torch.ones(2) end
  if i == 7 then return nn.ReLU() end
  if i == 8 then return function() end end
  return nn.Linear
end

local function try(what, fn)
  local ok, err = pcall(fn)
  if rawget(nn.Linear, "bias") ~= nil then error(what .. " changed a class") end
  if ok then return end
  err = tostring(err)
  if err:find("attempt to", 1, true) or not err:find "module_hostile_spec.lua:%d+" then error(what .. ": " .. err, 0) end
end

-- Calls fn(x, y) with every pair of odd values.
local function all_pairs(what, fn)
  for i = 1, count do
    for j = 1, count do
      try(("%s(%d, %d)"):format(what, i, j), function()
        local result = fn(odd(i), odd(j))
        return result
      end)
    end
  end
end

-- Parts of the class system, not of the API.
local internal = { own_children = true, is_module = true, allocate = true, make_index = true, isinstance = true }

describe("wrong arguments", function()
  for name, make in pairs(makers) do
    it("to the methods of " .. make().__name, function()
      local C, seen = getmetatable(make()).class, {}
      while C do
        for key, value in pairs(C) do
          if type(value) == "function" and key:sub(1, 1) ~= "_" and not seen[key] and not internal[key] then
            seen[key] = true
            all_pairs(name .. ":" .. key, function(x, y)
              local object = make()
              local result = object[key](object, x, y)
              return result
            end)
          end
        end
        C = rawget(C, "super")
      end
    end)
  end

  it("to the functions of nn.utils", function()
    local utils = nn.utils
    for _, library in ipairs { utils, utils.prune, utils.parametrize, utils.parametrizations, utils.fusion } do
      for key, value in pairs(library) do
        if type(value) == "function" and key ~= "cached" then -- a scope, which would stay open
          all_pairs(key, value)
          all_pairs(key .. " of a module", function(x, y)
            local result = value(nn.Linear(2, 2), x, y)
            return result
          end)
          all_pairs(key .. " of a weight", function(x, y)
            local result = value(nn.Linear(2, 2), "weight", x, y)
            return result
          end)
        end
      end
    end
  end)

  it("to constructors", function()
    for _, name in ipairs { "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Parameter" } do
      all_pairs(name, nn[name])
    end
    for _, name in ipairs { "L1Unstructured", "LnStructured", "RandomStructured", "RandomUnstructured", "CustomFromMask",
      "Identity", "PruningContainer" } do
      local C = nn.utils.prune[name]
      all_pairs(name, C)
      all_pairs(name .. ".apply", function(x, y)
        local result = C.apply(nn.Linear(2, 2), "weight", x, y)
        return result
      end)
    end
  end)
end)
