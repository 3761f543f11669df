-- Optimizer steps, of the domain ai.onnx.preview.training. The inputs after R and T are lists one behind the other:
-- tensors, gradients, states.
local op = {}

-- Calls step(tensor, gradient, states...) for every tensor; the results, list by list. `lists` counts the lists given.
local function for_each(lists, step, ...)
  local all = { ... }
  local count = #all // lists
  local results = {}
  for i = 1, count do
    local own = {}
    for l = 0, lists - 1 do own[l + 1] = all[l * count + i] end
    for l, r in ipairs { step(table.unpack(own)) } do results[(l - 1) * count + i] = r end
  end
  return table.unpack(results)
end

op.Adagrad = function(node, rate, count, ...)
  local r = rate:item() / (1 + count:item() * node:get("decay_factor", 0.0))
  return for_each(3, function(x, g, h)
    g = g + x * node:get("norm_coefficient", 0.0)
    h = h + g * g
    return x - g * r / (h:sqrt() + node:get("epsilon", 1e-6)), h
  end, ...)
end

op.Adam = function(node, rate, count, ...)
  local alpha, beta, t = node:get("alpha", 0.9), node:get("beta", 0.999), count:item()
  local r = rate:item()
  if t > 0 then r = r * math.sqrt(1 - beta ^ t) / (1 - alpha ^ t) end
  return for_each(4, function(x, g, v, h)
    g = g + x * node:get("norm_coefficient", 0.0)
    v = v * alpha + g * (1 - alpha)
    h = h * beta + g * g * (1 - beta)
    local moved = x - v * r / (h:sqrt() + node:get("epsilon", 1e-6))
    return moved * (1 - node:get("norm_coefficient_post", 0.0)), v, h
  end, ...)
end

op.Momentum = function(node, rate, count, ...)
  local r, alpha = rate:item(), node:need "alpha"
  local beta = count:item() > 0 and node:need "beta" or 1.0
  return for_each(3, function(x, g, v)
    g = g + x * node:need "norm_coefficient"
    v = v * alpha + g * beta
    if node:need "mode" == "nesterov" then return x - (g + v * alpha) * r, v end
    return x - v * r, v
  end, ...)
end

return op
