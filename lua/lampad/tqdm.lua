-- tqdm: progress bars.
--   for images, labels in tqdm(loader, {desc = "epoch 1"}) do ... end
--   local bar = tqdm{total = 100}; bar:update(5); bar:set_postfix{loss = 0.3}; bar:close()
-- On a terminal the bar is redrawn in place on stderr, at most every 0.1 s. Elsewhere a whole line is
-- written at most every 30 s, and one at the end. print() while a bar is shown does not tear it.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"

local Bar = class.extend(class.Object, "tqdm")

local EIGHTHS = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }
local SMOOTHING = 0.3 -- weight of the newest interval in the moving average of the rate

local options = {
  "iterable", "desc", "total", "leave", "file", "ncols", "mininterval", "ascii", "disable", "unit", "initial",
  "bar_format", "postfix", "unit_scale", "unit_divisor",
}

local function is_utf8()
  local locale = os.getenv "LC_ALL" or os.getenv "LC_CTYPE" or os.getenv "LANG" or ""
  if locale == "" then locale = os.getenv "LANG" or "" end
  return locale:lower():gsub("-", ""):find("utf8", 1, true) ~= nil
end

-- 65 -> "01:05", 3700 -> "1:01:40".
local function clock(seconds)
  seconds = math.floor(seconds)
  local s, m, h = seconds % 60, seconds // 60 % 60, seconds // 3600
  if h > 0 then return ("%d:%02d:%02d"):format(h, m, s) end
  return ("%02d:%02d"):format(m, s)
end

-- 1234567 -> "1.23M", as tqdm with unit_scale.
local function scaled(n, divisor)
  for _, prefix in ipairs { "", "k", "M", "G", "T", "P", "E" } do
    if math.abs(n) < 999.5 then
      if math.abs(n) < 99.95 then
        return (math.abs(n) < 9.995 and "%.2f%s" or "%.1f%s"):format(n, prefix)
      end
      return ("%.0f%s"):format(n, prefix)
    end
    n = n / divisor
  end
  return ("%.1fZ"):format(n)
end

-- The width on the terminal of UTF-8 text without wide characters.
local function width_of(s) return utf8.len(s) or #s end

-- --- print that does not tear bars ----------------------------------------------------------------
local shown, own_print, users_print = {}, nil, nil

