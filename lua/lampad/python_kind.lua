-- Which of Python's containers a table is: "list", "tuple", "set" or "frozenset". torch.load notes it of the tables that it
-- makes, what writes state_dicts for PyTorch notes it too; torch.save then writes the same again. Tables that nobody noted
-- are lists or dicts by their keys.
local kinds = setmetatable({}, { __mode = "k" })
local python_kind = {}

--- note(t, kind): notes the kind and returns the table.
function python_kind.note(t, kind)
  kinds[t] = kind
  return t
end

--- The kind that was noted, or nil.
function python_kind.of(t) return kinds[t] end

return python_kind
