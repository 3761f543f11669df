-- Strings.
local core = require "lampad.core"
local value = require "lampad.onnx.value"
local regex = require "lampad.onnx.regex"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

op.StringConcat = value.raw(function(_, a, b)
  -- The positions of both in one shape tell which pairs of strings there are.
  local pair = torch.broadcast_tensors { a.tensor, b.tensor }
  local left, right, list = pair[1]:flatten():tolist(), pair[2]:flatten():tolist(), {}
  for i = 1, #left do list[i] = a.pool[left[i] + 1] .. b.pool[right[i] + 1] end
  return value.strings(list, common.sizes(pair[1]))
end)

-- The parts of s between delimiters, at most `most` of which are looked for; without a delimiter the words.
local function split(s, delimiter, most)
  local parts, at = {}, 1
  if not delimiter or delimiter == "" then
    at = s:find("%S") or #s + 1
    while at <= #s do
      local last = #parts < most and s:find("%s", at)
      if not last then
        parts[#parts + 1] = s:sub(at):match("^(.-)%s*$")
        break
      end
      parts[#parts + 1] = s:sub(at, last - 1)
      at = s:find("%S", last) or #s + 1
    end
    return parts
  end
  while true do
    local from, to = s:find(delimiter, at, true)
    if not from or #parts >= most then break end
    parts[#parts + 1] = s:sub(at, from - 1)
    at = to + 1
  end
  parts[#parts + 1] = s:sub(at)
  return parts
end

op.StringSplit = value.raw(function(node, v)
  local most = node:get("maxsplit", math.maxinteger)
  local rows, counts, widest = {}, {}, 0
  for i, s in ipairs(value.string_list(v)) do
    rows[i] = split(s, node:get "delimiter", most)
    counts[i] = #rows[i]
    widest = math.max(widest, #rows[i])
  end
  local list = {}
  for _, row in ipairs(rows) do
    for j = 1, widest do list[#list + 1] = row[j] or "" end
  end
  local sizes = common.sizes(v.tensor)
  local out_sizes = table.move(sizes, 1, #sizes, 1, {})
  out_sizes[#out_sizes + 1] = widest
  return value.strings(list, out_sizes), torch.tensor(counts, { dtype = torch.int64 }):reshape(sizes)
end)

-- Upper and lower case of ASCII letters; other characters stay.
local cases = { UPPER = string.upper, LOWER = string.lower, NONE = function(s) return s end }

op.StringNormalizer = value.raw(function(node, v)
  local action = node:get("case_change_action", "NONE")
  local change = cases[action] or node:fail("unknown case_change_action '%s'", action)
  local sensitive = node:flag "is_case_sensitive"
  local stop = {}
  for _, word in ipairs(node:get("stopwords", {})) do stop[sensitive and word or word:lower()] = true end
  local kept = {}
  for _, s in ipairs(value.string_list(v)) do
    if not stop[sensitive and s or s:lower()] then kept[#kept + 1] = change(s) end
  end
  if #kept == 0 then kept[1] = "" end
  return value.strings(kept, v.tensor.ndim == 2 and { 1, #kept } or { #kept })
end)

op.RegexFullMatch = value.raw(function(node, v)
  local ok, matches = pcall(regex.compile, node:need "pattern")
  if not ok then node:fail("%s", matches) end
  local list = value.string_list(v)
  for i, s in ipairs(list) do list[i] = matches(s) end
  return torch.tensor(list, { dtype = torch.bool }):reshape(v.tensor.shape)
end)

op.TfIdfVectorizer = value.raw(function(node, v)
  local shortest, longest, most_skips = node:integer "min_gram_length", node:integer "max_gram_length", node:integer "max_skip_count"
  local starts, indexes = node:integers "ngram_counts", node:integers "ngram_indexes"
  local pool = node:get "pool_strings" or node:integers "pool_int64s"
  local weights, mode = node:get "weights", node:need "mode"

  -- The n-grams of the pool, joined, and which output each counts for. starts[n] (from 0) is where those of n words begin.
  local places, gram = {}, 0
  for n = 1, #starts do
    local stop = starts[n + 1] or #pool
    for at = starts[n], stop - n, n do
      gram = gram + 1
      if n >= shortest and n <= longest then places[table.concat(pool, "\0", at + 1, at + n)] = gram end
    end
  end
  local width = 0
  for _, index in ipairs(indexes) do width = math.max(width, index + 1) end

  local held = value.tensor_of(v)
  local rows = held.ndim == 2 and held:size(0) or 1
  local words = value.is_strings(v) and value.string_list(v) or common.ints(held)
  local length = #words // math.max(rows, 1)
  local counts = {}
  for i = 1, common.check_count(node, rows * width) do counts[i] = 0 end
  for row = 0, rows - 1 do
    for n = shortest, longest do
      for skip = 1, n == 1 and 1 or most_skips + 1 do -- the distance between the words of an n-gram
        for first = 1, length - (n - 1) * skip do
          local parts = {}
          for i = 0, n - 1 do parts[i + 1] = words[row * length + first + i * skip] end
          local place = places[table.concat(parts, "\0")]
          if place then
            local at = row * width + indexes[place] + 1
            counts[at] = counts[at] + 1
          end
        end
      end
    end
  end
  -- Weights belong to the n-grams of the pool; IDF puts them in place of a count that is not 0.
  local weight_of = {}
  for i, index in ipairs(indexes) do weight_of[index] = weights and weights[i] or 1.0 end
  for i, count in ipairs(counts) do
    local weight = weight_of[(i - 1) % width] or 1.0
    if mode == "IDF" then
      counts[i] = count > 0 and weight or 0
    elseif mode == "TFIDF" then
      counts[i] = count * weight
    end
  end
  local result = torch.tensor(counts, { dtype = torch.float32 })
  return held.ndim == 2 and result:reshape(rows, width) or result
end)

return op
