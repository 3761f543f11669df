-- tune.TPESampler: tree-structured Parzen estimator. The trials so far are split into the good ones and the others; for each
-- parameter the density l of the good values and the density g of the others are estimated, candidates are drawn from l, and
-- the one with the largest l / g is taken. Parameters are taken as independent.
-- Source: Bergstra, Bardenet, Bengio, Kégl, "Algorithms for Hyper-Parameter Optimization", 2011.
local class = require "lampad.class"
local args = require "lampad.args"
local draws = require "lampad.tune.draws"
local space = require "lampad.tune.space"
local RandomSampler = require "lampad.tune.random"

local TPESampler = class.extend(class.Object, "TPESampler")
local spec = args "TPESampler(int seed=0, *, int n_startup_trials=10, int n_ei_candidates=24, float gamma=0.1)"

--- TPESampler({seed = 0, n_startup_trials = 10, n_ei_candidates = 24, gamma = 0.1}): the first trials are drawn at random; then the
--- best `gamma` of the trials, at most 25, count as good.
function TPESampler:init(...)
  local o = spec:collect(...)
  if o.n_ei_candidates < 1 then args.fail("TPESampler", "`n_ei_candidates` must be positive, got %d", o.n_ei_candidates) end
  if not (o.gamma > 0 and o.gamma < 1) then args.fail("TPESampler", "`gamma` must be between 0 and 1, got %g", o.gamma) end
  self.seed, self.n_startup_trials, self.n_ei_candidates, self.gamma = o.seed, o.n_startup_trials, o.n_ei_candidates, o.gamma
  self.at_random = RandomSampler(o.seed)
end

