-- torch.distributions.kl_divergence and register_kl: the registry of Kullback-Leibler divergences by pairs of classes.
-- The divergences themselves are registered by kl_same.lua (p and q of one class) and kl_cross.lua.
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"
local Distribution = require "lampad.distributions.distribution"

local M = {}
local registry = {} -- class of p -> class of q -> function(p, q)
local found         -- the same for classes looked up, false where nothing fits

-- How many steps up from a class to one above it, or nil.
local function steps_up(from, to)
  local steps = 0
  while from do
    if from == to then return steps end
    from, steps = rawget(from, "super"), steps + 1
  end
end

local function check_class(name, value)
  if type(value) ~= "table" or not steps_up(value, Distribution) then
    args.fail("register_kl", "Expected %s to be a Distribution subclass but got %s", name, text.describe(value))
  end
end

--- register_kl(P, Q, fn): kl_divergence of a P and a Q (or of classes below them) is fn(p, q). Without fn it returns a
--- function that takes it. Returns fn.
function M.register_kl(P, Q, fn)
  check_class("type_p", P)
  check_class("type_q", Q)
  if fn == nil then
    return function(later) return M.register_kl(P, Q, later) end
  end
  if type(fn) ~= "function" then
    args.fail("register_kl", "argument 'fn' must be a function, got %s", text.describe(fn))
  end
  registry[P] = registry[P] or {}
  registry[P][Q] = fn
  found = {}
  return fn
end

-- The registered pair nearest to the classes: by p's distance first, and by q's first. Where the two differ the pair is
-- ambiguous, and the first is taken.
local function nearest(P, Q)
  local best, best_p, best_q, other, other_p, other_q
  for super_p, row in pairs(registry) do
    local up_p = steps_up(P, super_p)
    for super_q, fn in pairs(up_p and row or {}) do
      local up_q = steps_up(Q, super_q)
      if up_q then
        if not best or up_p < best_p or up_p == best_p and up_q < best_q then best, best_p, best_q = fn, up_p, up_q end
        if not other or up_q < other_q or up_q == other_q and up_p < other_p then
          other, other_p, other_q = fn, up_p, up_q
        end
      end
    end
  end
  if best ~= other then
    Distribution._warn("Ambiguous kl_divergence(%s, %s). Please register_kl for this pair of classes.", P.__name, Q.__name)
  end
  return best
end

--- kl_divergence(p, q): the mean of log p(x) - log q(x) over numbers x of p, a tensor of the batch shape. Infinite where p
--- has numbers that q has not.
function M.kl_divergence(p, q)
  for name, value in pairs { p = p, q = q } do
    if not class.isinstance(value, Distribution) then
      args.fail("kl_divergence", "argument '%s' must be a Distribution, got %s", name, text.describe(value))
    end
  end
  if p == nil or q == nil then args.fail("kl_divergence", "takes two distributions, got %s", text.describe(p or q)) end
  local P, Q = class.class_of(p), class.class_of(q)
  found[P] = found[P] or {}
  local fn = found[P][Q]
  if fn == nil then
    fn = nearest(P, Q) or false
    found[P][Q] = fn
  end
  if not fn then
    args.fail("kl_divergence", "No KL(p || q) is implemented for p type %s and q type %s", P.__name, Q.__name)
  end
  return fn(p, q)
end

require "lampad.distributions.kl_same"(M)
require "lampad.distributions.kl_cross"(M)

return M
