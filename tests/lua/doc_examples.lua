-- Runs the ```lua examples of one Markdown page: lampad tests/lua/doc_examples.lua PAGE.md
--
-- The blocks of a page share their variables. `--> text` after a statement is the output expected so far:
--   print(1 + 1)   --> 2
-- and further lines that begin with `-->` go on with it. A block whose first line is "-- not run" is only
-- compiled. On pages under reference/ every entry of a block is an expression or statement that must not
-- fail. The last line is "N passed, N failed", counting blocks.

local chunk = require "lampad.console.chunk"

local path = arg[1]
local is_reference = path:find("reference/", 1, true) ~= nil

-- The page's blocks: text, first line, indent removed.
local function blocks_of(file)
  local blocks, current = {}, nil
  local number = 0
  for line in io.lines(file) do
    number = number + 1
    if current then
      if line:match "^%s*```" then
        blocks[#blocks + 1] = current
        current = nil
      else
        current.lines[#current.lines + 1] = line
      end
    elseif line:match "^%s*```lua%s*$" then
      current = { first = number + 1, lines = {} }
    end
  end
  return blocks
end

local function expected_of(lines)
  local expected = {}
  for _, line in ipairs(lines) do
    local text = line:match "%-%->%s?(.*)$"
    if text then expected[#expected + 1] = text end
  end
  return expected
end

-- Runs f with print's output caught; its lines, and the error if there was one.
local function capture(f)
  local out = {}
  local original = print
  rawset(_G, "print", function(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    for line in (table.concat(words, "\t", 1, words.n) .. "\n"):gmatch "(.-)\n" do out[#out + 1] = line end
  end)
  local ok, message = xpcall(f, debug.traceback)
  rawset(_G, "print", original)
  return out, not ok and message or nil
end

local passed, failed = 0, 0
local function fault(block, format, ...)
  print(("%s:%d: "):format(path, block.first) .. format:format(...))
end

local function run_guide_block(block)
  local text = table.concat(block.lines, "\n")
  local f, message = chunk.compile(text)
  if not f then
    fault(block, "%s", message)
    return false
  end
  if block.lines[1] and block.lines[1]:match "^%-%- not run" then return true end
  local got, trouble = capture(f)
  if trouble then
    fault(block, "%s", trouble)
    return false
  end
  local expected = expected_of(block.lines)
  for i = 1, math.max(#got, #expected) do
    if got[i] ~= expected[i] then
      fault(block, "line %d of the output is\n  %s\nexpected\n  %s", i, tostring(got[i]), tostring(expected[i]))
      return false
    end
  end
  return true
end

local function run_reference_block(block)
  local entry
  local well = true
  for _, line in ipairs(block.lines) do
    entry = entry and entry .. "\n" .. line or line
    if chunk.is_complete(entry) then
      local f, message = chunk.compile(entry)
      if f then
        local _, trouble = capture(f)
        message = trouble
      end
      if message then
        fault(block, "%s\n  %s", entry, message)
        well = false
      end
      entry = nil
    end
  end
  if entry then
    fault(block, "unfinished: %s", entry)
    well = false
  end
  return well
end

for _, block in ipairs(blocks_of(path)) do
  if (is_reference and run_reference_block or run_guide_block)(block) then
    passed = passed + 1
  else
    failed = failed + 1
  end
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
