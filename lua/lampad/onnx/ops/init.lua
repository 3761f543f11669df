-- The operators, by domain: operators[""].Add. Each family file returns a table of functions
--   function(node, first_input, second_input, ...) return first_output, ... end
-- over torch tensors (an absent optional input is nil), or what value.raw, value.ordered, value.kinds make of one.
-- node.opset is the version of the operator set that the graph was written for, node:get(name, default) an attribute.
local families = {
  [""] = {
    "math", "logic", "activation", "reduce", "shape", "index", "cast", "linear", "conv", "pool", "norm", "loss", "quantize",
    "recurrent", "control", "sequence", "text", "resize", "vision", "attention", "signal", "random",
  },
  ["ai.onnx.ml"] = { "ml" },
  ["ai.onnx.preview"] = { "preview" },
  ["ai.onnx.preview.training"] = { "training" },
}

local operators = {}
for domain, names in pairs(families) do
  operators[domain] = {}
  for _, name in ipairs(names) do
    for op, run in pairs(require("lampad.onnx.ops." .. name)) do operators[domain][op] = run end
  end
end

return operators
