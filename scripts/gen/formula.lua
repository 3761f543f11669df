-- The formula language of derivatives and composites: parses an expression and lowers it to C
-- statements. See docs/design/op-schema.md. Emits straight code: one temporary per call, dropped
-- as soon as its one reader has run.
local schema = require "schema"

local formula = {}

-- --- parsing ------------------------------------------------------------------------------------
local function tokenize(text)
  local tokens, at = {}, 1
  while at <= #text do
    local space = text:match("^%s+", at)
    if space then at = at + #space end
    if at > #text then break end
    local number = text:match("^%d+%.?%d*[eE][%+%-]?%d+", at) or text:match("^%d+%.%d*", at) or text:match("^%d+", at)
    local name = not number and text:match("^[%a_][%w_]*", at)
    local str = text:match("^'[^']*'", at)
    local symbol = text:match("^[><=!]=", at) or text:match("^[%+%-%*/%(%)%[%],%.><%?:=]", at)
    local token
    if number then token = { k = "num", v = number }
    elseif name then token = { k = "name", v = name }
    elseif str then token = { k = "str", v = str:sub(2, -2) }
    elseif symbol then token = { k = symbol, v = symbol }
    else error(("formula: cannot read '%s'"):format(text:sub(at)), 0) end
    at = at + #(str or token.v)
    tokens[#tokens + 1] = token
  end
  tokens[#tokens + 1] = { k = "end", v = "end of formula" }
  return tokens
end

function formula.parse(text)
  local tokens, at = tokenize(text), 1
  local function peek() return tokens[at].k end
  local function peek_word(w) return tokens[at].k == "name" and tokens[at].v == w end
  local function take(kind)
    local token = tokens[at]
    if kind and token.k ~= kind then
      error(("formula '%s': expected '%s' before '%s'"):format(text, kind, token.v), 0)
    end
    at = at + 1
    return token
  end
  local expression
  local function primary()
    local token = take()
    local node
    if token.k == "num" then
      return { k = "num", v = token.v, float = token.v:find("[%.eE]") ~= nil }
    elseif token.k == "str" then return { k = "str", v = token.v }
    elseif token.k == "(" then
      node = expression()
      take(")")
    elseif token.k == "[" then
      node = { k = "list", items = {} }
      while peek() ~= "]" do
        node.items[#node.items + 1] = expression()
        if peek() == "," then take() end
      end
      take("]")
    elseif token.k == "name" then
      if token.v == "true" or token.v == "false" then return { k = "bool", v = token.v } end
      if token.v == "nil" then return { k = "nil" } end
      node = { k = "name", v = token.v }
    else
      error(("formula '%s': unexpected '%s'"):format(text, token.v), 0)
    end
    while true do
      if peek() == "(" and node.k == "name" then
        take()
        local call = { k = "call", fn = node.v, args = {}, named = {} }
        while peek() ~= ")" do
          if peek() == "name" and tokens[at + 1].k == "=" then
            local name = take().v
            take("=")
            call.named[name] = expression()
          else
            call.args[#call.args + 1] = expression()
          end
          if peek() == "," then take() elseif peek() ~= ")" then take(")") end
        end
        take(")")
        node = call
      elseif peek() == "." then
        take()
        local prop = { k = "prop", obj = node, name = take("name").v }
        if peek() == "(" then
          take()
          prop.arg = expression()
          take(")")
        end
        node = prop
      elseif peek() == "[" then
        take()
        node = { k = "index", obj = node, i = expression() }
        take("]")
      else
        return node
      end
    end
  end
  local function unary()
    if peek() == "-" then
      take()
      return { k = "un", op = "-", a = unary() }
    elseif peek_word("not") then
      take()
      return { k = "un", op = "not", a = unary() }
    end
    return primary()
  end
  local function left(next_level, ops)
    return function()
      local node = next_level()
      while ops[peek()] or (peek() == "name" and ops[tokens[at].v]) do
        local op = take().v
        node = { k = "bin", op = op, a = node, b = next_level() }
      end
      return node
    end
  end
  local product = left(unary, { ["*"] = true, ["/"] = true })
  local sum = left(product, { ["+"] = true, ["-"] = true })
  local compare = left(sum, { [">"] = true, ["<"] = true, [">="] = true, ["<="] = true, ["=="] = true, ["!="] = true })
  local conjunction = left(compare, { ["and"] = true })
  local disjunction = left(conjunction, { ["or"] = true })
  function expression()
    local node = disjunction()
    if peek() == "?" then
      take()
      local a = expression()
      take(":")
      return { k = "cond", c = node, a = a, b = expression() }
    end
    return node
  end
  local node = expression()
  take("end")
  return node
end

-- --- lowering -----------------------------------------------------------------------------------
-- A value: { type = schema type (or "num", "nil", "list", "results", "vec"), c = C expression,
-- temp = C variable to drop after use }.
local Lower = {}
Lower.__index = Lower

-- resolve(name) -> value or nil: the variables in scope. prop(node) -> value or nil: lets the owner answer
-- x.shape of saved arguments without the tensor.
function formula.lowering(by_cname, resolve, prop)
  return setmetatable({ by_cname = by_cname, resolve = resolve, prop = prop, lines = {}, temps = {}, vecs = {},
    indent = "  " }, Lower)
end

function Lower:emit(format, ...)
  self.lines[#self.lines + 1] = self.indent .. (select("#", ...) > 0 and format:format(...) or format)
end

function Lower:new_temp()
  local name = "t" .. (#self.temps + 1)
  self.temps[#self.temps + 1] = name
  return name
end

function Lower:drop(value)
  if not value then return end
  if value.drops then
    for _, v in ipairs(value.drops) do self:drop(v) end
  end
  if value.temp then self:emit("lp_drop(&%s);", value.temp) end
  if value.vec then self:emit("lp_tensor_vec_free(&%s);", value.vec) end
end

local function is_scalar(t) return t == "Scalar" or t == "int" or t == "float" or t == "bool" or t == "num" end

-- A C expression of type LpScalar.
local function scalar_c(v)
  if v.type == "Scalar" then return v.c end
  if v.type == "num" then return (v.float and "lp_scalar_float(%s)" or "lp_scalar_int(%s)"):format(v.c) end
  if v.type == "int" then return ("lp_scalar_int(%s)"):format(v.c) end
  if v.type == "float" then return ("lp_scalar_float(%s)"):format(v.c) end
  if v.type == "bool" then return ("lp_scalar_bool(%s)"):format(v.c) end
  error("a " .. v.type .. " is no scalar", 0)
end

-- Converts a value to a parameter of schema type `want`; returns the C expression and what to drop after the call.
function Lower:convert(v, want, what)
  local base, optional = want:gsub("%?$", "")
  if v.needed and want ~= "Tensor?" then v.needed() end
  if v.type == want then return v.c, v end
  if v.type == "nil" then
    if want == "Tensor?" or want == "Tensor" then return "NULL" end
    if want == "str?" or want == "Generator?" then return "NULL" end
    if base == "int[]" then return "lp_ints_none()" end
    if want == "dtype?" then return "LP_DTYPE_NONE" end
    if want == "memory_format?" then return "LP_FORMAT_NONE" end
    if want == "device?" then return "((LpDevice){LP_DEVICE_NONE, 0})" end
    if optional == 1 then return ("((%s){.has = false})"):format(schema.types[want].c:gsub("%s", "")) end
  elseif want == "Tensor" or want == "Tensor?" then
    if v.type == "Tensor" or v.type == "Tensor?" then return v.c, v end
    if is_scalar(v.type) then
      local t = self:new_temp()
      self:emit("if (!(%s = lp_tensor_wrapped(%s))) goto fail;", t, scalar_c(v))
      return t, { temp = t }
    end
  elseif base == "Scalar" and is_scalar(v.type) then
    local c = scalar_c(v)
    return optional == 1 and ("((LpOptScalar){true, %s})"):format(c) or c
  elseif base == "int" and (v.type == "int" or (v.type == "num" and not v.float)) then
    return optional == 1 and ("((LpOptInt){true, %s})"):format(v.c) or v.c
  elseif base == "float" and (v.type == "int" or v.type == "num" or v.type == "float") then
    return optional == 1 and ("((LpOptFloat){true, %s})"):format(v.c) or v.c
  elseif base == "float" and v.type == "Scalar" then
    local c = ("lp_scalar_to_double(%s)"):format(v.c)
    return optional == 1 and ("((LpOptFloat){true, %s})"):format(c) or c
  elseif base == "bool" and (v.type == "bool") then
    return optional == 1 and ("((LpOptBool){true, %s})"):format(v.c) or v.c
  elseif base == "int[]" and (v.type == "int[]" or v.type == "int[]?") then
    return v.c, v
  elseif base == "int[]" and (v.type == "int" or v.type == "num") then
    return ("lp_ints((const int64_t[]){%s}, 1)"):format(v.c)
  elseif base == "int[]" and v.type == "list" then
    if #v.items == 0 then return "lp_ints(NULL, 0)" end
    local items = {}
    for i, item in ipairs(v.items) do items[i] = self:convert(item, "int", what) end
    return ("lp_ints((const int64_t[]){%s}, %d)"):format(table.concat(items, ", "), #items)
  elseif (want == "Tensor[]" or want == "Tensor?[]") then
    if v.type == "Tensor[]" or v.type == "Tensor?[]" then return v.c, v end
    if v.type == "vec" then return ("((LpTensors){%s.data, %s.count})"):format(v.vec, v.vec), v end
    if v.type == "list" then
      local items, drops = {}, {}
      for i, item in ipairs(v.items) do
        local c, owned = self:convert(item, "Tensor", what)
        items[i], drops[i] = c, owned or {}
      end
      return ("((LpTensors){(LpTensor *const[]){%s}, %d})"):format(table.concat(items, ", "), #items),
        { drops = drops }
    end
  elseif (want == "str" or want == "str?") and (v.type == "str" or v.type == "str?") then return v.c
  elseif base == "dtype" and (v.type == "dtype" or v.type == "dtype?") then return v.c
  elseif want == "device?" and v.type == "device?" then return v.c
  elseif want == "mask" and (v.type == "mask" or v.type == "num") then return v.c
  end
  error(("%s: a %s does not fit %s"):format(what, v.type, want), 0)
end

function Lower:call(fn, args, named)
  local row = self.by_cname[fn]
  if not row then error(("formula calls '%s', which is no op"):format(fn), 0) end
  local c_args, drops = {}, {}
  local used = {}
  for i, param in ipairs(row.args) do
    local value = args[i]
    if value and i > #row.args then error(("too many arguments for %s"):format(fn), 0) end
    if not value and named[param.name] then
      value = named[param.name]
      used[param.name] = true
    end
    if value then
      local c, owned = self:convert(value, param.type, ("%s(%s)"):format(fn, param.name))
      c_args[i] = c
      drops[#drops + 1] = owned
    elseif param.default then
      local init = param.default_c:match("^{%.[%w_]+ = (.*)}$")
      local ctype = schema.types[param.type].c:gsub("%s+$", "")
      c_args[i] = init:sub(1, 1) == "{" and ("((%s)%s)"):format(ctype, init) or init
    else
      error(("%s: argument '%s' is missing"):format(fn, param.name), 0)
    end
  end
  if #args > #row.args then error(("too many arguments for %s"):format(fn), 0) end
  for name in pairs(named) do
    if not used[name] then error(("%s has no argument '%s'"):format(fn, name), 0) end
  end
  local joined = table.concat(c_args, ", ")
  local result
  if #row.results == 1 and row.results[1].type == "Tensor" then
    local t = self:new_temp()
    self:emit("if (!(%s = lp_%s(%s))) goto fail;", t, fn, joined)
    result = { type = "Tensor", c = t, temp = t }
  elseif #row.results > 1 then
    local names = {}
    for i = 1, #row.results do names[i] = self:new_temp() end
    local array = "r" .. #self.temps
    self:emit("{")
    self:emit("  LpTensor *%s[%d] = {0};", array, #names)
    self:emit("  if (!lp_%s(%s%s%s)) goto fail;", fn, joined, joined == "" and "" or ", ", array)
    for i, name in ipairs(names) do self:emit("  %s = %s[%d];", name, array, i - 1) end
    self:emit("}")
    result = { type = "results", names = names }
  elseif #row.results == 1 and row.results[1].type == "Tensor[]" then
    local v = "v" .. (#self.vecs + 1)
    self.vecs[#self.vecs + 1] = v
    self:emit("if (!lp_%s(%s%s&%s)) goto fail;", fn, joined, joined == "" and "" or ", ", v)
    result = { type = "vec", c = v, vec = v }
  else
    error(("formula cannot use the result of %s"):format(fn), 0)
  end
  for _, d in ipairs(drops) do self:drop(d) end
  return result
end

local c_arith = { ["+"] = "add", ["-"] = "sub", ["*"] = "mul", ["/"] = "div" }
local c_compare = { [">"] = "gt", ["<"] = "lt", [">="] = "ge", ["<="] = "le", ["=="] = "eq", ["!="] = "ne" }

function Lower:binary(node)
  local op = node.op
  local a, b = self:value(node.a), self:value(node.b)
  if a.type == "nil" or b.type == "nil" then
    local v = a.type == "nil" and b or a
    local present = (v.type == "Tensor" or v.type == "Tensor?" or v.type == "str?" or v.type == "Generator?")
      and v.c .. " != NULL" or (v.type == "int[]?" and v.c .. ".count >= 0")
      or (v.type == "dtype?" and v.c .. " != LP_DTYPE_NONE") or v.c .. ".has"
    return { type = "bool", c = op == "==" and ("(!(%s))"):format(present) or ("(%s)"):format(present) }
  end
  if op == "and" or op == "or" then
    return { type = "bool", c = ("(%s %s %s)"):format(a.c, op == "and" and "&&" or "||", b.c) }
  end
  if (a.type == "str" or a.type == "str?") and (b.type == "str" or b.type == "str?") then
    return { type = "bool", c = ("(strcmp(%s, %s) %s 0)"):format(a.c, b.c, op) }
  end
  local tensor = a.type:find("^Tensor") or b.type:find("^Tensor")
  if tensor then
    return self:call(c_arith[op] or c_compare[op], { a, b }, {})
  end
  if a.type == "dtype" or a.type == "dtype?" then
    return { type = "bool", c = ("(%s %s %s)"):format(a.c, op, b.c) }
  end
  if a.type == "Scalar" or b.type == "Scalar" then
    if c_arith[op] then
      return { type = "Scalar", c = ("lp_scalar_%s(%s, %s)"):format(c_arith[op], scalar_c(a), scalar_c(b)) }
    elseif op == "==" or op == "!=" then
      return { type = "bool", c = ("(%slp_scalar_equal(%s, %s))"):format(op == "!=" and "!" or "", scalar_c(a),
        scalar_c(b)) }
    end
    return { type = "bool", c = ("(lp_scalar_to_double(%s) %s lp_scalar_to_double(%s))"):format(scalar_c(a), op,
      scalar_c(b)) }
  end
  if c_compare[op] then return { type = "bool", c = ("(%s %s %s)"):format(a.c, op, b.c) } end
  local float = a.type == "float" or b.type == "float" or a.float or b.float or op == "/"
  local left = op == "/" and ("(double)%s"):format(a.c) or a.c
  return { type = float and "float" or "int", c = ("(%s %s %s)"):format(left, op, b.c) }
end

-- x[i] of a call with several results, of a list of tensors, of ints.
function Lower:index(node)
  local obj, i = self:value(node.obj), self:value(node.i)
  if obj.type == "results" then
    local at = tonumber(i.c)
    if not at or not obj.names[at + 1] then error("formula: no such result", 0) end
    for k, name in ipairs(obj.names) do
      if k ~= at + 1 then self:emit("lp_drop(&%s);", name) end
    end
    return { type = "Tensor", c = obj.names[at + 1], temp = obj.names[at + 1] }
  elseif obj.type == "int[]" or obj.type == "int[]?" then
    return { type = "int", c = ("%s.data[%s]"):format(obj.c, i.c) }
  elseif obj.type == "Tensor[]" then
    return { type = "Tensor", c = ("%s.data[%s]"):format(obj.c, i.c) }
  elseif obj.type == "vec" then
    local t = self:new_temp()
    self:emit("%s = lp_tensor_retain(%s.data[%s]);", t, obj.vec, i.c)
    self:drop(obj)
    return { type = "Tensor", c = t, temp = t }
  end
  error("formula: cannot index a " .. obj.type, 0)
end

local tensor_props = {
  shape = { "int[]", "lp_sizes(%s)" }, dtype = { "dtype", "lp_dtype(%s)" }, ndim = { "int", "lp_ndim(%s)" },
  numel = { "int", "lp_numel(%s)" }, device = { "device?", "lp_device(%s)" },
  strides = { "int[]", "lp_strides(%s)" }, offset = { "int", "lp_storage_offset(%s)" },
}
formula.tensor_props = tensor_props

-- Lowers a node to a value, emitting the calls it needs.
function Lower:value(node)
  local k = node.k
  if k == "num" then return { type = "num", c = node.v, float = node.float }
  elseif k == "str" then return { type = "str", c = ('"%s"'):format(node.v) }
  elseif k == "bool" then return { type = "bool", c = node.v }
  elseif k == "nil" then return { type = "nil" }
  elseif k == "list" then
    local items = {}
    for i, item in ipairs(node.items) do items[i] = self:value(item) end
    return { type = "list", items = items }
  elseif k == "name" then
    if schema.dtype_names[node.v] then return { type = "dtype", c = schema.dtype_names[node.v] } end
    local v = self.resolve(node.v)
    if not v then error(("formula: unknown name '%s'"):format(node.v), 0) end
    return v
  elseif k == "prop" then
    local v = self.prop(node)
    if v then return v end
    local spec = tensor_props[node.name]
    if not spec then error(("formula: unknown property '.%s'"):format(node.name), 0) end
    local obj = self:value(node.obj)
    if obj.temp then error("formula: a property of a call: give it a name of its own op", 0) end
    return { type = spec[1], c = spec[2]:format(obj.c) }
  elseif k == "index" then return self:index(node)
  elseif k == "bin" then return self:binary(node)
  elseif k == "un" then
    local a = self:value(node.a)
    if node.op == "not" then return { type = "bool", c = ("(!%s)"):format(a.c) } end
    if a.type == "Tensor" or a.type == "Tensor?" then return self:call("neg", { a }, {}) end
    if a.type == "Scalar" then return { type = "Scalar", c = ("lp_scalar_neg(%s)"):format(a.c) } end
    return { type = a.type, c = ("(-%s)"):format(a.c), float = a.float }
  elseif k == "call" then
    local args, named = {}, {}
    for i, arg in ipairs(node.args) do args[i] = self:value(arg) end
    local names = {}
    for name in pairs(node.named) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do named[name] = self:value(node.named[name]) end
    return self:call(node.fn, args, named)
  elseif k == "cond" then
    local c = self:value(node.c)
    local outer = self.indent
    -- Both branches put an owned tensor into one variable, unless they are plain values.
    local mark_lines = #self.lines
    local result
    self:emit("if (%s) {", c.c)
    self.indent = outer .. "  "
    local a = self:value(node.a)
    local tensor = a.type:find("^Tensor") or a.type == "nil"
    local is_vec = a.type == "vec"
    if is_vec then
      result = "v" .. (#self.vecs + 1)
      self.vecs[#self.vecs + 1] = result
      self:emit("%s = %s; %s = (LpTensorVec){NULL, 0};", result, a.vec, a.vec)
    elseif tensor then
      result = self:new_temp()
      self:own(a, result)
    end
    self.indent = outer
    self:emit("} else {")
    self.indent = outer .. "  "
    local b = self:value(node.b)
    if is_vec then
      self:emit("%s = %s; %s = (LpTensorVec){NULL, 0};", result, b.vec, b.vec)
    elseif tensor or b.type:find("^Tensor") then
      if not tensor then error("formula: both branches of ? : must be tensors", 0) end
      self:own(b, result)
    end
    self.indent = outer
    self:emit("}")
    if is_vec then return { type = "vec", c = result, vec = result } end
    if tensor then return { type = "Tensor", c = result, temp = result } end
    for i = #self.lines, mark_lines + 1, -1 do self.lines[i] = nil end
    if a.type == "str" then return { type = "str", c = ("(%s ? %s : %s)"):format(c.c, a.c, b.c) } end
    local types = { [a.type] = true, [b.type] = true }
    if types.Scalar then
      return { type = "Scalar", c = ("(%s ? %s : %s)"):format(c.c, scalar_c(a), scalar_c(b)) }
    end
    local float = types.float or a.float or b.float
    local t = float and "float" or (types.bool and "bool") or (types["int[]"] and "int[]") or (types.mask and "mask")
      or (types.dtype and "dtype") or "int"
    if t == "int[]" then
      return { type = t, c = ("(%s ? %s : %s)"):format(c.c, self:convert(a, "int[]", "?:"), self:convert(b, "int[]", "?:")) }
    end
    return { type = t, c = ("(%s ? %s : %s)"):format(c.c, a.c, b.c) }
  end
  error("formula: unknown node " .. tostring(k), 0)
end

-- Moves or retains a tensor value into the variable `into`.
function Lower:own(v, into)
  if v.needed then v.needed() end
  if v.type == "nil" then self:emit("%s = NULL;", into)
  elseif v.temp then
    self:emit("%s = %s;", into, v.temp)
    self:emit("%s = NULL;", v.temp)
  elseif v.type == "Tensor" or v.type == "Tensor?" then self:emit("%s = lp_tensor_retain(%s);", into, v.c)
  elseif is_scalar(v.type) then
    self:emit("if (!(%s = lp_tensor_wrapped(%s))) goto fail;", into, scalar_c(v))
  else
    error("formula: expected a tensor, got " .. v.type, 0)
  end
end

-- The declarations of the temporaries, and the lines that free them.
function Lower:declarations()
  local out = {}
  if #self.temps > 0 then out[#out + 1] = "  LpTensor *" .. table.concat(self.temps, " = NULL, *") .. " = NULL;" end
  if #self.vecs > 0 then
    out[#out + 1] = "  LpTensorVec " .. table.concat(self.vecs, " = {0}, ") .. " = {0};"
  end
  return table.concat(out, "\n")
end

function Lower:cleanup()
  local out = {}
  for _, t in ipairs(self.temps) do out[#out + 1] = ("  lp_tensor_release(%s);"):format(t) end
  for _, v in ipairs(self.vecs) do out[#out + 1] = ("  lp_tensor_vec_free(&%s);"):format(v) end
  return table.concat(out, "\n")
end

return formula
