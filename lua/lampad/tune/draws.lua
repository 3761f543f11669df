-- Random numbers of the samplers. Each is a function of a seed, a number and a name (the trial's and the parameter's), so that
-- a search that was interrupted goes on with the very draws of one that was not, whatever order parameters are asked in.
--
-- Generator: splitmix64 (Steele, Lea, Flood 2014), begun from the 64-bit FNV-1a hash of the name.
local Draws = {}
Draws.__index = Draws

--- draws(seed, number, name): a stream of its own.
local function draws(seed, number, name)
  local hash = 0xcbf29ce484222325
  for i = 1, #name do hash = (hash ~ name:byte(i)) * 0x100000001b3 end
  return setmetatable({ state = hash ~ (seed * 0x2545f4914f6cdd1d + number * 0x632be59bd9b4e019) }, Draws)
end

local function next_bits(self)
  self.state = self.state + 0x9e3779b97f4a7c15
  local z = self.state
  z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
  z = (z ~ (z >> 27)) * 0x94d049bb133111eb
  return z ~ (z >> 31)
end

--- Uniform in [0, 1).
function Draws:uniform() return (next_bits(self) >> 11) * 0x1p-53 end

--- An integer from 1 to n.
function Draws:index(n) return math.floor(self:uniform() * n) + 1 end

--- Standard normal, by Box and Muller.
function Draws:normal()
  return math.sqrt(-2 * math.log(1 - self:uniform())) * math.cos(2 * math.pi * self:uniform())
end

return draws
