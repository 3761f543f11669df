-- Learns to balance a pole on a cart by policy gradients (REINFORCE, Williams 1992), with the mean return as baseline.
--   lampad scripts/train_reinforce.lua [options]
-- The cart-pole problem is that of Barto, Sutton and Anderson (1983): two forces, a reward of 1 a step, the end when the pole falls
-- beyond 12 degrees, the cart leaves 2.4 m or 500 steps have passed.
-- The last line is "mean length: ...", of 20 episodes in which the likelier force is taken.
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")

local options = script.options {
  { "updates", 60, "of the policy" },
  { "episodes", 8, "for each update" },
  { "hidden", 64, "width of the hidden layer" },
  { "lr", 1e-2, "learning rate" },
  { "discount", 0.99, "of later rewards, a step" },
  quick = { updates = 4, episodes = 4, hidden = 16 },
}

-- --- the cart and its pole ----------------------------------------------------------------------------------
local CartPole = { gravity = 9.8, cart = 1.0, pole = 0.1, half_length = 0.5, force = 10.0, seconds = 0.02, longest = 500 }
CartPole.__index = CartPole

--- A new episode; its state is {position, speed, angle, angular speed}, each between -0.05 and 0.05.
function CartPole.new(generator)
  local state = torch.rand(4, { generator = generator }):tolist()
  for i = 1, 4 do state[i] = state[i] * 0.1 - 0.05 end
  return setmetatable({ state = state, steps = 0 }, CartPole)
end

--- Pushes to the left or right for a step, by Euler's method; true when the episode is over.
function CartPole:push(right)
  local x, v, angle, spin = table.unpack(self.state)
  local mass = self.cart + self.pole
  local force = right and self.force or -self.force
  local sine, cosine = math.sin(angle), math.cos(angle)
  local shared = (force + self.pole * self.half_length * spin * spin * sine) / mass
  local turn = (self.gravity * sine - cosine * shared) / (self.half_length * (4 / 3 - self.pole * cosine * cosine / mass))
  local push = shared - self.pole * self.half_length * turn * cosine / mass
  local t = self.seconds
  self.state = { x + t * v, v + t * push, angle + t * spin, spin + t * turn }
  self.steps = self.steps + 1
  return math.abs(self.state[1]) > 2.4 or math.abs(self.state[3]) > math.rad(12) or self.steps >= self.longest
end

-- --- the policy -----------------------------------------------------------------------------------------------
-- The logit of pushing to the right.
local policy = nn.Sequential(nn.Linear(4, options.hidden), nn.Tanh(), nn.Linear(options.hidden, 1))
local optimizer = optim.Adam(policy:parameters(), { lr = options.lr })

-- The states and pushes of an episode.
local function play(env, decide)
  local states, pushes = {}, {}
  repeat
    states[#states + 1] = env.state
    local right = decide(policy(torch.tensor(env.state)):item())
    pushes[#pushes + 1] = right and 1.0 or 0.0
  until env:push(right)
  return states, pushes
end

local function at_random(logit) return torch.rand(1):item() < 1 / (1 + math.exp(-logit)) end
local function likelier(logit) return logit > 0 end

local history = script.loop(options, { policy = policy, optimizer = optimizer }, {
  unit = "update", count = options.updates,
  step = function()
    local states, pushes, returns, total = {}, {}, {}, 0
    torch.no_grad(function()
      for _ = 1, options.episodes do
        local s, p = play(CartPole.new(torch.default_generator), at_random)
        total = total + #s
        -- The discounted rewards from each step to the end.
        local value, gains = 0, {}
        for i = #s, 1, -1 do
          value = 1 + options.discount * value
          gains[i] = value
        end
        table.move(s, 1, #s, #states + 1, states)
        table.move(p, 1, #p, #pushes + 1, pushes)
        table.move(gains, 1, #gains, #returns + 1, returns)
      end
    end)
    local gain = torch.tensor(returns)
    local advantage = (gain - gain:mean()) / (gain:std() + 1e-8)
    local logits = policy(torch.tensor(states)):squeeze(1)
    local loss = F.binary_cross_entropy_with_logits(logits, torch.tensor(pushes), { weight = advantage })
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    return { length = total / options.episodes, loss = loss:item() }
  end,
})

local generator, total = torch.Generator(), 0
generator:manual_seed(77)
torch.no_grad(function()
  for _ = 1, 20 do total = total + #(play(CartPole.new(generator), likelier)) end
end)
print(("while learning: %.1f at first, %.1f at last"):format(history[1].length, history[#history].length))
script.final("mean length", total / 20)
