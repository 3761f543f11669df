-- Emits one C file per schema file: for each row its public functions (dispatch and recording for
-- autograd), its node class, its boxed thunks and its LpOpInfo. Straight code in schema order.
local schema = require "schema"
local formula = require "formula"

local emit = {}

local function params_of(row, first)
  local list = {}
  for _, a in ipairs(row.args) do list[#list + 1] = schema.types[a.type].c .. a.name end
  local joined = table.concat(list, ", ")
  if first and joined ~= "" then return first .. ", " .. joined end
  return first or joined
end

local function names_of(row, first)
  local list = { first }
  for _, a in ipairs(row.args) do list[#list + 1] = a.name end
  return table.concat(list, ", ")
end

-- Has the row a plain function (an op that exists only in place has none)?
local function only_inplace(row)
  return row.variant.inplace and not (row.variant["function"] or row.variant.method or row.variant.internal or row.variant.out)
end
emit.only_inplace = only_inplace

local function void(params) return params == "" and "void" or params end

-- How results travel: "tensor" (returned), "tensors" (array), "vec", "value" (through a pointer), "none".
local function result_form(row)
  if #row.results == 0 then return "none" end
  if #row.results > 1 then return "tensors" end
  local t = row.results[1].type
  return t == "Tensor" and "tensor" or t == "Tensor[]" and "vec" or "value"
end

local function with_result(row, params)
  local form = result_form(row)
  local last = form == "tensors" and "LpTensor **results" or form == "vec" and "LpTensorVec *results"
    or form == "value" and schema.result_types[row.results[1].type].c .. " *result"
  if not last then return void(params) end
  return params == "" and last or params .. ", " .. last
end

local function return_type(row) return result_form(row) == "tensor" and "LpTensor *" or "bool " end

-- "LpTensor *lp_add(LpTensor *self, ...)"
function emit.prototype(row)
  return ("%slp_%s(%s)"):format(return_type(row), row.cname, with_result(row, params_of(row)))
end
function emit.prototype_inplace(row)
  return ("bool lp_%s_(%s)"):format(row.cname, void(params_of(row)))
end
function emit.prototype_out(row)
  local outs = result_form(row) == "tensor" and "LpTensor *out" or "LpTensor *const *outs"
  return ("bool lp_%s_out(%s)"):format(row.cname, params_of(row, outs))
end

local function takes_out(row)
  return row.kind == "native" and (row.variant.out or row.variant.inplace)
end

-- The prototype of the hand-written function behind a row, or nil for generated ones.
function emit.prototype_impl(row)
  if row.kind == "unary" or row.kind == "binary" or type(row.composite) == "string" then return nil end
  local first = takes_out(row) and (result_form(row) == "tensor" and "LpTensor *out" or "LpTensor **outs") or nil
  return ("%s%s(%s)"):format(return_type(row), row.impl, with_result(row, params_of(row, first)))
end

-- The C expression that runs the forward. out: C expression for the out tensor(s) or "NULL".
local function forward_call(row, out)
  if row.kind == "unary" or row.kind == "binary" then
    local n = row.kind == "unary" and 1 or 2
    local tensors, scalars = {}, {}
    for i, a in ipairs(row.args) do
      if i <= n then tensors[#tensors + 1] = a.name
      elseif a.type == "Scalar" then scalars[#scalars + 1] = a.name
      elseif a.type == "float" then scalars[#scalars + 1] = ("lp_scalar_float(%s)"):format(a.name)
      elseif a.type == "bool" then scalars[#scalars + 1] = ("lp_scalar_bool(%s)"):format(a.name)
      else scalars[#scalars + 1] = ("lp_scalar_int(%s)"):format(a.name) end
    end
    local params = #scalars == 0 and "NULL, 0"
      or ("(const LpScalar[]){%s}, %d"):format(table.concat(scalars, ", "), #scalars)
    return ("lp_%s(LP_%s_%s, %s, %s, %s)"):format(row.kind, row.kind:upper(), row.kernel, out,
      table.concat(tensors, ", "), params)
  end
  local form = result_form(row)
  local args = names_of(row, takes_out(row) and out or nil)
  local last = (form == "tensors" or form == "vec") and "results" or form == "value" and "result"
  if last then args = args == "" and last or args .. ", " .. last end
  return ("%s(%s)"):format(row.impl, args)
end

-- The arguments that carry gradients, in signature order, each with its formula and bit.
local function differentiable_args(row)
  if type(row.grad) ~= "table" then return {} end
  local by_name = {}
  for key, text in pairs(row.grad) do
    local names = {}
    for name in key:gmatch("[%w_]+") do names[#names + 1] = name end
    local group = { text = text, names = names, key = key }
    for i, name in ipairs(names) do by_name[name] = { group = group, at = i } end
  end
  local list = {}
  for _, a in ipairs(row.args) do
    local d = by_name[a.name]
    if d then
      d.arg, d.bit = a, #list
      list[#list + 1] = d
    end
  end
  return list
end

local function camel(name)
  return (("_" .. name):gsub("_+(%w)", string.upper):gsub("_", ""))
end

-- What a formula that takes a gate (see autograd/node.h, Note: gates) says of it.
local gate_names = { gate = { type = "Tensor?", c = "lp_gate()->of" }, gate_low = { type = "float", c = "lp_gate()->low" },
  gate_high = { type = "float?", c = "lp_gate()->high" } }

-- A gradient that is no more than a gate, threshold_backward(grad, result, 0): where its tensor is saved, and its bounds.
local function plan_gate(plan, low, call, by_cname)
  local called = call.k == "call" and by_cname[call.fn]
  if not (called and called.gate and call.args[1].v == "grad" and plan.by_saved[call.args[2].v]) then return nil end
  local function bound(i, type) return call.args[i] and low:convert(low:value(call.args[i]), type, "gate") end
  return { slot = plan.by_saved[call.args[2].v], low = bound(3, "float"), high = bound(4, "float?") }
end

-- Lowers the formulas of a row into { body, saved, metas, fields, ... } for its node.
local function plan_node(row, by_cname, diffs)
  local plan = { saved_inputs = {}, saved_outputs = {}, fields = {}, ints = {}, groups = {}, slots = {}, by_saved = {},
    field_seen = {} }
  local arg_by_name, result_by_name = {}, {}
  for _, a in ipairs(row.args) do arg_by_name[a.name] = a end
  for i, r in ipairs(row.results) do result_by_name[r.name] = i end
  local single_vec = row.results[1].type == "Tensor[]"
  local group_done = {}
  local current
  local function save(name, kind)
    local entry = plan.by_saved[name]
    if not entry then
      entry = { name = name, kind = kind, groups = {} }
      plan.by_saved[name] = entry
      local list = kind == "output" and plan.saved_outputs or plan.saved_inputs
      list[#list + 1] = entry
    end
    entry.groups[current] = true
  end
  local function field(name, ctype, init, ints_count)
    if not plan.field_seen[name] then
      plan.field_seen[name] = true
      plan.fields[#plan.fields + 1] = { name = name, ctype = ctype, init = init, ints_count = ints_count }
    end
  end
  plan.field = field
  local first_diff = 1
  while row.results[first_diff] and row.nondiff_set[row.results[first_diff].name] do first_diff = first_diff + 1 end
  plan.used_grads, plan.zero_grads = {}, {}
  local function resolve(name)
    -- The gradient of one of several results may be missing. A parameter of type Tensor? gets it as it is; for any
    -- other use it becomes zeros.
    local function gradient(i)
      plan.used_grads[i] = true
      return { type = "Tensor", c = "grad_" .. (i - 1), needed = function() plan.zero_grads[i] = true end }
    end
    if name == "grad" then
      return gradient(first_diff)
    elseif name == "grads" and single_vec then
      plan.uses_grad_list = true
      return { type = "Tensor[]", c = "grad_list" }
    elseif name == "grad_mask" then
      local bits = {}
      for i, n in ipairs(current.names) do
        local d
        for _, e in ipairs(diffs) do if e.arg.name == n then d = e end end
        bits[i] = ("(unsigned)want_%s << %d"):format(d.arg.name, i - 1)
      end
      return { type = "mask", c = "(" .. table.concat(bits, " | ") .. ")" }
    end
    local grad_of = name:match("^grad_(.+)$")
    if grad_of and result_by_name[grad_of] and #row.results > 1 then
      return gradient(result_by_name[grad_of])
    end
    if result_by_name[name] then
      save(name, "output")
      return { type = "Tensor", c = "saved_" .. name }
    end
    local a = arg_by_name[name]
    if not a then
      if gate_names[name] then plan.takes_gate = true end
      return gate_names[name]
    end
    if a.type == "Tensor" or a.type == "Tensor?" then
      save(name, "input")
      return { type = a.type, c = "saved_" .. name }
    elseif a.type == "Tensor[]" or a.type == "Tensor?[]" then
      save(name, "list")
      return { type = a.type, c = "saved_" .. name }
    elseif a.type == "int[]" or a.type == "int[]?" then
      field(name, "LpInts", ("lp_node_keep_ints(node, %s)"):format(name), ("lp_kept_count(%s)"):format(name))
      return { type = a.type, c = "n->" .. name }
    elseif a.type == "float[]" then
      field(name, "LpFloats", ("lp_node_keep_floats(node, %s)"):format(name), ("%s.count"):format(name))
      return { type = a.type, c = "n->" .. name }
    elseif a.type == "str" or a.type == "str?" then
      field(name, "LpKeptText", ("lp_keep_text(%s)"):format(name))
      return { type = a.type, c = ("lp_kept_text(&n->%s)"):format(name) }
    elseif a.type == "float[]?" or a.type == "Generator?" then
      error(("a formula cannot keep '%s' of type %s"):format(name, a.type), 0)
    end
    field(name, (schema.types[a.type].c:gsub("%s+$", "")), name)
    return { type = a.type, c = "n->" .. name }
  end
  local function prop(node)
    if node.obj.k ~= "name" then return nil end
    local a, r = arg_by_name[node.obj.v], result_by_name[node.obj.v]
    local name = node.obj.v
    if a and (a.type == "Tensor[]") and node.name == "sizes" then
      local low = formula.lowering(by_cname, resolve, prop)
      local dim = low:value(node.arg)
      local forward_dim = dim.c:gsub("n%->", "")
      field(name .. "_sizes", "LpInts", ("lp_node_keep_sizes_along(node, %s, %s)"):format(name, forward_dim),
        ("%s.count"):format(name))
      return { type = "int[]", c = ("n->%s_sizes"):format(name) }
    end
    if not ((a and (a.type == "Tensor" or a.type == "Tensor?")) or (r and not single_vec)) then return nil end
    if r and not a then return nil end -- results: through the saved result
    local spec = formula.tensor_props[node.name]
    if not spec then error(("unknown property '.%s'"):format(node.name), 0) end
    if node.name == "shape" then
      field(name .. "_shape", "LpInts", ("lp_node_keep_ints(node, lp_sizes_or_none(%s))"):format(name),
        ("lp_kept_count(lp_sizes_or_none(%s))"):format(name))
      return { type = "int[]", c = ("n->%s_shape"):format(name) }
    end
    if node.name == "strides" then
      field(name .. "_strides", "LpInts", ("lp_node_keep_ints(node, lp_strides(%s))"):format(name),
        ("lp_ndim(%s)"):format(name))
      return { type = "int[]", c = ("n->%s_strides"):format(name) }
    end
    local ctypes = { dtype = "LpDtype", ndim = "int64_t", numel = "int64_t", device = "LpDevice", offset = "int64_t" }
    field(name .. "_" .. node.name, ctypes[node.name], spec[2]:format(name))
    return { type = spec[1], c = ("n->%s_%s"):format(name, node.name) }
  end
  for _, d in ipairs(diffs) do
    if not group_done[d.group] then
      group_done[d.group] = true
      current = d.group
      plan.groups[#plan.groups + 1] = d.group
      local low = formula.lowering(by_cname, resolve, prop)
      low.indent = "    "
      local ok, err = pcall(function() d.group.value = low:value(formula.parse(d.group.text)) end)
      if not ok then
        error(("%s:%d: grad of %s in %s: %s"):format(row.file, row.line, d.group.key, row.signature, err), 0)
      end
      d.group.low = low
      if #diffs == 1 then plan.gate = plan_gate(plan, low, formula.parse(d.group.text), by_cname) end
    end
  end
  if plan.gate and plan.takes_gate then error(row.signature .. ": the gradient is a gate and takes one", 0) end
  return plan
end

-- Condition on `prefix_<arg>` for a set of formula groups.
local function group_condition(groups, prefix)
  local names, seen = {}, {}
  for g in pairs(groups) do
    for _, n in ipairs(g.names) do
      if not seen[n] then
        seen[n] = true
        names[#names + 1] = prefix .. n
      end
    end
  end
  table.sort(names)
  return table.concat(names, " || ")
end

local node_counts -- per op: nodes named so far

-- The name of a row's node (node_names.lua), nil for the usual one, and the C expression of its label, nil where the
-- name is the same for all calls.
local function node_names(row)
  if type(row.node) ~= "table" then return row.node end
  local parts = {}
  for i = 1, #row.node - 1, 2 do parts[#parts + 1] = ("(%s) ? \"%s\" : "):format(row.node[i], row.node[i + 1]) end
  return #row.node % 2 == 1 and row.node[#row.node] or nil, table.concat(parts) .. "NULL"
end

-- Emits node struct, class, backward and record functions of a row.
local function emit_node(out, row, by_cname, diffs)
  local plan = plan_node(row, by_cname, diffs)
  local cname = row.cname
  local class_name, label = node_names(row)
  if not class_name then
    local key = row.modules[1] .. "." .. row.name
    node_counts[key] = (node_counts[key] or -1) + 1
    class_name = camel(cname:sub(1, #cname - (row.overload ~= "" and #row.overload + 1 or 0))) .. "Backward" .. node_counts[key]
  end
  local function w(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end
  -- Which metadata each gradient is fitted to.
  for _, d in ipairs(diffs) do
    local a = d.arg
    if a.type == "Tensor" or a.type == "Tensor?" then
      plan.field(a.name .. "_fit_dtype", "LpDtype", ("lp_dtype_or_none(%s)"):format(a.name))
      if row.kind == "binary" then
        plan.field(a.name .. "_fit_shape", "LpInts",
          ("lp_same_shape(%s, %s) ? lp_ints_none() : lp_node_keep_ints(node, lp_sizes(%s))"):format(row.args[1].name,
            row.args[2].name, a.name),
          ("(lp_same_shape(%s, %s) ? 0 : lp_ndim(%s))"):format(row.args[1].name, row.args[2].name, a.name))
      end
    end
  end
  w("typedef struct {\n  LpNode node;")
  for _, f in ipairs(plan.fields) do w("  %s %s;", f.ctype, f.name) end
  -- Edges and saved slots: lists take as many as they hold.
  local edge_fixed, edge_lists, saved_fixed, saved_lists = 0, {}, 0, {}
  for _, d in ipairs(diffs) do
    if d.arg.type:find("%[%]") then
      edge_lists[#edge_lists + 1] = ("(int)%s.count"):format(d.arg.name)
      w("  int %s_edge, %s_edge_count;", d.arg.name, d.arg.name)
    else edge_fixed = edge_fixed + 1 end
  end
  local function expr(fixed, lists) return table.concat({ tostring(fixed), table.unpack(lists) }, " + ") end
  for _, s in ipairs(plan.saved_inputs) do
    if s.kind == "list" then
      saved_lists[#saved_lists + 1] = ("(int)%s.count"):format(s.name)
      w("  int %s_slot, %s_slot_count;", s.name, s.name)
    else
      s.slot = saved_fixed
      saved_fixed = saved_fixed + 1
    end
  end
  for _, s in ipairs(plan.saved_outputs) do
    s.slot = saved_fixed
    saved_fixed = saved_fixed + 1
  end
  plan.saved_fixed = saved_fixed
  w("} Node_%s;\n", cname)
  -- edge index expressions: lists come after the fixed edges
  local at = 0
  for _, d in ipairs(diffs) do
    if d.arg.type:find("%[%]") then d.edge = "n->" .. d.arg.name .. "_edge"
    else
      d.edge = tostring(at)
      at = at + 1
    end
  end
  -- backward
  w("static bool backward_%s(LpNode *base, LpTensor *const *grads, LpTensor **results) {", cname)
  w("  Node_%s *n = (Node_%s *)base;\n  (void)n;\n  bool ok = false;", cname, cname)
  for _, d in ipairs(diffs) do
    if d.arg.type:find("%[%]") then
      w("  const bool want_%s = lp_node_wants_range(base, %s, n->%s_edge_count);", d.arg.name, d.edge, d.arg.name)
    else
      w("  const bool want_%s = lp_node_wants(base, %s);", d.arg.name, d.edge)
    end
  end
  local multi = #row.results > 1
  local cleanup = {}
  for i in pairs(plan.used_grads) do
    w("  LpTensor *grad_%d = grads[%d];", i - 1, i - 1)
    if multi and plan.zero_grads[i] then
      w("  LpTensor *zeros_%d = NULL;", i - 1)
      cleanup[#cleanup + 1] = ("  lp_tensor_release(zeros_%d);"):format(i - 1)
    end
  end
  if plan.uses_grad_list then
    w("  LpTensor **grad_items = NULL;\n  LpTensors grad_list = {NULL, base->n_outputs};")
    cleanup[#cleanup + 1] = "  lp_node_grad_list_free(base, grads, grad_items);"
  end
  local saved_all = {}
  for _, s in ipairs(plan.saved_inputs) do saved_all[#saved_all + 1] = s end
  for _, s in ipairs(plan.saved_outputs) do saved_all[#saved_all + 1] = s end
  for _, s in ipairs(saved_all) do
    if s.kind == "list" then
      w("  LpTensors saved_%s = {NULL, 0};", s.name)
      cleanup[#cleanup + 1] = ("  lp_node_list_free(&saved_%s);"):format(s.name)
    else
      w("  LpTensor *saved_%s = NULL;", s.name)
      cleanup[#cleanup + 1] = ("  lp_tensor_release(saved_%s);"):format(s.name)
    end
  end
  -- every group's temporaries are declared at the top under names of their own
  for gi, g in ipairs(plan.groups) do
    local rename = function(text) return (text:gsub("%f[%w_]([tv])(%d+)%f[^%w_]", "%1" .. gi .. "_%2")) end
    g.lines, g.rename = {}, rename
    for i, line in ipairs(g.low.lines) do g.lines[i] = rename(line) end
    local decl, clean = g.low:declarations(), g.low:cleanup()
    if decl ~= "" then w("%s", rename(decl)) end
    if clean ~= "" then cleanup[#cleanup + 1] = rename(clean) end
  end
  if multi then
    for i in pairs(plan.zero_grads) do
      w("  if (!grad_%d && !(grad_%d = zeros_%d = lp_node_zeros(base, %d))) goto fail;", i - 1, i - 1, i - 1, i - 1)
    end
  end
  if plan.uses_grad_list then
    w("  if (!(grad_items = lp_node_grad_list(base, grads))) goto fail;\n  grad_list.data = grad_items;")
  end
  for _, s in ipairs(saved_all) do
    local cond = group_condition(s.groups, "want_")
    if s.kind == "list" then
      w("  if ((%s) && !lp_node_unpack_list(base, n->%s_slot, n->%s_slot_count, &saved_%s)) goto fail;", cond, s.name,
        s.name, s.name)
    else
      w("  if ((%s) && !lp_node_unpack(base, %d, &saved_%s)) goto fail;", cond, s.slot, s.name)
    end
  end
  for _, g in ipairs(plan.groups) do
    local conds = {}
    for _, n in ipairs(g.names) do conds[#conds + 1] = "want_" .. n end
    w("  if (%s) {", table.concat(conds, " || "))
    w("#line %d \"%s\"", row.line, row.file)
    for _, line in ipairs(g.lines) do w("%s", line) end
    w("@RESET")
    local v = g.value
    local function target(name)
      for _, d in ipairs(diffs) do if d.arg.name == name then return d end end
    end
    local function finish(name, c)
      local d = target(name)
      local a = d.arg
      local shape = row.kind == "binary" and ("n->%s_fit_shape"):format(name) or "lp_ints_none()"
      w("    if (want_%s && %s && !(results[%s] = lp_grad_fit(%s, %s, n->%s_fit_dtype))) goto fail;", name, c, d.edge, c,
        shape, a.name)
    end
    if v.type == "results" then
      if #v.names < #g.names then error(row.signature .. ": the formula has too few results", 0) end
      for i, name in ipairs(g.names) do
        local c = g.rename(v.names[i])
        w("    {\n      LpTensor *moved = %s;\n      %s = NULL;", c, c)
        w("      if (!want_%s) lp_drop(&moved);", name)
        finish(name, "moved")
        w("    }")
      end
      for i = #g.names + 1, #v.names do w("    lp_drop(&%s);", g.rename(v.names[i])) end
    elseif v.type == "vec" or v.type == "Tensor[]" then
      local d = target(g.names[1])
      if #g.names ~= 1 or not d.arg.type:find("%[%]") then
        error(row.signature .. ": a list of gradients fits only a Tensor[] argument", 0)
      end
      if v.type == "vec" then
        w("    if (!lp_node_take_list(base, %s, &%s, results)) goto fail;", d.edge, g.rename(v.vec))
      else
        w("    for (int i = 0; i < n->%s_edge_count; i++) results[%s + i] = lp_tensor_retain(%s.data[i]);", d.arg.name,
          d.edge, v.c)
      end
    elseif #g.names ~= 1 then
      error(row.signature .. ": one gradient for several arguments", 0)
    else
      local low = formula.lowering(by_cname)
      low.indent = "      "
      w("    {\n      LpTensor *moved = NULL;")
      low:own({ type = v.type, c = v.c and g.rename(v.c), temp = v.temp and g.rename(v.temp), float = v.float }, "moved")
      for _, line in ipairs(low.lines) do w("%s", line) end
      finish(g.names[1], "moved")
      w("    }")
    end
    w("  }")
  end
  w("  ok = true;\n  goto fail;\nfail:")
  for _, line in ipairs(cleanup) do w("%s", line) end
  w("  return ok;\n}\n")
  local more = plan.takes_gate and ", .takes_gate = true" or ""
  if plan.gate then
    w("static bool gate_%s(LpNode *base, LpGate *gate) {", cname)
    w("  const Node_%s *n = (const Node_%s *)base;\n  (void)n;\n  gate->low = %s;", cname, cname, plan.gate.low)
    w("  gate->high = %s;", plan.gate.high or "(LpOptFloat){.has = false}")
    w("  return lp_node_unpack(base, %d, &gate->of);\n}\n", plan.gate.slot.slot)
    more = (", .gate = gate_%s"):format(cname)
  end
  w("static const LpNodeClass class_%s = {.name = \"%s\", .backward = backward_%s%s};\n", cname, class_name, cname, more)
  -- record
  local record_params = params_of(row, "unsigned need")
  w("static LpNode *record_%s(%s) {", cname, record_params)
  local ints = {}
  for _, f in ipairs(plan.fields) do if f.ints_count then ints[#ints + 1] = f.ints_count end end
  w("  LpNode *node = lp_node_new(&class_%s, sizeof(Node_%s), %s, %s, %s);", cname, cname, expr(edge_fixed, edge_lists),
    expr(saved_fixed, saved_lists), #ints > 0 and table.concat(ints, " + ") or "0")
  w("  if (!node) return NULL;\n  Node_%s *lp_n = (Node_%s *)node;\n  (void)lp_n;", cname, cname)
  if label then w("  node->label = %s;", label) end
  for _, d in ipairs(diffs) do w("  const bool need_%s = need >> %d & 1;\n  (void)need_%s;", d.arg.name, d.bit, d.arg.name) end
  local list_at = tostring(edge_fixed)
  for _, d in ipairs(diffs) do
    if d.arg.type:find("%[%]") then
      w("  lp_n->%s_edge = %s;\n  lp_n->%s_edge_count = (int)%s.count;", d.arg.name, list_at, d.arg.name, d.arg.name)
      w("  if (need_%s && !lp_node_set_edges(node, lp_n->%s_edge, %s)) goto fail;", d.arg.name, d.arg.name, d.arg.name)
      list_at = list_at .. (" + (int)%s.count"):format(d.arg.name)
    else
      w("  if (need_%s && !lp_node_set_edge(node, %s, %s)) goto fail;", d.arg.name, d.edge, d.arg.name)
    end
  end
  local slot_at = tostring(saved_fixed)
  for _, s in ipairs(plan.saved_inputs) do
    local cond = group_condition(s.groups, "need_")
    if s.kind == "list" then
      w("  lp_n->%s_slot = %s;\n  lp_n->%s_slot_count = (int)%s.count;", s.name, slot_at, s.name, s.name)
      w("  if ((%s) && !lp_node_save_list(node, lp_n->%s_slot, %s)) goto fail;", cond, s.name, s.name)
      slot_at = slot_at .. (" + (int)%s.count"):format(s.name)
    else
      w("  if ((%s) && !lp_node_save(node, %d, %s, -1)) goto fail;", cond, s.slot, s.name)
    end
  end
  for _, f in ipairs(plan.fields) do w("  lp_n->%s = %s;", f.name, f.init) end
  w("  return node;\n  goto fail;\nfail:\n  lp_node_release(node);\n  return NULL;\n}\n")
  return plan
end

-- `const unsigned need = ...` over the differentiable arguments.
local function emit_need(w, diffs)
  local bits = {}
  for _, d in ipairs(diffs) do
    local list = d.arg.type:find("%[%]")
    bits[#bits + 1] = ("(unsigned)%s(%s) << %d"):format(list and "lp_any_wants_grad" or "lp_wants_grad", d.arg.name, d.bit)
  end
  w("  const unsigned need = %s;", table.concat(bits, " | "))
end

-- May torch.vmap, or the check of limited dtypes, have a say in the op: has it tensors or a dtype among its arguments, or does
-- it draw random numbers?
local function takes_batches(row)
  for _, a in ipairs(row.args) do
    if a.type:find("^Tensor") or a.type == "Generator?" or a.type:find "^dtype" then return true end
  end
  return false
end

-- When it is asked: a dtype that the caller names may be limited before there is any tensor of it.
local function ask_condition(row)
  local parts = { "lp_vmap_in_use" }
  for _, a in ipairs(row.args) do
    if a.type:find "^dtype" then parts[#parts + 1] = ("%s >= LP_UINT16"):format(a.name) end
  end
  return table.concat(parts, " || ")
end

-- The cold door to torch.vmap (lp_vmap_try: 0 when no argument is batched, see vmap/vmap.h) and to autocast (lp_autocast_try):
-- boxes the arguments.
local function emit_boxed(out, row)
  if not takes_batches(row) then return end
  local values = {}
  for i, a in ipairs(row.args) do values[i] = ("{.%s = %s}"):format(schema.types[a.type].field, a.name) end
  out[#out + 1] = ("extern const LpOpInfo lp_op_%s;"):format(row.cname)
  out[#out + 1] = ("static LP_COLD int boxed_%s(%s) {"):format(row.cname,
    params_of(row, "LpBoxedTry *lp_try, LpVmapForm form, LpValue *lp_r"))
  out[#out + 1] = ("  const LpValue lp_a[] = {%s};"):format(table.concat(values, ", "))
  out[#out + 1] = ("  return lp_try(&lp_op_%s, form, lp_a, lp_r);\n}\n"):format(row.cname)
end

-- Asks vmap before the forward runs; `lp_batched` is 0 when it has nothing to do. The layers below record for
-- themselves: they see the mode of the caller.
local function emit_ask(w, row, form, n_results, with_mode)
  w("  LpValue lp_b[%d] = {{0}};\n  int lp_batched = 0;\n  if (LP_UNLIKELY(%s)) {", math.max(n_results, 1), ask_condition(row))
  if with_mode then w("    const bool lp_inner = lp_tls_grad_enabled;\n    lp_tls_grad_enabled = lp_mode;") end
  w("    lp_batched = boxed_%s(%s);", row.cname, names_of(row, "lp_vmap_try, " .. form .. ", lp_b"))
  if with_mode then w("    lp_tls_grad_enabled = lp_inner;") end
  w("  }")
end

-- Has autocast a say in the op (Note [Autocast] in dispatch/autocast.h)? A composite without a class goes on as it is, unless it
-- stands for a kernel; pointwise ops and views without one call no other op.
local function autocasts(row)
  local takes_tensor = false
  for _, a in ipairs(row.args) do takes_tensor = takes_tensor or a.type:find("^Tensor") ~= nil end
  return takes_tensor and (row.autocast or row.kind == "native" or row.kind == "composite" and row.variant.internal)
end

-- With autocast on: the plain form casts, the in-place and out forms compute as they stand.
local function emit_autocast(w, row, form, take)
  if not autocasts(row) then return end
  w("  if (LP_UNLIKELY(lp_tls_autocast)) {")
  if form == "plain" then
    w("    LpValue lp_b[%d] = {{0}};", math.max(#row.results, 1))
    w("    const bool lp_done = boxed_%s(%s) > 0;", row.cname, names_of(row, "lp_autocast_try, LP_VMAP_PLAIN, lp_b"))
    take("    ")
    w("    return %s;\n  }", result_form(row) == "tensor" and "lp_done ? lp_b[0].tensor : NULL" or "lp_done")
    return
  end
  local first = form == "out" and (result_form(row) == "tensor" and "out" or "outs") or nil
  w("    lp_autocast_pause();\n    const bool lp_done = lp_%s_%s(%s);", row.cname, form == "out" and "out" or "", names_of(row, first))
  w("    lp_autocast_resume();\n    return lp_done;\n  }")
end

local function emit_function(out, row, plan, diffs)
  local function w(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end
  local form = result_form(row)
  local ret = form == "tensor" and "NULL" or "false"
  w("%s {", emit.prototype(row))
  local asks = takes_batches(row)
  -- Moves what vmap made into the results.
  local function take(indent)
    if form == "tensors" then
      for i = 1, #row.results do w("%sresults[%d] = lp_b[%d].tensor;", indent, i - 1, i - 1) end
    elseif form == "vec" then w("%s*results = lp_b[0].vec;", indent)
    elseif form == "value" then
      w("%s*result = lp_b[0].%s;", indent, schema.result_types[row.results[1].type].field)
    end
  end
  emit_autocast(w, row, "plain", take)
  -- The forward, unless vmap has run it: leaves `lp_result` or `ok`.
  local function forward(call)
    if form == "tensor" then
      if asks then w("  LpTensor *lp_result = LP_UNLIKELY(lp_batched) ? lp_b[0].tensor : %s;", call)
      else w("  LpTensor *lp_result = %s;", call) end
    elseif asks then
      w("  bool ok;\n  if (LP_UNLIKELY(lp_batched)) {\n    ok = lp_batched > 0;")
      take("    ")
      w("  } else {\n    ok = %s;\n  }", call)
    else
      w("  bool ok = %s;", call)
    end
  end
  if row.kind == "composite" then
    if asks then
      emit_ask(w, row, "LP_VMAP_PLAIN", #row.results, false)
      w("  if (LP_UNLIKELY(lp_batched)) {")
      take("    ")
      w("    return %s;\n  }", form == "tensor" and "lp_b[0].tensor" or "lp_batched > 0")
    end
    local call = ("%s(%s)"):format(row.impl, names_of(row) .. ((form == "tensors" or form == "vec") and
      (#row.args > 0 and ", " or "") .. "results" or form == "value" and (#row.args > 0 and ", " or "") .. "result" or ""))
    local name, label = node_names(row)
    if not name and not label then
      w("  return %s;\n}\n", call)
      return
    end
    local plain = name and ('"%s"'):format(name) or "NULL"
    label = label and label:gsub("NULL$", plain) or plain
    w("  const uint64_t lp_mark = lp_node_mark();")
    if form == "tensor" then
      w("  return lp_node_name_result(%s, lp_mark, %s);\n}\n", call, label)
    elseif form == "tensors" then
      w("  if (!%s) return false;\n  lp_node_name_result(results[0], lp_mark, %s);\n  return true;\n}\n", call, label)
    else
      error(row.signature .. ": only a composite that returns tensors has a node to name", 0)
    end
    return
  end
  local takes_tensor = false
  for _, a in ipairs(row.args) do if a.type:find("^Tensor") then takes_tensor = true end end
  local view = row.kind == "view"
  if not plan then
    if not takes_tensor or not row.returns_tensors or row.kind == "unary" or row.kind == "binary" then
      if asks then
        emit_ask(w, row, "LP_VMAP_PLAIN", #row.results, false)
        forward(forward_call(row, "NULL"))
        w("  return %s;\n}\n", form == "tensor" and "lp_result" or "ok")
        return
      end
      w("  return %s;\n}\n", forward_call(row, "NULL"))
      return
    end
    w("  const bool lp_mode = lp_tls_grad_enabled;")
    if asks then emit_ask(w, row, "LP_VMAP_PLAIN", #row.results, false) end
    w("  lp_tls_grad_enabled = false;")
    if form == "tensor" then
      forward(forward_call(row, "NULL"))
      w("  lp_tls_grad_enabled = lp_mode;")
      if view then w("  if (lp_result && !lp_view_attach(lp_result, %s)) lp_drop(&lp_result);", row.args[1].name) end
      w("  return lp_result;\n}\n")
    else
      forward(forward_call(row, "NULL"))
      w("  lp_tls_grad_enabled = lp_mode;\n  return ok;\n}\n")
    end
    return
  end
  -- A function that fails may leave its results unset, and they are dropped then.
  if form == "tensors" then
    w("  for (int i = 0; i < %d; i++) results[i] = NULL;", #row.results)
  elseif form ~= "tensor" then
    w("  *results = (LpTensorVec){NULL, 0};")
  end
  emit_need(w, diffs)
  w("  LpNode *node = NULL;")
  w("  if (LP_UNLIKELY(need) && !(node = record_%s(%s))) return %s;", row.cname, names_of(row, "need"), ret)
  w("  const bool lp_mode = lp_tls_grad_enabled;\n  if (node) lp_tls_grad_enabled = false;")
  if row.tells_recording then w("  lp_tls_recorded = node != NULL;") end
  if asks then emit_ask(w, row, "LP_VMAP_PLAIN", #row.results, true) end
  if form == "tensor" then
    forward(forward_call(row, "NULL"))
    w("  lp_tls_grad_enabled = lp_mode;")
    if view then w("  if (lp_result && !lp_view_attach(lp_result, %s)) lp_drop(&lp_result);", row.args[1].name) end
    w("  if (LP_UNLIKELY(node != NULL)) {")
    local conds = { "lp_node_attach(node, &lp_result, 1)" }
    for _, s in ipairs(plan.saved_outputs) do
      local bits = {}
      for _, d in ipairs(diffs) do if s.groups[d.group] then bits[#bits + 1] = ("need >> %d & 1"):format(d.bit) end end
      table.insert(conds, 1, ("(!(%s) || lp_node_save(node, %d, lp_result, 0))"):format(table.concat(bits, " || "), s.slot))
    end
    w("    if (lp_result && !(%s)) lp_drop(&lp_result);", table.concat(conds, " && "))
    w("    lp_node_release(node);\n  }\n  return lp_result;\n}\n")
    return
  end
  local n = form == "tensors" and tostring(#row.results) or "(int)results->count"
  local data = form == "tensors" and "results" or "results->data"
  forward(forward_call(row, "NULL"))
  w("  lp_tls_grad_enabled = lp_mode;")
  if view then
    w("  for (int i = 0; ok && i < %s; i++) ok = lp_view_attach(%s[i], %s);", n, data, row.args[1].name)
  end
  w("  if (node) {")
  for _, s in ipairs(plan.saved_outputs) do
    local at
    for i, r in ipairs(row.results) do if r.name == s.name then at = i - 1 end end
    w("    ok = ok && lp_node_save(node, %d, results[%d], %s);", s.slot, at, row.nondiff_set[s.name] and -1 or at)
  end
  if form == "tensors" then
    local list = {}
    for i, r in ipairs(row.results) do list[i] = row.nondiff_set[r.name] and "NULL" or ("results[%d]"):format(i - 1) end
    w("    ok = ok && lp_node_attach(node, (LpTensor *const[]){%s}, %d);", table.concat(list, ", "), #list)
  else
    w("    ok = ok && lp_node_attach(node, results->data, (int)results->count);")
  end
  w("    lp_node_release(node);\n  }")
  if form == "tensors" then
    w("  if (!ok)\n    for (int i = 0; i < %s; i++) lp_drop(&results[i]);", n)
  else
    w("  if (!ok) lp_tensor_vec_free(results);")
  end
  w("  return ok;\n}\n")
end

-- The C condition that some tensor argument takes part in a graph.
local function wants_of(row)
  local wants = {}
  for _, a in ipairs(row.args) do
    if a.type:find("^Tensor") then
      wants[#wants + 1] = (a.type:find("%[%]") and "lp_any_wants_grad(%s)" or "lp_wants_grad(%s)"):format(a.name)
    end
  end
  return #wants > 0 and table.concat(wants, " || ") or "false"
end

local function emit_inplace(out, row, plan, diffs)
  local function w(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end
  local self = row.args[1].name
  w("%s {", emit.prototype_inplace(row))
  emit_autocast(w, row, "inplace")
  if row.kind == "composite" then
    -- What a composite's graph saves of self must outlive the writing: with a graph it works on a copy.
    local rest = names_of(row):gsub("^[%w_]+", "lp_self", 1)
    w("  const bool lp_graph = %s;", wants_of(row))
    w("  LpTensor *lp_self = lp_graph ? lp_clone(%s, LP_FORMAT_NONE) : lp_tensor_retain(%s);\n  if (!lp_self) return false;", self, self)
    w("  LpTensor *lp_value = lp_%s(%s);\n  lp_tensor_release(lp_self);\n  if (!lp_value) return false;", row.cname, rest)
    w("  const bool ok = lp_assign_inplace(%s, lp_value);\n  lp_tensor_release(lp_value);\n  return ok;\n}\n", self)
    return
  end
  w("  if (!lp_inplace_check(%s)) return false;", self)
  if plan then
    emit_need(w, diffs)
    w("  LpNode *node = NULL;")
    w("  if (LP_UNLIKELY(need) && !(node = record_%s(%s))) return false;", row.cname, names_of(row, "need"))
    local s = plan.by_saved[self]
    if s and s.kind == "input" then
      local bits = {}
      for _, d in ipairs(diffs) do if s.groups[d.group] then bits[#bits + 1] = ("need >> %d & 1"):format(d.bit) end end
      w("  if ((%s) && !lp_node_save_original(node, %d, %s)) {\n    lp_node_release(node);\n    return false;\n  }",
        table.concat(bits, " || "), s.slot, self)
    end
    w("  const bool lp_mode = lp_tls_grad_enabled;\n  lp_tls_grad_enabled = false;")
    emit_ask(w, row, "LP_VMAP_INPLACE", 1, true)
    w("  bool ok = lp_batched > 0;\n  if (LP_LIKELY(!lp_batched)) {")
    w("    LpTensor *lp_result = %s;\n    ok = lp_result != NULL;\n    lp_tensor_release(lp_result);\n  }", forward_call(row, self))
    w("  lp_tls_grad_enabled = lp_mode;")
    w("  ok = ok && lp_inplace_done(%s, node);", self)
    for _, o in ipairs(plan.saved_outputs) do
      local bits = {}
      for _, d in ipairs(diffs) do if o.groups[d.group] then bits[#bits + 1] = ("need >> %d & 1"):format(d.bit) end end
      w("  if (ok && node && (%s)) ok = lp_node_save(node, %d, %s, 0);", table.concat(bits, " || "), o.slot, self)
    end
    w("  lp_node_release(node);\n  return ok;\n}\n")
  else
    w("  LpNode *node;\n  if (!lp_inplace_cut(%s, &node)) return false;", self)
    w("  const bool lp_mode = lp_tls_grad_enabled;\n  lp_tls_grad_enabled = false;")
    emit_ask(w, row, "LP_VMAP_INPLACE", 1, true)
    w("  bool ok = lp_batched > 0;\n  if (LP_LIKELY(!lp_batched)) {")
    w("    LpTensor *lp_result = %s;\n    ok = lp_result != NULL;\n    lp_tensor_release(lp_result);\n  }", forward_call(row, self))
    w("  lp_tls_grad_enabled = lp_mode;\n  ok = ok && lp_inplace_done(%s, node);", self)
    w("  lp_node_release(node);\n  return ok;\n}\n")
  end
end

local function emit_out(out, row)
  local function w(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end
  local single = result_form(row) == "tensor"
  w("%s {", emit.prototype_out(row))
  emit_autocast(w, row, "out")
  if takes_batches(row) then
    w("  if (LP_UNLIKELY(%s) && boxed_%s(%s)) return false;", ask_condition(row), row.cname,
      names_of(row, "lp_vmap_try, LP_VMAP_OUT, (LpValue[1]){{0}}"))
  end
  local shared = {} -- is an input one of the tensors written to?
  for _, a in ipairs(row.args) do
    local is_list = a.type:find("^Tensor.*%[%]") ~= nil
    for i = 1, a.type:find("^Tensor") and #row.results or 0 do
      local result = single and "out" or ("outs[%d]"):format(i - 1)
      shared[#shared + 1] = is_list and ("lp_list_holds(%s, %s)"):format(a.name, result) or ("%s == %s"):format(a.name, result)
    end
  end
  w("  if (!lp_out_check(%s, %d, %s)) return false;", single and "&out" or "outs", #row.results,
    wants_of(row))
  local function compute_then_assign()
    if single then
      w("  LpTensor *lp_value = lp_%s(%s);\n  if (!lp_value) return false;", row.cname, names_of(row))
      w("  const bool ok = lp_assign_out(out, lp_value);\n  lp_tensor_release(lp_value);\n  return ok;")
    else
      w("  LpTensor *results[%d] = {0};", #row.results)
      w("  if (!lp_%s(%s%sresults)) return false;\n  bool ok = true;", row.cname, names_of(row), #row.args > 0 and ", " or "")
      w("  for (int i = 0; i < %d; i++) {\n    ok = ok && lp_assign_out(outs[i], results[i]);", #row.results)
      w("    lp_tensor_release(results[i]);\n  }\n  return ok;")
    end
  end
  if row.kind == "composite" or row.kind == "view" then
    compute_then_assign()
    w("}\n")
    return
  end
  -- A native op may resize out before it has read its inputs.
  if row.kind == "native" and #shared > 0 then
    w("  if (%s) {", table.concat(shared, " || "))
    compute_then_assign()
    w("  }")
  end
  w("  const bool lp_mode = lp_tls_grad_enabled;\n  lp_tls_grad_enabled = false;")
  if single then
    w("  LpTensor *lp_result = %s;\n  lp_tls_grad_enabled = lp_mode;", forward_call(row, "out"))
    w("  if (!lp_result) return false;\n  lp_tensor_release(lp_result);\n  lp_bump_version(out);\n  return true;\n}\n")
  else
    w("  LpTensor *results[%d] = {0};", #row.results)
    w("  const bool ok = %s;\n  lp_tls_grad_enabled = lp_mode;", (forward_call(row, "(LpTensor **)outs")))
    w("  for (int i = 0; i < %d; i++) {\n    lp_tensor_release(results[i]);\n    if (ok) lp_bump_version(outs[i]);\n  }",
      #row.results)
    w("  return ok;\n}\n")
  end
end

-- A composite given as an expression.
local function emit_expression(out, row, by_cname)
  local function w(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end
  local arg_by_name = {}
  for _, a in ipairs(row.args) do arg_by_name[a.name] = a end
  local low = formula.lowering(by_cname, function(name)
    local a = arg_by_name[name]
    return a and { type = a.type, c = name }
  end, function() return nil end)
  local ok, value = pcall(function() return low:value(formula.parse(row.composite)) end)
  if not ok then error(("%s:%d: composite %s: %s"):format(row.file, row.line, row.signature, value), 0) end
  local form = result_form(row)
  w("static %s%s(%s) {", return_type(row), row.impl, with_result(row, params_of(row)))
  local decl = low:declarations()
  if decl ~= "" then w("%s", decl) end
  if form == "tensor" then
    w("  LpTensor *lp_value = NULL;")
    w("#line %d \"%s\"", row.line, row.file)
    low:own(value, "lp_value")
    for _, line in ipairs(low.lines) do w("%s", line) end
    w("@RESET")
    w("  goto fail;\nfail:")
    local cleanup = low:cleanup()
    if cleanup ~= "" then w("%s", cleanup) end
    w("  return lp_value;\n}\n")
  elseif form == "tensors" then
    if value.type ~= "list" and value.type ~= "results" then error(row.signature .. ": expected results", 0) end
    w("  bool ok = false;")
    if value.type == "list" then
      for i, item in ipairs(value.items) do low:own(item, ("results[%d]"):format(i - 1)) end
    else
      for i, name in ipairs(value.names) do
        low:emit("results[%d] = %s;", i - 1, name)
        low:emit("%s = NULL;", name)
      end
    end
    for _, line in ipairs(low.lines) do w("%s", line) end
    w("  ok = true;\n  goto fail;\nfail:\n%s\n  return ok;\n}\n", low:cleanup())
  elseif form == "vec" then
    if value.type ~= "vec" then error(row.signature .. ": expected a list of tensors", 0) end
    w("  bool ok = false;")
    for _, line in ipairs(low.lines) do w("%s", line) end
    w("  *results = %s;\n  %s = (LpTensorVec){NULL, 0};\n  ok = true;\n  goto fail;\nfail:\n%s\n  return ok;\n}\n", value.vec,
      value.vec, low:cleanup())
  else
    error(row.signature .. ": an expression cannot have this result", 0)
  end
end

local function emit_thunks(out, row)
  local function w(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end
  local args = {}
  for i, a in ipairs(row.args) do args[i] = ("a[%d].%s"):format(i - 1, schema.types[a.type].field) end
  local joined = table.concat(args, ", ")
  local comma = joined ~= "" and ", " or ""
  local form = result_form(row)
  local plain = not only_inplace(row)
  if plain then w("static bool call_%s(const LpValue *a, LpValue *r) {\n  (void)a;\n  (void)r;", row.cname) end
  if not plain then
    -- no plain form
  elseif form == "tensor" then w("  return (r[0].tensor = lp_%s(%s)) != NULL;", row.cname, joined)
  elseif form == "tensors" then
    w("  LpTensor *results[%d] = {0};", #row.results)
    w("  const bool ok = lp_%s(%s%sresults);", row.cname, joined, comma)
    w("  for (int i = 0; i < %d; i++) r[i].tensor = results[i];\n  return ok;", #row.results)
  elseif form == "vec" then w("  return lp_%s(%s%s&r[0].vec);", row.cname, joined, comma)
  elseif form == "value" then
    w("  return lp_%s(%s%s&r[0].%s);", row.cname, joined, comma, schema.result_types[row.results[1].type].field)
  else w("  return lp_%s(%s);", row.cname, joined) end
  if plain then w("}") end
  if row.variant.inplace then
    w("static bool call_%s_(const LpValue *a) { return lp_%s_(%s); }", row.cname, row.cname, joined)
  end
  if row.variant.out then
    w("static bool call_%s_out(LpTensor *const *outs, const LpValue *a) {\n  (void)a;\n  return lp_%s_out(%s%s%s);\n}",
      row.cname, row.cname, form == "tensor" and "outs[0]" or "outs", comma, joined)
  end
  if #row.args > 0 then
    w("static const LpArgInfo args_%s[] = {", row.cname)
    for _, a in ipairs(row.args) do
      w("    {.name = \"%s\", .type = %s, .fixed_count = %d, .keyword_only = %s, .has_default = %s%s},", a.name,
        schema.types[a.type].tag, a.fixed, a.keyword_only and "true" or "false", a.default and "true" or "false",
        a.default and (", .default_value = %s, .default_text = \"%s\""):format(a.default_c, (a.default:gsub('"', '\\"'))) or "")
    end
    w("};")
  end
  w("")
end

local function c_string(s)
  return '"' .. s:gsub("[\\\"]", "\\%0"):gsub("\n", "\\n"):gsub("\t", "\\t"):gsub("[\128-\255]", function(ch)
    return ("\\%03o"):format(ch:byte())
  end) .. '"'
end

local function emit_info(out, row)
  local function w(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end
  local variants = {}
  for _, v in ipairs { "function", "method", "inplace", "out", "internal" } do
    if row.variant[v] then variants[#variants + 1] = "LP_VARIANT_" .. v:upper() end
  end
  local types, names = {}, {}
  for i, r in ipairs(row.results) do
    types[i] = schema.result_types[r.type].tag
    names[i] = ('"%s"'):format(r.name)
  end
  if #types == 0 then types[1] = "LP_RESULT_NONE" end
  w("const LpOpInfo lp_op_%s = {", row.cname)
  w("    .name = \"%s\", .overload = \"%s\", .module = \"%s\",", row.name, row.overload, table.concat(row.modules, " "))
  w("    .signature = %s,", c_string(row.signature))
  w("    .source = \"%s:%d\",", row.file, row.line)
  w("    .doc = %s,", c_string(row.doc or ""))
  w("    .example = %s,", c_string(row.example or ""))
  w("    .cases = %s,", c_string(table.concat(row.cases, "\n")))
  w("    .aliases = \"%s\",", table.concat(row.alias_list, " "))
  w("    .cname = \"%s\", .kind = LP_KIND_%s, .autocast = %s,", row.cname, row.kind:upper(), row.autocast_tag)
  w("    .variants = %s, .differentiable = %s,", #variants > 0 and table.concat(variants, " | ") or "0",
    (type(row.grad) == "table" or row.kind == "composite") and "true" or "false")
  w("    .n_args = %d, .n_results = %d, .args = %s,", #row.args, #row.results, #row.args > 0 and "args_" .. row.cname or "NULL")
  w("    .result_types = {%s}, .result_names = {%s},", table.concat(types, ", "), #names > 0 and table.concat(names, ", ") or "NULL")
  w("    .call = %s,%s%s", only_inplace(row) and "NULL" or "call_" .. row.cname, row.variant.inplace and (" .call_inplace = call_%s_,"):format(row.cname) or "",
    row.variant.out and (" .call_out = call_%s_out,"):format(row.cname) or "")
  w("};\n")
end

-- The C text for the rows of one schema file.
function emit.file(rows, by_cname, title)
  node_counts = node_counts or {} -- PyTorch numbers the nodes of an op's overloads in order
  local out = { ("/* Generated from %s by scripts/gen. Do not edit. */"):format(title),
    '#include <math.h>', '#include <string.h>', '#include "autograd/formula.h"', '#include "core/scalar.h"',
    '#include "core/value.h"', '#include "dispatch/autocast.h"', '#include "dispatch/pointwise.h"', '#include "lampad/ops.h"', '#include "impl.h"',
    '#include "kernel_lists.h"', '#include "vmap/vmap.h"', "" }
  for _, row in ipairs(rows) do
    out[#out + 1] = ("/* %s — %s:%d */"):format(row.signature, row.file, row.line)
    if type(row.composite) == "string" then emit_expression(out, row, by_cname) end
    emit_boxed(out, row)
    local diffs = differentiable_args(row)
    local plan = #diffs > 0 and emit_node(out, row, by_cname, diffs) or nil
    if not emit.only_inplace(row) then emit_function(out, row, plan, diffs) end
    if row.variant.inplace then emit_inplace(out, row, plan, diffs) end
    if row.variant.out then emit_out(out, row) end
    emit_thunks(out, row)
    emit_info(out, row)
  end
  return out
end

return emit
