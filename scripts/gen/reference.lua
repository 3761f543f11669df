-- Writes the reference pages from the op table: lua5.4 reference.lua build/gen/op_db.lua docs/reference
-- One page a module, ops in alphabetical order, overloads together. The pages are committed, so that
-- they can be read without a build; tests/lua/docs_spec.lua runs their examples and checks that they are
-- up to date.

local db_path, out_dir = arg[1], arg[2]
local rows = dofile(db_path)

local titles = {
  torch = "torch", Tensor = "torch.Tensor", ["nn.functional"] = "torch.nn.functional", linalg = "torch.linalg",
  special = "torch.special", fft = "torch.fft", ["signal.windows"] = "torch.signal.windows", ["vision.ops"] = "torch.vision.ops",
}

local function has(list, word)
  for _, item in ipairs(list) do
    if item == word then return true end
  end
  return false
end

-- The pages a row stands on: its modules, or the Tensor page when it is only a method.
local function pages_of(row)
  if has(row.variants, "internal") then return {} end
  if not has(row.variants, "function") then return { "Tensor" } end
  local pages = {}
  for module in (row.module or "torch"):gmatch "%S+" do
    if not module:match "_kernels$" then pages[#pages + 1] = module end -- those serve the libraries only
  end
  return pages
end

local function call_forms(row, page)
  local forms = {}
  local full = page == "Tensor" and "x:" or (titles[page] or "torch." .. page) .. "."
  if page ~= "Tensor" then forms[#forms + 1] = "`" .. full .. row.name .. "`" end
  if has(row.variants, "method") then forms[#forms + 1] = "`x:" .. row.name .. "`" end
  if has(row.variants, "inplace") then
    forms[#forms + 1] = "`x:" .. row.name .. (row.name:sub(-1) == "_" and "" or "_") .. "`"
  end
  if has(row.variants, "out") then forms[#forms + 1] = "`out =`" end
  return table.concat(forms, ", ")
end

-- What torch.autocast does with an op.
local autocast_texts = { lower_precision_fp = "computes in its dtype", fp32 = "computes in float32",
  promote = "computes in the widest dtype of its inputs", fp32_inside = "computes in float32, the result is of input's dtype" }

local pages = {}
for _, row in ipairs(rows) do
  for _, page in ipairs(pages_of(row)) do
    pages[page] = pages[page] or {}
    local ops = pages[page]
    local name = row.name
    if not has(row.variants, "function") and not has(row.variants, "method") then name = name .. "_" end
    ops[name] = ops[name] or {}
    table.insert(ops[name], row)
  end
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function write(path, text)
  local old = io.open(path, "rb")
  if old then
    local same = old:read "a" == text
    old:close()
    if same then return end
  end
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

os.execute("mkdir -p '" .. out_dir .. "'")
local index = {
  "# Reference\n",
  "Written from the op schema by `scripts/dev reference`; `lampad help NAME` shows the same. Arguments after",
  "`*` are given by name; a `?` marks what may be nil.\n",
}
for _, page in ipairs(sorted_keys(pages)) do
  local ops = pages[page]
  local names = sorted_keys(ops)
  local title = titles[page] or "torch." .. page
  index[#index + 1] = ("- [%s](%s.md): %d ops"):format(title, title, #names)
  local out = { "# " .. title .. "\n" }
  for _, name in ipairs(names) do
    out[#out + 1] = "## " .. name .. "\n"
    out[#out + 1] = "```"
    for _, row in ipairs(ops[name]) do out[#out + 1] = row.signature end
    out[#out + 1] = "```\n"
    local said, examples = {}, {}
    for _, row in ipairs(ops[name]) do
      if row.doc ~= "" and not said[row.doc] then
        said[row.doc] = true
        out[#out + 1] = row.doc .. "\n"
      end
      if row.example ~= "" and not said[row.example] then
        said[row.example] = true
        examples[#examples + 1] = row.example
      end
    end
    local forms = call_forms(ops[name][1], page)
    local aliases = #ops[name][1].aliases > 0 and ". Also named " .. table.concat(ops[name][1].aliases, ", ") or ""
    local autocast = autocast_texts[ops[name][1].autocast]
    out[#out + 1] = "Forms: " .. forms .. aliases .. (autocast and ". Under autocast it " .. autocast or "") .. ".\n"
    if #examples > 0 then out[#out + 1] = "```lua\n" .. table.concat(examples, "\n") .. "\n```\n" end
  end
  write(("%s/%s.md"):format(out_dir, title), table.concat(out, "\n"))
end
write(out_dir .. "/README.md", table.concat(index, "\n") .. "\n")
