-- Says whether one build is slower than another, from pairs of times; used by compare.lua.
--
-- A pair is {old, new}: a workload's times in two processes, one of each build, that ran one after the other. Neighbours on
-- the machine and its changing speed meet both, so the quotient new / old of a pair is steadier than either time, and the
-- median over the pairs does not mind a few that were disturbed. How far that median can be trusted is read off the pairs
-- themselves, whatever their distribution: were the builds equally fast, each quotient would be above or below 1 like a coin,
-- and the k-th smallest of n would be above 1 with the probability that fewer than k coins show tails.
local judge = {}

local function sorted_quotients(list_of_pairs)
  local quotients = {}
  for i, pair in ipairs(list_of_pairs) do quotients[i] = pair[2] / pair[1] end
  table.sort(quotients)
  return quotients
end

--- The median of a list of numbers; the list stays as it is.
function judge.median(numbers)
  local sorted = table.move(numbers, 1, #numbers, 1, {})
  table.sort(sorted)
  return (sorted[(#sorted + 1) // 2] + sorted[#sorted // 2 + 1]) / 2
end

--- The median quotient of the pairs.
function judge.ratio(list_of_pairs) return judge.median(sorted_quotients(list_of_pairs)) end

--- How far the quotients lie apart: half the distance between their quartiles.
function judge.spread(list_of_pairs)
  local quotients = sorted_quotients(list_of_pairs)
  local quarter = (#quotients + 3) // 4
  return (quotients[#quotients + 1 - quarter] - quotients[quarter]) / 2
end

--- A bound that the quotient of equally fast builds passes with a probability of at most `chance`, or nil where so few pairs
--- have none.
function judge.lower_bound(list_of_pairs, chance)
  local quotients = sorted_quotients(list_of_pairs)
  local n, k, ways, fewer = #quotients, 0, 1, 0
  -- fewer: the ways in which fewer than k of n coins show tails; ways: those in which k of them do.
  while k < n and (fewer + ways) / 2 ^ n <= chance do
    fewer = fewer + ways
    k = k + 1
    ways = ways * (n - k + 1) // k
  end
  return quotients[k]
end

--- Whether a workload deserves a second look; limit: 0.05 for 5 %.
function judge.is_suspicious(list_of_pairs, limit) return judge.ratio(list_of_pairs) > 1 + 0.8 * limit end

--- "slower" when the new build takes more than `limit` longer and this is no noise, "noisy" when it only may, "" otherwise.
--- among: how many workloads are judged together; with a probability of 1 % at most, one of them is called slower by chance.
function judge.verdict(list_of_pairs, limit, among)
  if judge.ratio(list_of_pairs) <= 1 + limit then return "" end
  local bound = judge.lower_bound(list_of_pairs, 0.01 / among)
  return bound and bound > 1 and "slower" or "noisy"
end

return judge
