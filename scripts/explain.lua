-- Everything about one op, with paths: lua5.4 scripts/explain.lua GEN_FOLDER OP   (scripts/dev explain OP)
-- OP is a name ("max"), a name with its overload ("max.dim") or a C name ("max_dim").

local gen, wanted = arg[1], arg[2]
wanted = wanted:gsub("^lp_", ""):gsub("^torch%.", ""):gsub("^F%.", "")

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

local function list(command)
  local pipe = assert(io.popen(command))
  local lines = lines_of((pipe:read "a":gsub("\n$", "")))
  pipe:close()
  return lines
end

-- git grep's "path:line:text" for an extended regular expression, in what git tracks.
local function grep(pattern, paths)
  local found = {}
  for _, line in ipairs(list(("git grep -nE '%s' -- %s"):format(pattern, paths))) do
    if line ~= "" then found[#found + 1] = line end
  end
  return found
end

local function heading(title) print("\n== " .. title) end

local function print_some(lines, limit)
  for i, line in ipairs(lines) do
    if i > limit then
      print(("  ... and %d more"):format(#lines - limit))
      break
    end
    print("  " .. line)
  end
  if #lines == 0 then print "  none" end
end

-- The row as it is written in the schema: from `op{` to the brace that closes it.
local function schema_text(source)
  local path, line = source:match "^(.*):(%d+)$"
  local lines = lines_of(assert(read(path)))
  local first = tonumber(line)
  while first > 1 and not lines[first]:find "op%s*[{(]" do first = first - 1 end
  local out, depth = {}, 0
  for i = first, #lines do
    out[#out + 1] = lines[i]
    local code = lines[i]:gsub('\\.', ""):gsub('"[^"]*"', '""')
    for brace in code:gmatch "[{}]" do depth = depth + (brace == "{" and 1 or -1) end
    if depth <= 0 then break end
  end
  return table.concat(out, "\n"), path .. ":" .. first
end

-- The generated functions whose name holds the C name as a whole word.
local function generated(row)
  local file = ("%s/ops_%s.c"):format(gen, (row.source:match "^(.-)%.lua" :gsub("/ops/", "_"):gsub("/", "_")))
  local text = read(file)
  if not text then return nil, file end
  local lines, out = lines_of(text), {}
  local mark = "— " .. row.source
  for i, line in ipairs(lines) do
    if line:find(mark, 1, true) and line:find("^/%*") then
      local at = i
      out[#out + 1] = ("  %s:%d"):format(file, i)
      repeat
        out[#out + 1] = "    " .. lines[at]
        at = at + 1
      until not lines[at] or lines[at]:find "^/%* .* — "
    end
  end
  return out, file
end

local rows = dofile(gen .. "/op_db.lua")
local chosen = {}
for _, row in ipairs(rows) do
  local full = row.overload ~= "" and row.name .. "." .. row.overload or row.name
  local named = row.name == wanted or full == wanted or row.cname == wanted
  for _, alias in ipairs(row.aliases) do named = named or alias == wanted end
  if named then chosen[#chosen + 1] = row end
end
if #chosen == 0 then
  local near = {}
  for _, row in ipairs(rows) do
    if row.cname:find(wanted, 1, true) then near[#near + 1] = row.cname end
  end
  print(("no op is named '%s'"):format(wanted))
  if #near > 0 then print("names that hold it: " .. table.concat(near, ", ")) end
  os.exit(1)
end

for _, row in ipairs(chosen) do
  local text, where = schema_text(row.source)
  heading(("schema row of %s: %s"):format(row.cname, where))
  print("  " .. text:gsub("\n", "\n  "))
  heading "C functions (lampad/ops.h)"
  local prototypes = {}
  for number, line in ipairs(lines_of(read(gen .. "/lampad/ops.h") or "")) do
    local name = line:match "^LP_API.-(lp_[%w_]+)%("
    local own = "lp_" .. row.cname
    if name == own or name == own .. "_" or name == own .. "_out" then
      prototypes[#prototypes + 1] = ("%s/lampad/ops.h:%d: %s"):format(gen, number, line:gsub("^LP_API ", ""))
    end
  end
  print_some(prototypes, 10)
  heading "generated dispatch, autograd node and thunk"
  local functions, file = generated(row)
  if functions and #functions > 0 then
    for i, line in ipairs(functions) do
      if i > 160 then
        print(("    ... %d more lines in %s"):format(#functions - i + 1, file))
        break
      end
      print(line)
    end
  else
    print("  none in " .. file)
  end
  heading "kernels and hand-written code"
  local name = row.cname
  local pattern = "\\b(lp_impl_%s|lp_composite_%s|lp_%s_f64)\\(|FN\\(%s\\)\\("
  print_some(grep(pattern:format(name, name, row.name, row.name), "tensor nn"), 30)
end

local name = chosen[1].name
heading "tests"
for _, row in ipairs(chosen) do
  for _, case in ipairs(row.cases) do print(("  sample call of %s: %s"):format(row.cname, case)) end
end
print_some(grep(("\\b(lp_)?%s_?\\("):format(name), "tests/c tests/lua tests/ops"), 20)
local goldens = {}
for _, path in ipairs(list "git ls-files tests/golden") do
  if path:find("%f[%w]" .. name .. "%f[^%w_]") then goldens[#goldens + 1] = path end
end
if #goldens > 0 then
  heading "golden values"
  print_some(goldens, 10)
end
