-- ONNX's backend test data: folders with model.onnx and test_data_set_*/input_*.pb, output_*.pb. Finds the cases, runs one,
-- compares as ONNX's own runner does.
local torch = require "lampad"
local onnx = torch.onnx
local value = require "lampad.onnx.value"

local cases = {}

-- The runner's tolerances for floating-point numbers; everything else must be equal.
local RTOL, ATOL = 1e-3, 1e-7

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  table.sort(list)
  return list
end

--- The cases below a folder, sorted by name: { name, folder, sets = list of { folder, inputs, outputs } }.
function cases.find(folder)
  local found, by_folder = {}, {}
  for _, path in ipairs(lines_of(("find '%s' -name '*.onnx' -o -name '*.pb'"):format(folder))) do
    local case_folder = path:match "^(.*)/model%.onnx$" or path:match "^(.*)/[^/]+/[^/]+%.pb$"
    if case_folder then
      local case = by_folder[case_folder]
      if not case then
        case = { name = case_folder:match "[^/]+$", folder = case_folder, sets = {} }
        by_folder[case_folder] = case
        found[#found + 1] = case
      end
      local set, kind, number = path:match "/([^/]+)/(%a+)_(%d+)%.pb$"
      if set then
        local files = case.sets[set] or { input = {}, output = {} }
        case.sets[set] = files
        files[kind][tonumber(number)] = path
      end
    end
  end
  return found
end

-- The kind of a .pb file, from the declared type of the input or output it is for.
local function kind_of(entry)
  local t = entry.type
  return t:match "^optional" and "optional" or t:match "^sequence" and "sequence" or t:match "^map" and "map" or "tensor"
end

local function check(condition, format, ...)
  if not condition then error(format:format(...), 0) end
end

local function sizes_of(v) return tostring(value.tensor_of(v).shape) end

local function is_float(t)
  return t.dtype ~= torch.bool and tostring(t.dtype):find "float" ~= nil
end

-- Raises unless the two values are the same within the tolerances.
local function compare(got, expected, name)
  if got == nil or expected == nil then
    check(got == expected, "%s: one value is absent", name)
  elseif value.is_sequence(expected) then
    check(value.is_sequence(got), "%s: no sequence", name)
    check(#got == #expected, "%s: %d members, expected %d", name, #got, #expected)
    for i = 1, #expected do compare(got[i], expected[i], ("%s[%d]"):format(name, i)) end
  elseif value.is_map(expected) then
    check(value.is_map(got), "%s: no map", name)
    compare(got.values, expected.values, name)
  else
    local kind = value.type_of(expected)
    check(value.type_of(got) == kind, "%s: type %s, expected %s", name, value.type_of(got).name, kind.name)
    check(sizes_of(got) == sizes_of(expected), "%s: %s, expected %s", name, sizes_of(got), sizes_of(expected))
    if kind.name == "string" then
      local a, b = value.string_list(got), value.string_list(expected)
      for i = 1, #b do check(a[i] == b[i], "%s: '%s', expected '%s'", name, a[i], b[i]) end
      return
    end
    local a, b = value.tensor_of(got), value.tensor_of(expected)
    if is_float(b) then
      check(torch.allclose(a:to(torch.float64), b:to(torch.float64), RTOL, ATOL, true), "%s: values differ:\n%s\n%s", name, a, b)
    else
      check(torch.equal(a, b), "%s: values differ:\n%s\n%s", name, a, b)
    end
  end
end

--- Runs a case; raises when it fails.
function cases.run(case)
  local model = onnx.load(case.folder .. "/model.onnx")
  for _, files in pairs(case.sets) do
    local named = {}
    for i, entry in ipairs(model.inputs) do
      local path = files.input[i - 1]
      if path then named[entry.name] = onnx.read_value(path, kind_of(entry)) end
    end
    local results = table.pack(model:run_values(named))
    check(results.n == #model.outputs, "%d outputs, expected %d", results.n, #model.outputs)
    for i, entry in ipairs(model.outputs) do
      compare(results[i], onnx.read_value(files.output[i - 1], kind_of(entry)), entry.name)
    end
  end
end

return cases
