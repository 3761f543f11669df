-- Normalisations; kernels in nn/dispatch/norm.c and layer_norm.c, second derivatives in nn/composite/norm.c.
op{ "native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
      .. "bool training, float momentum, float eps) -> (Tensor output, Tensor save_mean, Tensor save_rstd)",
    variants = "internal", nondiff = "save_mean save_rstd",
    grad = { ["input, weight, bias"] = "native_batch_norm_backward(grad, input, weight, save_mean, save_rstd, training, "
      .. "gate, gate_low, gate_high)" } }
-- With a gate no graph is recorded (autograd/node.h, Note: gates), so that its second derivative knows of none.
op{ "native_batch_norm_backward(Tensor grad_output, Tensor input, Tensor? weight, Tensor save_mean, Tensor save_rstd, "
      .. "bool training, Tensor? gate, float gate_low, float? gate_high) "
      .. "-> (Tensor input_grad, Tensor weight_grad, Tensor bias_grad)",
    variants = "internal",
    grad = { ["grad_output, input, weight"] = "batch_norm_double_backward(grad_input_grad, grad_weight_grad, "
      .. "grad_bias_grad, grad_output, input, weight, save_mean, save_rstd, training)" } }
op{ "batch_norm_double_backward(Tensor grad_grad_input, Tensor grad_grad_weight, Tensor grad_grad_bias, "
      .. "Tensor grad_output, Tensor input, Tensor? weight, Tensor save_mean, Tensor save_rstd, bool training) "
      .. "-> (Tensor g, Tensor x, Tensor w)", variants = "internal", kind = "composite" }

op{ "native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps) "
      .. "-> (Tensor output, Tensor mean, Tensor rstd)",
    variants = "internal", nondiff = "mean rstd",
    grad = { ["input, weight, bias"] = "native_layer_norm_backward(grad, input, normalized_shape, weight, mean, rstd, grad_mask)" } }
op{ "native_layer_norm_backward(Tensor grad_output, Tensor input, int[] normalized_shape, Tensor? weight, Tensor mean, "
      .. "Tensor rstd, mask wanted) -> (Tensor input_grad, Tensor weight_grad, Tensor bias_grad)",
    variants = "internal",
    grad = { ["grad_output, input, weight"] = "layer_norm_double_backward(grad_input_grad, grad_weight_grad, "
      .. "grad_bias_grad, grad_output, input, normalized_shape, weight, mean, rstd)" } }
op{ "layer_norm_double_backward(Tensor grad_grad_input, Tensor grad_grad_weight, Tensor grad_grad_bias, "
      .. "Tensor grad_output, Tensor input, int[] normalized_shape, Tensor? weight, Tensor mean, Tensor rstd) "
      .. "-> (Tensor g, Tensor x, Tensor w)", variants = "internal", kind = "composite" }

op{ "native_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float eps) -> (Tensor output, Tensor rstd)",
    variants = "internal", nondiff = "rstd",
    grad = { ["input, weight"] = "rms_norm_backward(grad, input, normalized_shape, weight, rstd, eps, grad_mask)" } }
op{ "rms_norm_backward(Tensor grad_output, Tensor input, int[] normalized_shape, Tensor? weight, Tensor rstd, float eps, "
      .. "mask wanted) -> (Tensor input_grad, Tensor weight_grad)", variants = "internal", kind = "composite" }
op{ "native_rms_norm_backward(Tensor grad_output, Tensor input, int[] normalized_shape, Tensor? weight, Tensor rstd, "
      .. "mask wanted) -> (Tensor input_grad, Tensor weight_grad)", variants = "internal", grad = "none" }

op{ "native_group_norm(Tensor input, int num_groups, Tensor? weight, Tensor? bias, float eps) "
      .. "-> (Tensor output, Tensor mean, Tensor rstd)",
    variants = "internal", nondiff = "mean rstd",
    grad = { ["input, weight, bias"] = "native_group_norm_backward(grad, input, num_groups, weight, mean, rstd)" } }
op{ "native_group_norm_backward(Tensor grad_output, Tensor input, int num_groups, Tensor? weight, Tensor mean, "
      .. "Tensor rstd) -> (Tensor input_grad, Tensor weight_grad, Tensor bias_grad)",
    variants = "internal",
    grad = { ["grad_output, input, weight"] = "group_norm_double_backward(grad_input_grad, grad_weight_grad, "
      .. "grad_bias_grad, grad_output, input, num_groups, weight, mean, rstd)" } }
