-- Reads the op schema: runs the row files, parses signatures, checks every row.
-- A fault is reported with the row's file and line; all faults are collected before giving up.
local schema = {}

-- Schema type -> C type of a parameter, LpArgType, member of LpValue, member used by formulas.
schema.types = {
  ["Tensor"] = { c = "LpTensor *", tag = "LP_ARG_TENSOR", field = "tensor" },
  ["Tensor?"] = { c = "LpTensor *", tag = "LP_ARG_OPT_TENSOR", field = "tensor" },
  ["Tensor[]"] = { c = "LpTensors ", tag = "LP_ARG_TENSORS", field = "tensors" },
  ["Tensor?[]"] = { c = "LpTensors ", tag = "LP_ARG_OPT_TENSORS", field = "tensors" },
  ["Scalar"] = { c = "LpScalar ", tag = "LP_ARG_SCALAR", field = "scalar" },
  ["Scalar?"] = { c = "LpOptScalar ", tag = "LP_ARG_OPT_SCALAR", field = "opt_scalar" },
  ["int"] = { c = "int64_t ", tag = "LP_ARG_INT", field = "i" },
  ["int?"] = { c = "LpOptInt ", tag = "LP_ARG_OPT_INT", field = "opt_int" },
  ["float"] = { c = "double ", tag = "LP_ARG_FLOAT", field = "f" },
  ["float?"] = { c = "LpOptFloat ", tag = "LP_ARG_OPT_FLOAT", field = "opt_float" },
  ["bool"] = { c = "bool ", tag = "LP_ARG_BOOL", field = "b" },
  ["bool?"] = { c = "LpOptBool ", tag = "LP_ARG_OPT_BOOL", field = "opt_bool" },
  ["int[]"] = { c = "LpInts ", tag = "LP_ARG_INTS", field = "ints" },
  ["int[]?"] = { c = "LpInts ", tag = "LP_ARG_OPT_INTS", field = "ints" },
  ["float[]"] = { c = "LpFloats ", tag = "LP_ARG_FLOATS", field = "floats" },
  ["float[]?"] = { c = "LpFloats ", tag = "LP_ARG_OPT_FLOATS", field = "floats" },
  ["str"] = { c = "const char *", tag = "LP_ARG_STR", field = "str" },
  ["str?"] = { c = "const char *", tag = "LP_ARG_OPT_STR", field = "str" },
  ["dtype"] = { c = "LpDtype ", tag = "LP_ARG_DTYPE", field = "dtype" },
  ["dtype?"] = { c = "LpDtype ", tag = "LP_ARG_OPT_DTYPE", field = "dtype" },
  ["device?"] = { c = "LpDevice ", tag = "LP_ARG_OPT_DEVICE", field = "device" },
  ["Generator?"] = { c = "LpGenerator *", tag = "LP_ARG_OPT_GENERATOR", field = "generator" },
  ["memory_format?"] = { c = "LpMemoryFormat ", tag = "LP_ARG_OPT_FORMAT", field = "format" },
  ["mask"] = { c = "unsigned ", tag = "LP_ARG_MASK", field = "mask" },
}

schema.result_types = {
  ["Tensor"] = { tag = "LP_RESULT_TENSOR", field = "tensor" },
  ["Tensor[]"] = { tag = "LP_RESULT_TENSORS", field = "vec", c = "LpTensorVec" },
  ["bool"] = { tag = "LP_RESULT_BOOL", field = "b", c = "bool" },
  ["int"] = { tag = "LP_RESULT_INT", field = "i", c = "int64_t" },
  ["float"] = { tag = "LP_RESULT_FLOAT", field = "f", c = "double" },
  ["Scalar"] = { tag = "LP_RESULT_SCALAR", field = "scalar", c = "LpScalar" },
  ["dtype"] = { tag = "LP_RESULT_DTYPE", field = "dtype", c = "LpDtype" },
}

local row_fields = { variants = true, module = true, kind = true, kernel = true, dtypes = true, promote = true,
  impl = true, composite = true, grad = true, tells_recording = true, nondiff = true, aliases = true, cases = true, doc = true,
  example = true, node = true, gate = true, autocast = true }
