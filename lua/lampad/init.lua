-- lampad: the module table `torch`. The C core brings the ops and the tensor type; this file adds the
-- libraries, each loaded when its name is first used.
local core = require "lampad.core"

local torch = core.torch

local submodules = {
  nn = "lampad.nn", optim = "lampad.optim", utils = "lampad.utils", vision = "lampad.vision",
  distributions = "lampad.distributions", numpy = "lampad.numpy", safetensors = "lampad.safetensors",
  accelerator = "lampad.accelerator", amp = "lampad.amp", autograd = "lampad.autograd", backends = "lampad.backends", cuda = "lampad.cuda",
  func = "lampad.func", hub = "lampad.hub", linalg = "lampad.linalg", masked = "lampad.masked", metrics = "lampad.metrics", onnx = "lampad.onnx",
  random = "lampad.random", serialization = "lampad.serialization", testing = "lampad.testing", training = "lampad.training", tune = "lampad.tune",
  vmap = "lampad.func.vmap", warnings = "lampad.warnings",
}

-- Classes that are functions of the binding, by the name in their objects' metatables.
local named_classes = { [torch.Size] = "torch.Size", [torch.device] = "torch.device", [torch.dtype] = "torch.dtype",
  [torch.Generator] = "torch.Generator" }
local tensor_types = {}
for title in ("Float Double Half BFloat16 Char Byte Short Int Long Bool ComplexFloat ComplexDouble"):gmatch "%S+" do
  tensor_types[title .. "Storage"] = true
  if not title:find "Complex" then tensor_types[title .. "Tensor"] = true end
end
tensor_types.Tensor, tensor_types.UntypedStorage, tensor_types.TypedStorage = true, true, true

-- Whether the class is one of the binding's or a class of tensors, and then whether the object is of it.
local function of_binding(object, class)
  local name = named_classes[class]
  if name then
    local meta = getmetatable(object)
    return true, type(meta) == "table" and meta.__name == name
  end
  local types = package.loaded["lampad.tensor_types"]
  if types then return types.check(object, class) end
  return false
end

--- True when the object is an instance of the class (or of one below it).
function torch.isinstance(object, class)
  local known, yes = of_binding(object, class)
  if known then return yes end
  for _, name in ipairs { "nn.parameter", "nn.buffer" } do
    if package.loaded["lampad." .. name] == class then return class.is(object) end
  end
  local linalg = package.loaded["lampad.linalg"]
  if linalg and class == linalg.LinAlgError then return class.is(object) end
  return require("lampad.class").isinstance(object, class)
end

-- Functions with as many results as their options ask for; loaded at the first call.
for _, name in ipairs { "unique", "unique_consecutive", "nonzero", "lu" } do
  local function first(...) return require("lampad.unique")[name](...) end
  torch[name], core.methods[name] = first, first
end

-- Functions written in Lua, by the file that holds them; each file is loaded at the first call of one.
local in_lua = {
  ["lampad.functions"] = { "broadcast_shapes", "unravel_index", "histogramdd", "gradient", "svd_lowrank", "pca_lowrank" },
  ["lampad.buffers"] = { "frombuffer", "from_numpy", "from_file" },
  ["lampad.modes"] = { "use_deterministic_algorithms", "are_deterministic_algorithms_enabled",
    "is_deterministic_algorithms_warn_only_enabled", "get_deterministic_debug_mode", "set_deterministic_debug_mode",
    "compile" },
  ["lampad.amp.autocast_mode"] = { "autocast", "is_autocast_enabled", "set_autocast_enabled", "get_autocast_dtype",
    "set_autocast_dtype", "is_autocast_cpu_enabled", "set_autocast_cpu_enabled", "get_autocast_cpu_dtype",
    "set_autocast_cpu_dtype", "get_autocast_gpu_dtype", "set_autocast_gpu_dtype" },
  ["lampad.settings"] = { "set_float32_matmul_precision", "get_float32_matmul_precision", "set_flush_denormal",
    "set_default_tensor_type", "get_default_device", "set_default_device", "get_device", "get_num_interop_threads", "set_num_interop_threads",
    "typename", "is_storage" },
  ["lampad.flat_names"] = { "alpha_dropout", "alpha_dropout_", "dropout_", "feature_dropout", "feature_dropout_",
    "feature_alpha_dropout", "feature_alpha_dropout_", "batch_norm", "instance_norm", "embedding", "prelu", "rrelu",
    "rrelu_", "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "poisson_nll_loss", "kl_div",
    "binary_cross_entropy_with_logits", "triplet_margin_loss", "nuclear_norm", "frobenius_norm", "norm_except_dim",
    "range", "vander", "grid_sampler", "grid_sampler_2d",
    "grid_sampler_3d", "affine_grid_generator", "zero_", "detach_", "resize_as_" },
  ["lampad.serialization"] = { "load", "save" },
  ["lampad.tensor_methods"] = { "dequantize", "is_conj", "is_neg", "is_signed", "is_distributed", "is_nonzero" },
}
for file, names in pairs(in_lua) do
  for _, name in ipairs(names) do
    -- An op of the schema of that name is the better one: it has out= forms and a signature for help.
    if torch[name] == nil then
      torch[name] = function(...) return require(file)[name](...) end
    end
  end