op{ "group_norm_double_backward(Tensor grad_grad_input, Tensor grad_grad_weight, Tensor grad_grad_bias, "
      .. "Tensor grad_output, Tensor input, int num_groups, Tensor? weight, Tensor mean, Tensor rstd) "
      .. "-> (Tensor g, Tensor x, Tensor w)", variants = "internal", kind = "composite" }

op{ "batch_norm(Tensor input, Tensor? running_mean, Tensor? running_var, Tensor? weight=nil, Tensor? bias=nil, "
      .. "bool training=false, float momentum=0.1, float eps=1e-5) -> Tensor",
    variants = "function", module = "nn.functional", kind = "composite",
    cases = { "(4,3,5,2),nil,nil,(3,),(3,),true", "(4,3,5),(3,)g,(3,)pg,(3,),(3,)", "(6,3),nil,nil,nil,nil,true",
              "(0,),nil,nil,nil,nil,true" },
    doc = "Normalises each channel (dim 1) by its mean and variance over the batch when training, by the running "
      .. "statistics otherwise; training moves the running statistics in place by momentum.",
    example = "F.batch_norm(torch.tensor{{1., 10.}, {3., 30.}}, nil, nil, nil, nil, true)" }
op{ "instance_norm(Tensor input, Tensor? running_mean=nil, Tensor? running_var=nil, Tensor? weight=nil, "
      .. "Tensor? bias=nil, bool use_input_stats=true, float momentum=0.1, float eps=1e-5) -> Tensor",
    variants = "function", module = "nn.functional", kind = "composite",
    cases = { "(2,3,5,4)", "(2,3,5),nil,nil,(3,),(3,)" },
    doc = "Normalises each channel of each image by its own mean and variance.",
    example = "F.instance_norm(torch.arange(6.):reshape(1, 2, 3))" }
op{ "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=nil, Tensor? bias=nil, float eps=1e-5) -> Tensor",
    variants = "function", module = "nn.functional torch", kind = "composite",
    cases = { "(3,4,5),[4,5],(4,5),(4,5)", "(3,6),[6]", "(2,3,6)t,[6],(6,)", "(1,),[1],(1,),(1,)" },
    doc = "Normalises over the last dims, which have the sizes normalized_shape.",
    example = "F.layer_norm(torch.arange(6.):reshape(2, 3), {3})" }
op{ "group_norm(Tensor input, int num_groups, Tensor? weight=nil, Tensor? bias=nil, float eps=1e-5) -> Tensor",
    variants = "function", module = "nn.functional torch", kind = "composite",
    cases = { "(2,6,4,3),3,(6,),(6,)", "(2,4,5),2" },
    doc = "Normalises each group of neighbouring channels of each image by its own mean and variance.",
    example = "F.group_norm(torch.arange(8.):reshape(1, 4, 2), 2)" }
op{ "rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=nil, float? eps=nil) -> Tensor",
    variants = "function", module = "nn.functional torch", kind = "composite",
    cases = { "(3,6),[6],(6,)", "(2,3,4),[3,4]" },
    doc = "Divides by the root of the mean square over the last dims; eps defaults to the dtype's epsilon.",
    example = "F.rms_norm(torch.tensor{{1., 2., 3.}}, {3})" }
op{ "neighbour_sums(Tensor self, int size) -> Tensor", autocast = "fp32", variants = "internal", kind = "composite" }
op{ "local_response_norm(Tensor input, int size, float alpha=1e-4, float beta=0.75, float k=1.0) -> Tensor",
    variants = "function", module = "nn.functional", kind = "composite",
    cases = { "(2,5,4,3),3", "(2,5,4),2,0.5,0.6,2.0" },
    doc = "Divides by (k + alpha * mean of squares over `size` neighbouring channels)^beta.",
    example = "F.local_response_norm(torch.ones(1, 3, 2), 2)" }
op{ "normalize(Tensor input, float p=2.0, int dim=1, float eps=1e-12) -> Tensor",
    variants = "function out", module = "nn.functional",
    composite = "input / clamp_min(linalg_vector_norm(input, p, dim, true), eps)",
    cases = { "(3,4)", "(3,4),1.0,0" }, doc = "Divides by the p-norm along dim, at least eps.",
    example = "F.normalize(torch.tensor{{3., 4.}})" }
