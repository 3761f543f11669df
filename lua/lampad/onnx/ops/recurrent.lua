-- RNN, GRU and LSTM, step by step over basic ops.
--   X [time, batch, input], W [directions, gates * hidden, input], R [directions, gates * hidden, hidden],
--   B [directions, 2 * gates * hidden]: the biases of W, then those of R.
-- With layout = 1 the batch comes first in X, Y and the states.
local core = require "lampad.core"

local torch = core.torch
local F = torch.nn.functional
local op = {}

-- --- activations --------------------------------------------------------------------------------------
-- f(x, alpha, beta), with the defaults of alpha and beta where it has them.
local activations = {
  sigmoid = { torch.sigmoid }, tanh = { torch.tanh }, relu = { torch.relu },
  affine = { function(x, a, b) return x * a + b end, 1.0, 0.0 },
  leakyrelu = { function(x, a) return F.leaky_relu(x, a) end, 0.01 },
  thresholdedrelu = { function(x, a) return torch.where(x:gt(a), x, torch.zeros_like(x)) end, 1.0 },
  scaledtanh = { function(x, a, b) return torch.tanh(x * b) * a end, 1.0, 1.0 },
  hardsigmoid = { function(x, a, b) return (x * a + b):clamp(0, 1) end, 0.2, 0.5 },
  elu = { function(x, a) return F.elu(x, a) end, 1.0 },
  softsign = { function(x) return F.softsign(x) end },
  softplus = { function(x) return F.softplus(x) end },
}

