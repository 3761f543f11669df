-- torch.onnx: models in ONNX's format. Reading needs nothing but the file: no code of it is ever run.
local args = require "lampad.args"
local text = require "lampad.text"
local protobuf = require "lampad.onnx.protobuf"
local schema = require "lampad.onnx.schema"
local tensor = require "lampad.onnx.tensor"
local value = require "lampad.onnx.value"

local onnx = {}

-- The bytes of a file, or of the string itself when it holds any byte that no path has: every message of an ONNX file
-- contains control characters. Also what error messages begin with, and the file's folder.
local function bytes_of(what, source)
  if type(source) ~= "string" then
    args.fail(what, "argument 'f' must be a path or the bytes of a file, got %s", text.describe(source))
  end
  if source:find("[\0-\8\14-\31]") then return source, what, nil end
  local file <close>, message = io.open(source, "rb")
  if not file then args.fail(what, "cannot open %s", message) end
  local bytes = file:read("a")
  if not bytes then args.fail(what, "cannot read %s", source) end
  return bytes, ("%s: %s"):format(what, source), source:match("^(.*/)") or "./"
end

--- load(path or bytes): the model, to be called with its inputs.
---   local model = torch.onnx.load "net.onnx"
---   local y = model(x)
function onnx.load(source)
  return require("lampad.onnx.model")(bytes_of("onnx.load", source))
end

local readers = {
  tensor = { "TensorProto", tensor.read }, sequence = { "SequenceProto", tensor.read_sequence },
  optional = { "OptionalProto", tensor.read_optional }, map = { "MapProto", tensor.read_map },
}

--- read_value(path or bytes, kind): the value of a .pb file as it flows through a graph (value.lua); `kind` is "tensor",
--- "sequence", "optional" or "map".
function onnx.read_value(source, kind)
  local reader = readers[kind or "tensor"]
  if not reader then args.fail("onnx.load_tensor", "unknown kind '%s'", tostring(kind)) end
  local bytes, what = bytes_of("onnx.load_tensor", source)
  local context = { what = what }
  function context.read_external(proto) args.fail(what, "tensor '%s' lies in another file", tostring(proto.name)) end
  return reader[2](context, protobuf.decode(schema, reader[1], bytes, what))
end

--- load_tensor(path or bytes, kind = "tensor"): the tensor of a .pb file such as ONNX's test data; with `kind` also a
--- "sequence", an "optional" value or a "map".
function onnx.load_tensor(source, kind) return value.to_lua(onnx.read_value(source, kind)) end

return onnx
