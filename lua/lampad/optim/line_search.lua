-- Line search for the strong Wolfe conditions (Nocedal and Wright 2006, section 3.5): a bracket is widened until it holds
-- a good step length, then narrowed; trial points come from cubic interpolation, safeguarded as in Schmidt's minFunc,
-- whose rules PyTorch's L-BFGS follows.
local DECREASE, CURVATURE = 1e-4, 0.9 -- the conditions' constants c1 and c2

-- The minimum of the cubic through two points with values f and slopes g, within [low, high].
local function cubic_minimum(x1, f1, g1, x2, f2, g2, low, high)
  if not low then low, high = math.min(x1, x2), math.max(x1, x2) end
  local d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
  local square = d1 * d1 - g1 * g2
  if not (square >= 0) then return (low + high) / 2 end
  local d2 = math.sqrt(square)
  local at
  if x1 <= x2 then
    at = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
  else
    at = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
  end
  return math.min(math.max(at, low), high)
end

-- A trial point: step length, loss, gradient, slope along the direction.
local function point(t, f, g, slope) return { t = t, f = f, g = g, slope = slope } end

--- evaluate(t) gives loss and gradient at step length t. start_t: the first trial; d: the direction; f, g, slope: at 0.
--- Returns loss, gradient, step length, and the number of evaluations.
return function(evaluate, start_t, d, f, g, slope, tolerance_change, max_evals)
  local evals = 0
  local function try(t)
    local f_new, g_new = evaluate(t)
    evals = evals + 1
    return point(t, f_new, g_new, g_new:dot(d):item())
  end
  local function too_high(p) return p.f > f + DECREASE * p.t * slope end
  local function is_flat(p) return math.abs(p.slope) <= -CURVATURE * slope end

  local origin = point(0, f, g, slope)
  local current, before = try(start_t), origin
  local bracket
  local done, iterations = false, 0
  while iterations < max_evals and not bracket do
    if too_high(current) or (iterations > 1 and current.f >= before.f) then
      bracket = { before, current }
    elseif is_flat(current) then
      bracket, done = { current }, true
    elseif current.slope >= 0 then
      bracket = { before, current }
    else
      local t = cubic_minimum(before.t, before.f, before.slope, current.t, current.f, current.slope,
        current.t + 0.01 * (current.t - before.t), current.t * 10)
      before, current = current, try(t)
      iterations = iterations + 1
    end
  end
  bracket = bracket or { origin, current }
  local width = d:abs():max():item()
  local low, high = 1, #bracket -- places in the bracket of the smaller and the larger loss
  local function order()
    if bracket[1].f <= bracket[#bracket].f then low, high = 1, #bracket else low, high = #bracket, 1 end
  end
  order()

  local slow = false -- the last trial lay close to an end of the bracket
  while not done and iterations < max_evals do
    local a, b = bracket[1], bracket[2]
    if math.abs(b.t - a.t) * width < tolerance_change then break end
    local t = cubic_minimum(a.t, a.f, a.slope, b.t, b.f, b.slope)
    local left, right = math.min(a.t, b.t), math.max(a.t, b.t)
    local margin = 0.1 * (right - left)
    if math.min(right - t, t - left) >= margin then
      slow = false
    elseif slow or t >= right or t <= left then
      t = math.abs(t - right) < math.abs(t - left) and right - margin or left + margin
      slow = false
    else
      slow = true
    end
    current = try(t)
    iterations = iterations + 1
    if too_high(current) or current.f >= bracket[low].f then
      bracket[high] = current
      order()
    else
      if is_flat(current) then
        done = true
      elseif current.slope * (bracket[high].t - bracket[low].t) >= 0 then
        bracket[high] = bracket[low]
      end
      bracket[low] = current
    end
  end
  local best = bracket[low]
  return best.f, best.g, best.t, evals
end
