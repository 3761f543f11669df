-- JSON (RFC 8259) for the files that the libraries write themselves: logs of searches. Read and written by jansson (vm/json.c).
--   json.encode(value) -> text on one line; json.decode(text) -> value, or nil and what is wrong
-- Tables with #t > 0 or made by json.array are arrays, the others objects, with their keys sorted: the same data gives the
-- same text. null is json.null. Integers stay integers of 64 bits, floats keep their value. JSON has no NaN and no
-- infinities: they are written {"$float": "NaN"}, "Infinity", "-Infinity", and read back as numbers. Text is UTF-8.
local core = require "lampad.core"

local json = {}

local array_mark = {}
json.null = setmetatable({}, { __tostring = function() return "null" end })

--- The table, marked as an array, so that {} is written [].
function json.array(t) return setmetatable(t, array_mark) end

--- The text of a value of tables, strings, numbers and booleans. Raises for others, for tables nested more than 200 deep,
--- and for strings that are not UTF-8.
function json.encode(value) return core.json_encode(value, json.null, array_mark) end

--- The value of a JSON text; nil and a message when it is none. null inside it is json.null.
function json.decode(text) return core.json_decode(text, json.null, array_mark) end

return json