local variant_words = { ["function"] = true, method = true, inplace = true, out = true, internal = true }
local autocast_tags = { lower_precision_fp = "LP_AUTOCAST_LOWER_PRECISION", fp32 = "LP_AUTOCAST_FP32",
  promote = "LP_AUTOCAST_PROMOTE", fp32_inside = "LP_AUTOCAST_FP32_INSIDE", off = "LP_AUTOCAST_NONE" }
local kinds = { unary = true, binary = true, native = true, view = true, composite = true }
-- Modules whose functions take their name as a prefix in C, as in PyTorch's own `linalg_inv`.
local prefixed = { linalg = true, special = true, fft = true, ["signal.windows"] = true }
local dtype_names = { uint8 = "LP_UINT8", int8 = "LP_INT8", int16 = "LP_INT16", int32 = "LP_INT32",
  int64 = "LP_INT64", float16 = "LP_FLOAT16", float32 = "LP_FLOAT32", float64 = "LP_FLOAT64",
  complex64 = "LP_COMPLEX64", complex128 = "LP_COMPLEX128", bool = "LP_BOOL", bfloat16 = "LP_BFLOAT16" }
schema.dtype_names = dtype_names

local function trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end

-- Splits at commas outside brackets and quotes.
local function split_args(text)
  local parts, depth, quoted, start = {}, 0, false, 1
  for i = 1, #text do
    local ch = text:sub(i, i)
    if ch == "'" then quoted = not quoted
    elseif not quoted then
      if ch:find("[%[%(]") then depth = depth + 1
      elseif ch:find("[%]%)]") then depth = depth - 1
      elseif ch == "," and depth == 0 then
        parts[#parts + 1] = trim(text:sub(start, i - 1))
        start = i + 1
      end
    end
  end
  local last = trim(text:sub(start))
  if last ~= "" then parts[#parts + 1] = last end
  return parts
end

local function words(s)
  local set, list = {}, {}
  for w in (s or ""):gmatch("%S+") do set[w] = true; list[#list + 1] = w end
  return set, list
end
schema.words = words

-- The C initialiser of a default, for the argument's type; nil when it does not fit.
function schema.default_c(arg, text)
  local t = arg.type
  local base, optional = t:gsub("%?$", "")
  if text == "nil" then
    if t == "Tensor?" then return "{.tensor = NULL}" end
    if base == "int[]" then return "{.ints = {NULL, -1}}" end
    if base == "float[]" then return "{.floats = {NULL, -1}}" end
    if t == "dtype?" then return "{.dtype = LP_DTYPE_NONE}" end
    if t == "device?" then return "{.device = {LP_DEVICE_NONE, 0}}" end
    if t == "Generator?" then return "{.generator = NULL}" end
    if t == "memory_format?" then return "{.format = LP_FORMAT_NONE}" end
    if t == "str?" then return "{.str = NULL}" end
    if optional == 1 then return ("{.%s = {.has = false}}"):format(schema.types[t].field) end
    return nil
  end
  local field = schema.types[t].field
  local number = tonumber(text)
  local value
  if base == "int" then
    value = number and math.type(number) == "integer" and tostring(number)
  elseif base == "float" then
    value = number and ("%.17g"):format(number) or text == "inf" and "INFINITY" or nil
  elseif base == "bool" then
    value = (text == "true" or text == "false") and text
  elseif base == "Scalar" then
    if number and math.type(number) == "integer" then
      value = ("{LP_SCALAR_INT, {.i = %d}}"):format(number)
    elseif number then
      value = ("{LP_SCALAR_FLOAT, {.f = %.17g}}"):format(number)
    elseif text == "true" or text == "false" then
      value = ("{LP_SCALAR_BOOL, {.i = %s}}"):format(text)
    end
  elseif base == "str" then
    local s = text:match("^'(.*)'$")
    return s and ('{.str = "%s"}'):format(s)
  elseif base == "dtype" then
    return dtype_names[text] and ("{.dtype = %s}"):format(dtype_names[text])
  elseif base == "memory_format" then
    local formats = { contiguous_format = "LP_CONTIGUOUS", preserve_format = "LP_PRESERVE" }
    return formats[text] and ("{.format = %s}"):format(formats[text])
  elseif base == "int[]" or base == "float[]" then
    local inner = text:match("^%[(.*)%]$") or (number and text)
    if not inner then return nil end
    local items = split_args(inner)
    if #items == 0 then
      return ("{.%s = {NULL, 0}}"):format(field)
    end
    return ("{.%s = {(const %s[]){%s}, %d}}"):format(field, base == "int[]" and "int64_t" or "double",
      table.concat(items, ", "), #items)
  end
  if not value then return nil end
  if optional == 1 then return ("{.%s = {true, %s}}"):format(field, value) end
  return ("{.%s = %s}"):format(field, value)
end

local function parse_arg(text, fault)
  local type_text, rest = text:match("^([%a_]+[%[%]%d%?]*)%s+(.+)$")
  if not type_text then return fault("cannot read argument '%s'", text) end
  local fixed = type_text:match("%[(%d+)%]")
  local type_name = type_text:gsub("%[%d+%]", "[]")
  if not schema.types[type_name] then return fault("unknown type '%s'", type_text) end
  local name, default = rest:match("^([%a_][%w_]*)%s*=%s*(.+)$")
  name = name or rest:match("^([%a_][%w_]*)$")
  if not name then return fault("cannot read argument '%s'", text) end
  local arg = { name = name, type = type_name, fixed = tonumber(fixed) or 0, default = default }
  if default then
    arg.default_c = schema.default_c(arg, default)
    if not arg.default_c then return fault("default '%s' does not fit type %s", default, type_text) end
  end
  return arg
end

local function parse_results(text, fault)
  local results = {}
  text = trim(text)
  local inner = text:match("^%((.*)%)$")
  for _, part in ipairs(split_args(inner or text)) do
    local type_name, name = part:match("^(%S+)%s+([%a_][%w_]*)$")
    type_name = type_name or part
    if not schema.result_types[type_name] then fault("unknown result type '%s'", part) end
    results[#results + 1] = { type = type_name, name = name }
  end
  if #results == 1 then
    results[1].name = results[1].name or "result"
  else
    for i, r in ipairs(results) do
      if r.type ~= "Tensor" then fault("several results must all be tensors") end
      r.name = r.name or ("result" .. (i - 1))
    end
  end
  return results
end

-- Parses one row in place.
local function parse_row(row, fault)
  for key in pairs(row) do
    if key ~= 1 and not row_fields[key] and key ~= "file" and key ~= "line" then
      fault("unknown field '%s'", tostring(key))
    end
  end
  local sig = row[1]
  if type(sig) ~= "string" then return fault("the first field must be the signature") end
  local full, args, results = sig:match("^([%w_%.]+)%((.*)%)%s*%->%s*(.+)$")
  if not full then return fault("cannot read signature '%s'", sig) end
  row.signature = sig
  row.name, row.overload = full:match("^([%w_]+)%.([%w_]+)$")
  row.name, row.overload = row.name or full, row.overload or ""
  row.args, row.results = {}, parse_results(results, fault)
  local keyword_only = false
  local seen = {}
  for _, text in ipairs(split_args(args)) do
    if text == "*" then
      keyword_only = true
    else
      local arg = parse_arg(text, fault)
      if arg then
        if seen[arg.name] then fault("argument '%s' stands twice", arg.name) end
        seen[arg.name] = true
        arg.keyword_only = keyword_only
        row.args[#row.args + 1] = arg
      end
    end
  end
  row.modules = {}
  for w in (row.module or "torch"):gmatch("%S+") do row.modules[#row.modules + 1] = w end
  local prefix = prefixed[row.modules[1]] and row.modules[1]:gsub("%.", "_") .. "_" or ""
  row.cname = (prefix .. row.name .. (row.overload ~= "" and "_" .. row.overload or "")):lower()
  local word_list
  row.variant, word_list = words(row.variants or "function method")
  for _, w in ipairs(word_list) do
    if not variant_words[w] then fault("unknown variant '%s'", w) end
  end
  row.kind = row.kind or (row.composite and "composite") or "native"
  if not kinds[row.kind] then fault("unknown kind '%s'", row.kind) end
  row.kernel = row.kernel or row.name
  row.impl = row.impl or ((row.kind == "composite" and "lp_composite_" or "lp_impl_") .. row.cname)
  row.nondiff_set = words(row.nondiff)
  if row.autocast and not autocast_tags[row.autocast] then fault("unknown autocast '%s'", row.autocast) end
  row.autocast_tag = autocast_tags[row.autocast] or "LP_AUTOCAST_NONE"
  row.alias_list = select(2, words(row.aliases))
  row.cases = row.cases or {}
  if (row.kind == "composite") and row.grad then fault("a composite has no grad: it follows from its parts") end
  if row.grad == "none" then row.nondiff_all = true end
  -- Elementwise kinds carry their kernel's scalar parameters after the tensors.
  local n_tensors = row.kind == "unary" and 1 or row.kind == "binary" and 2
  if n_tensors then
    for i, arg in ipairs(row.args) do
      local want = i <= n_tensors and arg.type == "Tensor" or i > n_tensors and
        (arg.type == "Scalar" or arg.type == "float" or arg.type == "int" or arg.type == "bool")
      if not want then fault("%s kind: argument '%s' cannot have type %s", row.kind, arg.name, arg.type) end
    end
    if not row.dtypes then fault("%s kind needs dtypes", row.kind) end
    if words(row.dtypes).double then
      if row.dtypes ~= "double" then fault("dtypes \"double\" stands alone") end
      if #row.args > 2 then fault("a kernel of doubles takes at most two") end
    end
    if row.promote and row.promote ~= "int->float" and row.promote ~= "->bool" then
      fault("unknown promote '%s'", row.promote)
    end
  end
  local multi = #row.results > 1
  if row.variant.inplace and (multi or row.results[1] == nil or row.results[1].type ~= "Tensor") then
    fault("only an op with one tensor result can have an inplace variant")
  end
  if row.variant.inplace and (not row.args[1] or row.args[1].type ~= "Tensor") then
    fault("an inplace variant needs a Tensor as its first argument")
  end
  if row.variant.out and (row.results[1] == nil or row.results[1].type ~= "Tensor") then
    fault("only tensor results can have an out variant")
  end
  if row.kind == "view" and (row.variant.inplace or row.variant.out) then
    fault("a view has no inplace or out variant")
  end
  row.returns_tensors = row.results[1] and (row.results[1].type == "Tensor" or row.results[1].type == "Tensor[]")
  if type(row.grad) == "table" then
    for key in pairs(row.grad) do
      for name in key:gmatch("[%w_]+") do
        local found
        for _, arg in ipairs(row.args) do if arg.name == name then found = arg end end
        if not found then fault("grad names no argument '%s'", name)
        elseif not found.type:find("^Tensor") then fault("grad of '%s', which is no tensor", name) end
      end
    end
  elseif row.grad ~= nil and row.grad ~= "none" then
    fault("grad must be a table or \"none\"")
  elseif row.grad == nil and row.kind ~= "composite" and row.returns_tensors then
    local takes_tensor = false
    for _, arg in ipairs(row.args) do
      if arg.type:find("^Tensor") then takes_tensor = true end
    end
    if takes_tensor then fault("no derivative: give grad, or grad = \"none\"") end
  end
  if not row.variant.internal and not row.doc then fault("a public op needs doc") end
end

-- Reads all row files; returns the rows in order and an index by C name. Raises one error with all faults.
function schema.load(root, files)
  local rows, by_cname, faults = {}, {}, {}
  for _, path in ipairs(files) do
    local short = path:sub(1, #root) == root and path:sub(#root + 2) or path
    local env = setmetatable({}, { __index = _G })
    env.op = function(row)
      row.file, row.line = short, debug.getinfo(2, "l").currentline
      rows[#rows + 1] = row
    end
    local chunk, message = loadfile(path, "t", env)
    if not chunk then faults[#faults + 1] = message
    else
      local ok, err = pcall(chunk)
      if not ok then faults[#faults + 1] = tostring(err) end
    end
  end
  for _, row in ipairs(rows) do
    local function fault(format, ...)
      faults[#faults + 1] = ("%s:%d: %s: %s"):format(row.file, row.line, tostring(row[1]),
        format:format(...))
    end
    parse_row(row, fault)
    if row.cname then
      if by_cname[row.cname] then
        fault("C name lp_%s is taken by %s:%d", row.cname, by_cname[row.cname].file, by_cname[row.cname].line)
      end
      by_cname[row.cname] = row
    end
  end
  for cname, names in pairs(require "node_names") do
    local row = by_cname[cname]
    if not row then faults[#faults + 1] = ("node_names.lua: there is no op '%s'"):format(cname)
    else row.node = row.node or names end
  end
  if #faults > 0 then error(table.concat(faults, "\n"), 0) end
  return rows, by_cname
end

return schema
