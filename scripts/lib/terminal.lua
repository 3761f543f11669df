-- Pictures and bars in the terminal: half blocks in 24-bit colour where the terminal has it, in 256 colours or letters by
-- brightness where it has not.
--   local terminal = dofile((arg[0]:match "^.*/" or "./") .. "lib/terminal.lua")
local torch = require "lampad"
local core = require "lampad.core"

local terminal = {}

local function is_utf8()
  local locale = os.getenv "LC_ALL"
  if not locale or locale == "" then locale = os.getenv "LC_CTYPE" end
  if not locale or locale == "" then locale = os.getenv "LANG" end
  return locale ~= nil and locale:lower():gsub("-", ""):find("utf8", 1, true) ~= nil
end

--- What the output can show: "24-bit", "256", "letters". Colours only on a terminal, and not with NO_COLOR.
function terminal.colours()
  if not core.isatty(1) or os.getenv "NO_COLOR" ~= nil or not is_utf8() then return "letters" end
  local promised = (os.getenv "COLORTERM" or ""):lower()
  if promised == "truecolor" or promised == "24bit" then return "24-bit" end
  return (os.getenv "TERM" or ""):find("256color", 1, true) and "256" or "letters"
end

-- The escape sequence of a colour; layer: 38 before, 48 behind.
local function ink(how, layer, r, g, b)
  if how == "24-bit" then return ("\27[%d;2;%d;%d;%dm"):format(layer, r, g, b) end
  local function level(v) return (v * 5 + 127) // 255 end
  return ("\27[%d;5;%dm"):format(layer, 16 + 36 * level(r) + 6 * level(g) + level(b))
end

--- The lines of a uint8 picture (3, H, W), two rows of pixels a line.
function terminal.lines(image, how)
  local rows, lines = image:permute(1, 2, 0):tolist(), {}
  for y = 1, #rows, 2 do
    local upper, lower, line = rows[y], rows[y + 1], {}
    for x = 1, #upper do
      local a, b = upper[x], lower and lower[x]
      if how == "letters" then
        local light = 0.299 * a[1] + 0.587 * a[2] + 0.114 * a[3]
        if b then light = (light + 0.299 * b[1] + 0.587 * b[2] + 0.114 * b[3]) / 2 end
        local step = math.min(9, math.tointeger(light * 10 // 256))
        line[x] = (" .:-=+*#%@"):sub(step + 1, step + 1)
      else
        line[x] = ink(how, 38, table.unpack(a)) .. (b and ink(how, 48, table.unpack(b)) or "") .. "▀"
      end
    end
    lines[#lines + 1] = table.concat(line):gsub(" +$", "") .. (how ~= "letters" and "\27[0m" or "")
  end
  return lines
end

--- Draws a uint8 picture (3, H, W), `width` columns wide at most.
function terminal.draw(image, width)
  width = math.min(width, core.terminal_width(1) or width, image:size(2))
  local height = math.max(2, math.tointeger(math.floor(image:size(1) * width / image:size(2) + 0.5)))
  local small = torch.vision.transforms.functional.resize(image:contiguous(), { height, width }, { antialias = true })
  print(table.concat(terminal.lines(small, terminal.colours()), "\n"))
end

--- A bar of `width` columns, filled by the share p.
function terminal.bar(p, width)
  local filled = math.tointeger(math.floor(p * width + 0.5))
  local full, empty = "#", "."
  if is_utf8() then full, empty = "█", "░" end
  return full:rep(filled) .. empty:rep(width - filled)
end

return terminal