-- Trials that say something about the parameter, best first: complete ones by value, then pruned ones, longest first.
local function ranked(study, name)
  local list = {}
  for _, trial in ipairs(study.trials) do
    if trial.params[name] ~= nil then
      local last, step
      for at, value in pairs(trial.intermediate_values) do
        if not step or at > step then last, step = value, at end
      end
      if trial.state == "complete" then
        list[#list + 1] = { trial = trial, rank = 0, value = trial.value }
      elseif trial.state == "pruned" and step and last == last then
        list[#list + 1] = { trial = trial, rank = -step, value = last }
      end
    end
  end
  local sign = study.direction == "minimize" and 1 or -1
  table.sort(list, function(a, b)
    local pruned_a, pruned_b = a.trial.state == "pruned", b.trial.state == "pruned"
    if pruned_a ~= pruned_b then return pruned_b end
    if a.rank ~= b.rank then return a.rank < b.rank end
    if a.value ~= b.value then return sign * a.value < sign * b.value end
    return a.trial.number < b.trial.number
  end)
  return list
end

-- --- densities --------------------------------------------------------------------------------------
-- The normal distribution function, by Abramowitz and Stegun 7.1.26 (error below 1.5e-7).
local function normal_cdf(x)
  local z = math.abs(x) / math.sqrt(2)
  local t = 1 / (1 + 0.3275911 * z)
  local poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
  local erf = 1 - poly * math.exp(-z * z)
  return x >= 0 and 0.5 * (1 + erf) or 0.5 * (1 - erf)
end

-- How much the trials count, oldest first: the newest 25 in full, those before less and less, so that what was learnt while
-- nothing was known of the other parameters fades.
local function weights_by_age(count)
  local weights, old = {}, math.max(0, count - 25)
  for i = 1, count do
    weights[i] = i > old and 1 or old == 1 and 1 / count or 1 / count + (1 - 1 / count) * (i - 1) / (old - 1)
  end
  return weights
end

-- A mixture of normals cut off at the ends of [low, high]: one at each point, as wide as the farther of its neighbours is away,
-- and one in the middle that covers the whole interval, so that no part is ever ruled out.
local function parzen(points, low, high)
  local width, centres = high - low, { { at = (low + high) / 2, prior = true } }
  local weights, total = weights_by_age(#points), 1
  centres[1].weight = 1
  for i, p in ipairs(points) do
    centres[#centres + 1] = { at = p, weight = weights[i] }
    total = total + weights[i]
  end
  table.sort(centres, function(a, b) return a.at < b.at end)
  centres.total = total
  local smallest = width / math.min(100, 1 + #centres)
  for i, centre in ipairs(centres) do
    if centre.prior then
      centre.sigma = width
    else
      local left = i > 1 and centre.at - centres[i - 1].at or 0
      local right = i < #centres and centres[i + 1].at - centre.at or 0
      centre.sigma = math.min(math.max(left, right, smallest), width)
    end
    if centre.sigma <= 0 then centre.sigma = 1 end -- an interval of one point
    centre.mass = normal_cdf((high - centre.at) / centre.sigma) - normal_cdf((low - centre.at) / centre.sigma)
  end
  return centres
end

-- The logarithm of the mixture's density at x; with a range, of its mass in [from, to].
local function log_density(centres, x, from, to)
  local sum = 0
  for _, centre in ipairs(centres) do
    local part
    if from then
      part = normal_cdf((to - centre.at) / centre.sigma) - normal_cdf((from - centre.at) / centre.sigma)
    else
      local z = (x - centre.at) / centre.sigma
      part = math.exp(-0.5 * z * z) / centre.sigma
    end
    sum = sum + centre.weight * part / math.max(centre.mass, 1e-12)
  end
  return math.log(math.max(sum / centres.total, 1e-12))
end

-- An index by weights that sum to `total`.
local function pick(stream, weight_of, count, total)
  local u = stream:uniform() * total
  for i = 1, count - 1 do
    u = u - weight_of(i)
    if u < 0 then return i end
  end
  return count
end

local function draw(centres, stream, low, high)
  local centre = centres[pick(stream, function(i) return centres[i].weight end, #centres, centres.total)]
  for _ = 1, 100 do
    local x = centre.at + centre.sigma * stream:normal()
    if x >= low and x <= high then return x end
  end
  return math.min(math.max(centre.at, low), high)
end

local function numeric(self, s, good, bad, stream)
  local low, high = space.bounds(s)
  local l, g = parzen(good, low, high), parzen(bad, low, high)
  local best, best_score
  for _ = 1, self.n_ei_candidates do
    -- Candidates are compared where the space has values; one of an integer or a stepped space stands for its surroundings.
    local value = space.value_at(s, draw(l, stream, low, high))
    local x, from, to = space.point_of(s, value), nil, nil
    if s.step then from, to = space.point_of(s, value - s.step / 2), space.point_of(s, value + s.step / 2) end
    local score = log_density(l, x, from, to) - log_density(g, x, from, to)
    if not best_score or score > best_score then best, best_score = x, score end
  end
  return space.value_at(s, best)
end

local function categorical(self, s, good, bad, stream)
  local function weights(values)
    local result, total, by_age = {}, 0, weights_by_age(#values)
    for i, choice in ipairs(s.choices) do
      result[i] = 1
      for k, value in ipairs(values) do if value == choice then result[i] = result[i] + by_age[k] end end
      total = total + result[i]
    end
    for i = 1, #result do result[i] = result[i] / total end
    return result
  end
  local l, g = weights(good), weights(bad)
  local best, best_score
  for _ = 1, self.n_ei_candidates do
    local i = pick(stream, function(k) return l[k] end, #l, 1)
    local score = l[i] / g[i]
    if not best_score or score > best_score then best, best_score = i, score end
  end
  return s.choices[best]
end

function TPESampler:sample(study, trial, name, s)
  local list = ranked(study, name)
  if #list < self.n_startup_trials or #list == 0 then return self.at_random:sample(study, trial, name, s) end
  local n_good = math.min(math.ceil(self.gamma * #list), 25)
  local is_good = {}
  for i = 1, n_good do is_good[list[i].trial] = true end
  table.sort(list, function(a, b) return a.trial.number < b.trial.number end)
  local good, bad = {}, {}
  for _, entry in ipairs(list) do
    local value = entry.trial.params[name]
    if space.contains(s, value) then
      local into = is_good[entry.trial] and good or bad
      into[#into + 1] = s.kind == "categorical" and value or space.point_of(s, value)
    end
  end
  local stream = draws(self.seed, trial.number, name)
  return (s.kind == "categorical" and categorical or numeric)(self, s, good, bad, stream)
end

return TPESampler