local function hook_print(bar)
  if not bar.terminal then return end
  shown[#shown + 1] = bar
  if #shown > 1 then return end
  users_print = _G.print
  own_print = function(...)
    local top = shown[#shown]
    if top then top:clear() end
    users_print(...)
    io.stdout:flush()
    if top then top:refresh() end
  end
  _G.print = own_print
end

local function unhook_print(bar)
  for i = #shown, 1, -1 do
    if shown[i] == bar then table.remove(shown, i) end
  end
  if #shown == 0 and own_print and _G.print == own_print then _G.print = users_print end
end

-- --- the bar ----------------------------------------------------------------------------------------
-- Length of what is iterated over, if it has one.
local function length_of(iterable)
  local meta = getmetatable(iterable)
  if type(iterable) == "table" and meta == nil then return #iterable end
  if type(meta) == "table" and meta.__len then
    local ok, n = pcall(function() return #iterable end)
    if ok then return n end
  end
end

function Bar:init(iterable, o)
  o = o or {}
  args.check_names("tqdm", o, options)
  self.desc, self.total, self.unit = o.desc, o.total or length_of(iterable), o.unit or "it"
  self.unit_scale, self.unit_divisor = o.unit_scale, o.unit_divisor or 1000
  self.leave = o.leave ~= false
  self.file = o.file or io.stderr
  self.ncols, self.disable = o.ncols, o.disable == true
  self.n = o.initial or 0
  self.initial = self.n
  self.terminal = not self.disable and (o.file == nil or o.file == io.stderr or o.file == io.stdout)
    and core.isatty(o.file == io.stdout and 1 or 2)
  self.mininterval = o.mininterval or (self.terminal and 0.1 or 30)
  self.ascii = o.ascii
  if self.ascii == nil then self.ascii = not is_utf8() end
  self.start = core.now()
  self.last_time, self.last_n = self.start, self.n
  self.average, self.samples = 0, 0
  if iterable ~= nil then
    local next_item, _, _, closer = iterate.iterator(iterable)
    self.next_item = next_item
    self.closer = closer
  end
  if iterable ~= nil and not self.next_item then
    args.fail("tqdm", "cannot iterate over %s; give a loader, a list or an iterator, or use tqdm.trange(n)", text.describe(iterable))
  end
  if o.postfix then self:_set_postfix(o.postfix) end
  if not self.disable then
    hook_print(self)
    if self.terminal then self:refresh() end
  end
end

-- The moving average of the rate, without the bias of its start at 0.
function Bar:_rate(now)
  if self.samples > 0 then return self.average / (1 - (1 - SMOOTHING) ^ self.samples) end
  local elapsed = now - self.start
  return elapsed > 0 and (self.n - self.initial) / elapsed or 0
end

function Bar:_postfix_text() return self.postfix and self.postfix ~= "" and ", " .. self.postfix or "" end

-- The text of the bar: "desc:  42%|████▏     | 42/100 [00:03<00:04, 13.9it/s, loss=0.3]".
function Bar:format(now, final)
  local elapsed = now - self.start
  local rate = final and elapsed > 0 and (self.n - self.initial) / elapsed or self:_rate(now)
  local function count(n) return self.unit_scale and scaled(n, self.unit_divisor) or ("%d"):format(n) end
  local rate_text = rate <= 0 and "?" .. self.unit .. "/s"
    or self.unit_scale and scaled(rate, self.unit_divisor) .. self.unit .. "/s"
    or rate >= 1 and ("%.2f%s/s"):format(rate, self.unit) or ("%.2fs/%s"):format(1 / rate, self.unit)
  local prefix = self.desc and self.desc .. ": " or ""
  if not self.total then
    return ("%s%s%s [%s, %s%s]"):format(prefix, count(self.n), self.unit, clock(elapsed), rate_text, self:_postfix_text())
  end
  local fraction = self.total > 0 and math.min(1, self.n / self.total) or 1
  local remaining = rate > 0 and clock(math.max(0, self.total - self.n) / rate) or "?"
  local left = ("%s%3d%%|"):format(prefix, math.floor(fraction * 100 + 1e-9))
  local right = ("| %s/%s [%s<%s, %s%s]"):format(count(self.n), count(self.total), clock(elapsed), remaining, rate_text,
    self:_postfix_text())
  local columns = self.ncols or (self.terminal and core.terminal_width(self.file == io.stdout and 1 or 2)) or 80
  local space = math.max(1, math.min(columns - 1 - width_of(left) - width_of(right), 60))
  if not self.ncols and not self.terminal then space = 10 end
  local bar
  if self.ascii then
    local full = math.floor(fraction * space)
    bar = ("#"):rep(full) .. (" "):rep(space - full)
  else
    local eighths = math.floor(fraction * space * 8)
    local full, part = eighths // 8, eighths % 8
    bar = ("█"):rep(full) .. (EIGHTHS[part] or "")
    bar = bar .. (" "):rep(space - full - (part > 0 and 1 or 0))
  end
  return left .. bar .. right
end

function Bar:_write(s)
  self.file:write(s)
  self.file:flush()
end

--- Takes the bar off the screen; refresh() shows it again.
function Bar:clear()
  if self.terminal and not self.closed then self:_write("\r\27[K") end
end

--- Draws the bar now.
function Bar:refresh()
  if self.disable or self.closed then return end
  if self.terminal then
    self:_write("\r" .. self:format(core.now()) .. "\27[K")
  end
end

--- Counts `n` more (1 by default).
function Bar:update(n)
  self.n = self.n + (n or 1)
  if self.disable or self.closed then return end
  local now = core.now()
  local interval = now - self.last_time
  if interval < self.mininterval then return end
  self.average = self.average * (1 - SMOOTHING) + (self.n - self.last_n) / interval * SMOOTHING
  self.samples = self.samples + 1
  self.last_time, self.last_n = now, self.n
  if self.terminal then
    self:refresh()
  else
    self:_write(self:format(now) .. "\n")
  end
end

-- {loss = 0.3, acc = 0.9} -> "acc=0.9, loss=0.3"; a list of pairs keeps its order.
function Bar:_set_postfix(values)
  local parts = {}
  local function add(name, value)
    if core.torch.is_tensor(value) then value = value:item() end
    if math.type(value) == "float" then value = ("%.3g"):format(value) end
    parts[#parts + 1] = name .. "=" .. tostring(value)
  end
  if type(values) == "string" then
    self.postfix = values
    return
  end
  for _, pair in ipairs(values) do add(pair[1], pair[2]) end
  local names = {}
  for name in pairs(values) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do add(name, values[name]) end
  self.postfix = table.concat(parts, ", ")
end

--- Shows values after the rate: set_postfix{loss = 0.3}, set_postfix{{"loss", 0.3}, {"lr", 0.1}} or a
--- string; drawn with the next update.
function Bar:set_postfix(values)
  self:_set_postfix(values)
end

function Bar:set_description(desc)
  self.desc = desc
end

--- Prints a line above the bar.
function Bar:write(...)
  self:clear()
  io.stdout:write(table.concat({ ... }, "\t"), "\n")
  io.stdout:flush()
  self:refresh()
end

--- Ends the bar: draws it for the last time, or removes it when leave = false.
function Bar:close()
  if self.closed then return end
  if self.closer then getmetatable(self.closer).__close(self.closer) end
  if not self.disable then
    if self.terminal then
      self:_write(self.leave and "\r" .. self:format(core.now(), true) .. "\27[K\n" or "\r\27[K")
    elseif self.leave then
      self:_write(self:format(core.now(), true) .. "\n")
    end
    unhook_print(self)
  end
  self.closed = true
end
Bar.__close = Bar.close

local function step(self, first, ...)
  if first == nil then
    if self.started then self:update(1) end
    self:close()
    return nil
  end
  if self.started then self:update(1) end
  self.started = true
  return first, ...
end

-- for ... in bar do: an item is counted when the next one is asked for.
function Bar.__call(self)
  if not self.next_item then args.fail("tqdm", "this bar has nothing to iterate over; use bar:update(n)") end
  return step(self, self.next_item())
end

--- tqdm(iterable, options) or tqdm{total = n}. In a generic for, leaving the loop closes the bar, and what the iterator
--- wants closed (tqdm(loader), tqdm(loader:iter()): its workers).
local function tqdm(iterable, o, _, closer)
  if o == nil and args.is_named(iterable) and next(iterable) ~= nil then
    o = iterable
    iterable = o.iterable
  end
  local bar = Bar(iterable, o)
  bar.closer = bar.closer or closer
  return bar, nil, nil, bar
end

return setmetatable({ Bar = Bar, trange = function(n, o)
  local i = -1
  o = o or {}
  o.total = o.total or n
  return tqdm(function()
    i = i + 1
    if i < n then return i end
  end, o)
end }, { __call = function(_, ...) return tqdm(...) end })
