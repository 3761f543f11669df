-- torch.nn.utils: clipping of gradients, parameters as one vector, fusion of layers, parametrizations, pruning. One file
-- a concept; everything loads at first use.
local lazy = require "lampad.lazy"

local prefix = "lampad.nn.utils."
local files = lazy.members(prefix, {
  clip_grad = { "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm" },
  convert_parameters = { "parameters_to_vector", "vector_to_parameters" },
  fusion = { "fuse_conv_bn", "fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights" },
  memory_format = { "convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format" },
  skip_init = { "skip_init" },
  spectral_norm = { "spectral_norm", "remove_spectral_norm" },
  weight_norm = { "weight_norm", "remove_weight_norm" },
})
for name, file in pairs {
  clip_grad = "clip_grad", convert_parameters = "convert_parameters", fusion = "fusion", init = "skip_init",
  memory_format = "memory_format", parametrizations = "parametrizations", parametrize = "parametrize", prune = "prune",
  rnn = "rnn", stateless = "stateless",
} do
  files[name] = prefix .. file
end

return lazy(files)
