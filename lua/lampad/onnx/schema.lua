-- The messages of ONNX files, for the reader in protobuf.lua: field numbers as in the public onnx.proto (IR
-- version 13). Documentation strings of inner parts and training information are skipped.
local function list(name, kind) return { name, kind, repeated = true } end

return {
  ModelProto = {
    [1] = { "ir_version", "int64" }, [2] = { "producer_name", "string" }, [3] = { "producer_version", "string" },
    [4] = { "domain", "string" }, [5] = { "model_version", "int64" }, [6] = { "doc_string", "string" },
    [7] = { "graph", "GraphProto" }, [8] = list("opset_import", "OperatorSetIdProto"),
    [14] = list("metadata_props", "StringStringEntryProto"), [25] = list("functions", "FunctionProto"),
  },
  OperatorSetIdProto = { [1] = { "domain", "string" }, [2] = { "version", "int64" } },
  StringStringEntryProto = { [1] = { "key", "string" }, [2] = { "value", "string" } },
  GraphProto = {
    [1] = list("node", "NodeProto"), [2] = { "name", "string" }, [5] = list("initializer", "TensorProto"),
    [10] = { "doc_string", "string" }, [11] = list("input", "ValueInfoProto"), [12] = list("output", "ValueInfoProto"),
    [15] = list("sparse_initializer", "SparseTensorProto"),
  },
  FunctionProto = {
    [1] = { "name", "string" }, [4] = list("input", "string"), [5] = list("output", "string"),
    [6] = list("attribute", "string"), [7] = list("node", "NodeProto"), [9] = list("opset_import", "OperatorSetIdProto"),
    [10] = { "domain", "string" }, [11] = list("attribute_proto", "AttributeProto"), [13] = { "overload", "string" },
  },
  NodeProto = {
    [1] = list("input", "string"), [2] = list("output", "string"), [3] = { "name", "string" },
    [4] = { "op_type", "string" }, [5] = list("attribute", "AttributeProto"), [7] = { "domain", "string" },
    [8] = { "overload", "string" },
  },
  AttributeProto = {
    [1] = { "name", "string" }, [2] = { "f", "float" }, [3] = { "i", "int64" }, [4] = { "s", "string" },
    [5] = { "t", "TensorProto" }, [6] = { "g", "GraphProto" }, [7] = list("floats", "float"), [8] = list("ints", "int64"),
    [9] = list("strings", "string"), [10] = list("tensors", "TensorProto"), [11] = list("graphs", "GraphProto"),
    [14] = { "tp", "TypeProto" }, [15] = list("type_protos", "TypeProto"), [20] = { "type", "int32" },
    [21] = { "ref_attr_name", "string" }, [22] = { "sparse_tensor", "SparseTensorProto" },
    [23] = list("sparse_tensors", "SparseTensorProto"),
  },
  TensorProto = {
    [1] = list("dims", "int64"), [2] = { "data_type", "int32" }, [4] = { "float_data", "floats", repeated = true },
    [5] = list("int32_data", "int32"), [6] = list("string_data", "string"), [7] = list("int64_data", "int64"),
    [8] = { "name", "string" }, [9] = { "raw_data", "slice" }, [10] = { "double_data", "doubles", repeated = true },
    [11] = list("uint64_data", "uint64"), [13] = list("external_data", "StringStringEntryProto"),
    [14] = { "data_location", "int32" },
  },
  SparseTensorProto = {
    [1] = { "values", "TensorProto" }, [2] = { "indices", "TensorProto" }, [3] = list("dims", "int64"),
  },
  ValueInfoProto = { [1] = { "name", "string" }, [2] = { "type", "TypeProto" } },
  TypeProto = {
    [1] = { "tensor_type", "TypeProto.Tensor" }, [4] = { "sequence_type", "TypeProto.Element" },
    [5] = { "map_type", "TypeProto.Map" }, [8] = { "sparse_tensor_type", "TypeProto.Tensor" },
    [9] = { "optional_type", "TypeProto.Element" },
  },
  ["TypeProto.Tensor"] = { [1] = { "elem_type", "int32" }, [2] = { "shape", "TensorShapeProto" } },
  ["TypeProto.Element"] = { [1] = { "elem_type", "TypeProto" } }, -- of a sequence and of an optional value
  ["TypeProto.Map"] = { [1] = { "key_type", "int32" }, [2] = { "value_type", "TypeProto" } },
  TensorShapeProto = { [1] = list("dim", "TensorShapeProto.Dimension") },
  ["TensorShapeProto.Dimension"] = { [1] = { "dim_value", "int64" }, [2] = { "dim_param", "string" } },

  -- Values other than tensors, in files of test data.
  SequenceProto = {
    [1] = { "name", "string" }, [2] = { "elem_type", "int32" }, [3] = list("tensor_values", "TensorProto"),
    [4] = list("sparse_tensor_values", "SparseTensorProto"), [5] = list("sequence_values", "SequenceProto"),
    [6] = list("map_values", "MapProto"), [7] = list("optional_values", "OptionalProto"),
  },
  MapProto = {
    [1] = { "name", "string" }, [2] = { "key_type", "int32" }, [3] = list("keys", "int64"), [4] = list("string_keys", "string"),
    [5] = { "values", "SequenceProto" },
  },
  OptionalProto = {
    [1] = { "name", "string" }, [2] = { "elem_type", "int32" }, [3] = { "tensor_value", "TensorProto" },
    [4] = { "sparse_tensor_value", "SparseTensorProto" }, [5] = { "sequence_value", "SequenceProto" },
    [6] = { "map_value", "MapProto" }, [7] = { "optional_value", "OptionalProto" },
  },
}
