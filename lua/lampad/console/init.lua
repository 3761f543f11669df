-- The interactive session's Lua side: what entries mean, how values look, completion, help. The
-- executable calls these functions; they hold no state but the last values.

local chunk = require "lampad.console.chunk"
local complete = require "lampad.console.complete"
local inspect = require "lampad.inspect"

local console = {}

local function wants_colours()
  local no_color, term = os.getenv "NO_COLOR", os.getenv "TERM"
  return console.terminal and not (no_color and no_color ~= "") and term ~= nil and term ~= "dumb"
end

console.is_complete = chunk.is_complete
console.complete = complete

-- Compiles an entry: a function and whether its values stay unshown, or nil and a message.
-- `?name` shows help, `??word` looks the word up in all of it.
function console.compile(entry)
  local marks, name = entry:match "^%s*(%?+)%s*(.-)%s*$"
  if marks then
    return function()
      local help = require "lampad.console.help"
      if #marks > 1 then help.search(name) else help.show(name) end
    end, true
  end
  return chunk.compile(entry)
end

-- Shows an entry's values, unless silent, and keeps the first as `_` and the one before as `__`.
function console.show(silent, ...)
  local count = select("#", ...)
  if count == 0 then return end
  rawset(_G, "__", rawget(_G, "_"))
  rawset(_G, "_", (...))
  if silent then return end
  local options = { colours = wants_colours(), width = console.width }
  local texts, flat, length = {}, true, 0
  for i = 1, count do
    texts[i] = inspect((select(i, ...)), options)
    flat = flat and not texts[i]:find("\n", 1, true)
    length = length + #texts[i] + 2
  end
  io.stdout:write(table.concat(texts, flat and length <= 80 and "\t" or "\n"), "\n")
end

-- `lampad help [NAME]`; true when there is such a name.
function console.help(name) return require("lampad.console.help").show(name) end

-- `lampad inspect [--json] FILE...`; the exit status.
function console.inspect(...) return require("lampad.console.inspect_file")(...) end

-- `lampad doctor`; true when nothing is wrong.
function console.doctor() return require("lampad.console.doctor")() end

return console