end
for _, name in ipairs { "type", "new", "where", "to_dense", "dequantize", "storage", "untyped_storage", "is_set_to", "dim_order",
  "apply_", "map_", "map2_", "is_conj", "is_neg", "is_signed", "is_distributed", "is_nonzero" } do
  core.methods[name] = function(...) return require("lampad.tensor_methods")[name](...) end
end
function core.methods.prelu(...) return torch.prelu(...) end
core.methods.is_shared, core.methods.share_memory_ = core.is_shared, core.share_memory
core.methods.const_data_ptr = core.methods.data_ptr

local set_ = core.methods.set_
-- A tensor as the source goes straight to the op; storages, and none, through Lua.
function core.methods.set_(self, source, ...)
  if type(source) == "userdata" then return set_(self, source, ...) end
  return require("lampad.tensor_methods").set_(set_, self, source, ...)
end

--- set_anomaly_enabled(mode, check_nan = true): as torch.autograd.set_detect_anomaly, from now on.
function torch.set_anomaly_enabled(mode, check_nan)
  require("lampad.autograd.graph").anomaly.set_detect_anomaly(mode, check_nan)
end

-- PyTorch's usual form of the dims, a pair of lists, becomes the two lists of the schema's form.
local tensordot = torch.tensordot
--- Sums of products: dims is a number, or {dims_of_a, dims_of_b}.
function torch.tensordot(...)
  local a, b, dims = ...
  local pair = type(dims) == "table" and (dims.dims or dims)
  if type(pair) == "table" and type(pair[1]) == "table" then return tensordot(a, b, pair[1], pair[2]) end
  return tensordot(...)
end

--- A few extreme eigenpairs of a large symmetric matrix.
function torch.lobpcg(...) return require "lampad.lobpcg"(...) end

--- A deep copy of a module, tensor or table: Python's copy.deepcopy.
function torch.deepcopy(value, memo) return require("lampad.copy").deepcopy(value, memo) end

--- torch.del(container, key): Python's `del container[key]`; members of a list-like module count from 0.
function torch.del(container, key)
  if type(container) == "table" and container.del then return container:del(key) end
  container[key] = nil
end

-- Every submodule, loaded or not, for completion.
local function submodule_names()
  local names = { "signal" }
  for _, list in ipairs { submodules, core.modules } do
    for name in pairs(list) do
      if not name:find(".", 1, true) and name ~= "optim_kernels" then names[#names + 1] = name end
    end
  end
  return names
end

return setmetatable(torch, {
  __names = submodule_names,
  __index = function(_, name)
    local path = submodules[name]
    local value
    if path then
      value = require(path)
    elseif tensor_types[name] then
      value = require("lampad.tensor_types")[name]
    elseif name == "version" or name == "__config__" then
      value = require("lampad.settings")[name]
    else
      value = core.modules[name] -- op families without a Lua part: linalg, special, ...
      if name == "signal" then value = { windows = core.modules["signal.windows"] } end
    end
    if value ~= nil then rawset(torch, name, value) end
    return value
  end,
  __name = "lampad",
})
