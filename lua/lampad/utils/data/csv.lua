-- torch.utils.data.CSVDataset: a table of text as tensors. Beyond PyTorch.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local dataset = require "lampad.utils.data.dataset"

local torch = core.torch
local MAX_BYTES = 1 << 33

-- --- the text -------------------------------------------------------------------------------------------
-- The fields of all rows of a text with quotes, which may hold delimiters and line ends; "" is a quote (RFC 4180).
local function parse_quoted(source, delimiter, add)
  local at, row, size = 1, {}, #source
  local plain = "^([^" .. delimiter:gsub("%W", "%%%0") .. '\r\n]*)'
  while at <= size do
    if source:sub(at, at) == '"' then
      local parts, from = {}, at + 1
      while true do
        local stop = source:find('"', from, true)
        if not stop then return nil, "a quote is not closed" end
        parts[#parts + 1] = source:sub(from, stop - 1)
        if source:sub(stop + 1, stop + 1) ~= '"' then
          at = stop + 1
          break
        end
        parts[#parts + 1] = '"'
        from = stop + 2
      end
      row[#row + 1] = table.concat(parts)
    else
      local field = source:match(plain, at)
      row[#row + 1], at = field, at + #field
    end
    local c = source:sub(at, at)
    if c == delimiter then
      at = at + 1
      if at > size then row[#row + 1] = "" end
    else
      if c ~= "" and c ~= "\r" and c ~= "\n" then return nil, "text follows a quoted field" end
      add(row)
      row = {}
      at = at + (source:sub(at, at + 1) == "\r\n" and 2 or 1)
    end
  end
  if #row > 0 then add(row) end
  return true
end

local function parse_plain(source, delimiter, add)
  local pattern = "([^" .. delimiter:gsub("%W", "%%%0") .. "]*)"
  for line in source:gmatch "[^\r\n]+" do
    local row = {}
    if delimiter == " " then
      for field in line:gmatch "%S+" do row[#row + 1] = field end
    else
      for field in line:gmatch(pattern) do row[#row + 1] = field end
    end
    add(row)
  end
  return true
end

local missing = { [""] = true, na = true, nan = true, null = true, none = true, ["?"] = true }

-- A number, NaN for a missing value, or nil for text.
local function number_of(field)
  local value = tonumber(field)
  if value then return value end
  field = field:match "^%s*(.-)%s*$"
  if missing[field:lower()] then return 0 / 0 end
  return tonumber(field)
end

-- --- columns --------------------------------------------------------------------------------------------
-- A name or a number from 0 (negative: from the end) -> position from 1.
local function column_at(self, key)
  if type(key) == "string" then
    for i, name in ipairs(self.names) do
      if name == key then return i end
    end
    args.fail("CSVDataset", "there is no column '%s'; the columns are %s", key, table.concat(self.names, ", "))
  end
  local at = math.tointeger(key)
  if not at then args.fail("CSVDataset", "a column is a name or a number, got %s", text.describe(key)) end
  if at < 0 then at = at + #self.names end
  if at < 0 or at >= #self.names then
    args.fail("CSVDataset", "column %d is out of range for %d columns", at, #self.names)
  end
  return at + 1
end

-- The numbers of a column; texts become their places among the column's texts, sorted.
local function numbers_of(self, rows, at)
  local values, is_text = {}, false
  for i, row in ipairs(rows) do
    local value = number_of(row[at])
    if value == nil then
      is_text = true
      break
    end
    values[i] = value
  end
  if not is_text then return values end
  local seen, names, codes = {}, {}, {}
  for _, row in ipairs(rows) do
    if not seen[row[at]] then
      seen[row[at]] = true
      names[#names + 1] = row[at]
    end
  end
  table.sort(names)
  for i, name in ipairs(names) do codes[name] = i - 1 end
  for i, row in ipairs(rows) do values[i] = codes[row[at]] end
  self.categories[self.names[at]] = names
  return values
end

-- --- the data set ---------------------------------------------------------------------------------------
local CSVDataset = dataset.Dataset:extend "CSVDataset"
local spec = args("CSVDataset(str path, any target=nil, *, any columns=nil, bool? header=nil, str delimiter=nil, int skip_rows=0, "
  .. "dtype dtype=nil, dtype target_dtype=nil, any transform=nil, any target_transform=nil)")

--- CSVDataset(path, target): a table in a text file (also .gz, .bz2, .xz). target: the column that is the label, by name or number
--- from 0 (-1: the last); without one items have no label. Options: columns (a list of those that are features; all others),
--- header (whether the first row names the columns; by default it does when none of its fields is a number), delimiter (" ": any
--- run of blanks), skip_rows, dtype (float32), target_dtype (int64 where all labels are whole numbers, else float32), transform,
--- target_transform. Missing values are NaN; a column of texts becomes numbers, its texts sorted in categories[name].
--- Fields: data (N, F), targets (N) or nil, names, categories. An error names the file and the row.
function CSVDataset:init(...)
  local path, target, columns, header, delimiter, skip_rows, dtype, target_dtype, transform, target_transform = spec(...)
  delimiter = delimiter or ","
  if #delimiter ~= 1 then args.fail("CSVDataset", "delimiter must be one character, got '%s'", delimiter) end
  local rows = self:_read(path, delimiter, skip_rows)
  if #rows == 0 then args.fail("CSVDataset", "%s has no rows", path) end
  if header == nil then
    header = true
    for _, field in ipairs(rows[1]) do header = header and number_of(field) == nil end
  end
  self.names, self.categories = {}, {}
  if header then self.names = table.remove(rows, 1) end
  for i = 1, header and 0 or #rows[1] do self.names[i] = "column_" .. i - 1 end
  for i, row in ipairs(rows) do
    if #row ~= #self.names then
      args.fail("CSVDataset", "%s: row %d has %d fields, expected %d", path, i + skip_rows + (header and 1 or 0), #row, #self.names)
    end
  end
  local label = target ~= nil and column_at(self, target) or nil
  local chosen = {}
  for i, key in ipairs(columns or {}) do chosen[i] = column_at(self, key) end
  for i = 1, columns and 0 or #self.names do
    if i ~= label then chosen[#chosen + 1] = i end
  end
  local parts = {}
  for i, at in ipairs(chosen) do parts[i] = torch.tensor(numbers_of(self, rows, at), { dtype = dtype or torch.float32 }) end
  self.data = #parts > 0 and torch.stack(parts, 1) or torch.zeros(#rows, 0)
  self.columns = {}
  for i, at in ipairs(chosen) do self.columns[i] = self.names[at] end
  if label then self.targets = self:_targets(numbers_of(self, rows, label), target_dtype) end
  self.path, self.transform, self.target_transform = path, transform, target_transform
  if transform == nil and target_transform == nil then
    self.getbatch = function(_, indices)
      local features = self.data:index_select(0, indices)
      if not self.targets then return features end
      return features, self.targets:index_select(0, indices)
    end
  end
end

function CSVDataset._read(_, path, delimiter, skip_rows)
  local bytes, message
  if path:find "%.gz$" or path:find "%.bz2$" or path:find "%.xz$" then
    bytes, message = core.read_packed(path, MAX_BYTES)
    if not bytes then args.fail("CSVDataset", "%s", message) end
  else
    bytes = core.read_file(path, "CSVDataset")
  end
  local source = core.tensor_to_bytes(bytes):gsub("^\xEF\xBB\xBF", "")
  for _ = 1, skip_rows do source = source:gsub("^[^\n]*\n?", "", 1) end
  local rows = {}
  local function add(row)
    if #row > 1 or (row[1] or "") ~= "" then rows[#rows + 1] = row end
  end
  local ok, why = (source:find('"', 1, true) and parse_quoted or parse_plain)(source, delimiter, add)
  if not ok then args.fail("CSVDataset", "%s: row %d: %s", path, #rows + 1 + skip_rows, why) end
  return rows
end

function CSVDataset._targets(_, values, dtype)
  local whole = true
  for _, value in ipairs(values) do whole = whole and math.tointeger(value) ~= nil end
  return torch.tensor(values, { dtype = dtype or (whole and torch.int64 or torch.float32) })
end

function CSVDataset:len() return self.data:size(0) end

function CSVDataset:getitem(i)
  local at = dataset.position("CSVDataset", i, self:len())
  local features = self.data[at]
  if self.transform then features = self.transform(features) end
  if not self.targets then return features end
  local target = self.targets[at]
  if self.target_transform then target = self.target_transform(target) end
  return features, target
end

return { CSVDataset = CSVDataset }