-- The activation functions of one direction, of which there are `count`.
local function activations_of(node, direction, count, defaults)
  local names, alphas, betas = node:get "activations", node:get("activation_alpha", {}), node:get("activation_beta", {})
  local result, alpha_at, beta_at = {}, 0, 0
  for i = 1, names and #names or (direction + 1) * count do
    local name = (names and names[i] or defaults[(i - 1) % count + 1]):lower()
    local entry = activations[name] or node:fail("unknown activation '%s'", name)
    local f, alpha, beta = table.unpack(entry)
    -- The lists of alpha and beta count only activations that have them.
    if alpha then
      alpha_at = alpha_at + 1
      alpha = alphas[alpha_at] or alpha
    end
    if beta then
      beta_at = beta_at + 1
      beta = betas[beta_at] or beta
    end
    if i > direction * count then
      result[#result + 1] = alpha and function(x) return f(x, alpha, beta) end or function(x) return f(x) end
    end
  end
  return result
end

-- --- the loop over time -------------------------------------------------------------------------------
-- Runs `step(cell, x, h, c) -> h, c` over time for every direction. `make_cell(direction)` gives the weights of one.
local function recur(node, x, lengths, initial_h, initial_c, hidden, make_cell, step)
  local layout = node:get("layout", 0)
  if layout == 1 then
    x = x:transpose(0, 1)
    initial_h, initial_c = initial_h and initial_h:transpose(0, 1), initial_c and initial_c:transpose(0, 1)
  end
  local time, batch = x:size(0), x:size(1)
  local direction = node:get("direction", "forward")
  local count = direction == "bidirectional" and 2 or 1
  local outputs, last_h, last_c = {}, {}, {}
  for d = 0, count - 1 do
    local reverse = direction == "reverse" or d == 1
    local cell = make_cell(d)
    local zeros = torch.zeros(batch, hidden, { dtype = x.dtype })
    local h = initial_h and initial_h:select(0, d) or zeros
    local c = initial_c and initial_c:select(0, d) or zeros
    local steps = {}
    for t = 0, time - 1 do
      local at = reverse and time - 1 - t or t
      local new_h, new_c = step(cell, x:select(0, at), h, c)
      local output = new_h
      if lengths then
        -- Past its end a sequence gives zeros and keeps its state.
        local running = lengths:gt(at):unsqueeze(1)
        output = torch.where(running, new_h, zeros)
        new_h = torch.where(running, new_h, h)
        new_c = new_c and torch.where(running, new_c, c)
      end
      h, c = new_h, new_c
      steps[at + 1] = output
    end
    outputs[d + 1] = time > 0 and torch.stack(steps, 0) or torch.zeros(0, batch, hidden, { dtype = x.dtype })
    last_h[d + 1], last_c[d + 1] = h, c
  end
  local y, y_h = torch.stack(outputs, 1), torch.stack(last_h, 0) -- [time, directions, batch, hidden]
  local y_c = last_c[1] and torch.stack(last_c, 0)
  if layout == 1 then
    return y:permute(2, 0, 1, 3), y_h:transpose(0, 1), y_c and y_c:transpose(0, 1)
  end
  return y, y_h, y_c
end

-- The weights of one direction; biases are zeros when there are none.
local function weights_of(direction, w, r, b)
  local cell = { w = w:select(0, direction):t(), r = r:select(0, direction):t() }
  local rows = w:size(1)
  if b then
    local both = b:select(0, direction)
    cell.wb, cell.rb = both:narrow(0, 0, rows), both:narrow(0, rows, rows)
  else
    cell.wb = torch.zeros(rows, { dtype = w.dtype })
    cell.rb = cell.wb
  end
  return cell
end

local function clipper(node)
  local clip = node:get "clip"
  if not clip then return function(x) return x end end
  return function(x) return x:clamp(-clip, clip) end
end

op.RNN = function(node, x, w, r, b, lengths, initial_h)
  local hidden, clip = r:size(2), clipper(node)
  local y, y_h = recur(node, x, lengths, initial_h, nil, hidden, function(direction)
    local cell = weights_of(direction, w, r, b)
    cell.f = activations_of(node, direction, 1, { "Tanh" })[1]
    return cell
  end, function(cell, xt, h)
    return cell.f(clip(torch.matmul(xt, cell.w) + torch.matmul(h, cell.r) + cell.wb + cell.rb)), nil
  end)
  return y, y_h
end

op.GRU = function(node, x, w, r, b, lengths, initial_h)
  local hidden, clip = r:size(2), clipper(node)
  local before_reset = node:flag "linear_before_reset"
  local y, y_h = recur(node, x, lengths, initial_h, nil, hidden, function(direction)
    local cell = weights_of(direction, w, r, b)
    cell.f, cell.g = table.unpack(activations_of(node, direction, 2, { "Sigmoid", "Tanh" }))
    return cell
  end, function(cell, xt, h)
    -- Gates in the order z (update), r (reset), h (new).
    local xz, xr, xh = table.unpack((torch.matmul(xt, cell.w) + cell.wb):chunk(3, 1))
    local rz, rr, rh = table.unpack(cell.r:chunk(3, 1))
    local bz, br, bh = table.unpack(cell.rb:chunk(3, 0))
    local z = cell.f(clip(xz + torch.matmul(h, rz) + bz))
    local reset = cell.f(clip(xr + torch.matmul(h, rr) + br))
    local inner = before_reset and reset * (torch.matmul(h, rh) + bh) or torch.matmul(reset * h, rh) + bh
    local new = cell.g(clip(xh + inner))
    return (1 - z) * new + z * h, nil
  end)
  return y, y_h
end

op.LSTM = function(node, x, w, r, b, lengths, initial_h, initial_c, peepholes)
  local hidden, clip = r:size(2), clipper(node)
  local coupled = node:flag "input_forget"
  return recur(node, x, lengths, initial_h, initial_c, hidden, function(direction)
    local cell = weights_of(direction, w, r, b)
    cell.f, cell.g, cell.h = table.unpack(activations_of(node, direction, 3, { "Sigmoid", "Tanh", "Tanh" }))
    -- Peepholes in the order i, o, f.
    if peepholes then cell.pi, cell.po, cell.pf = table.unpack(peepholes:select(0, direction):chunk(3, 0)) end
    return cell
  end, function(cell, xt, h, c)
    -- Gates in the order i (input), o (output), f (forget), c (cell).
    local gates = torch.matmul(xt, cell.w) + torch.matmul(h, cell.r) + cell.wb + cell.rb
    local i, o, f, g = table.unpack(gates:chunk(4, 1))
    if cell.pi then i, f = i + cell.pi * c, f + cell.pf * c end
    i = cell.f(clip(i))
    f = coupled and 1 - i or cell.f(clip(f))
    local new_c = f * c + i * cell.g(clip(g))
    if cell.po then o = o + cell.po * new_c end
    return cell.f(clip(o)) * cell.h(new_c), new_c
  end)
end

return op
