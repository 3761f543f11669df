-- The forms of dropout and of the normalisations that PyTorch's own functions are made of.
op{ "native_batch_norm.all(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
      .. "bool training, float momentum, float eps) -> (Tensor output, Tensor save_mean, Tensor save_invstd)",
    variants = "function", kind = "composite",
    doc = "batch_norm, and when training what its gradient needs: each channel's mean and 1 / standard deviation (else "
      .. "two empty tensors).",
    example = "torch.native_batch_norm(torch.tensor{{1., 10.}, {3., 30.}}, nil, nil, nil, nil, true, 0.1, 1e-5)" }
op{ "native_layer_norm.all(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> "
      .. "(Tensor output, Tensor mean, Tensor rstd)", variants = "function", kind = "composite",
    doc = "layer_norm, and what its gradient needs: the means and 1 / standard deviations.",
    example = "torch.native_layer_norm(torch.arange(6.):reshape(2, 3), {3}, nil, nil, 1e-5)" }
op{ "native_group_norm.sizes(Tensor input, Tensor? weight, Tensor? bias, int N, int C, int HxW, int group, float eps) -> "
      .. "(Tensor output, Tensor mean, Tensor rstd)", variants = "function", kind = "composite",
    doc = "group_norm of an input of N * C * HxW elements, and what its gradient needs: the means and 1 / standard "
      .. "deviations.",
    example = "torch.native_group_norm(torch.arange(8.):reshape(1, 4, 2), nil, nil, 1, 4, 2, 2, 1e-5)" }
op{ "native_dropout(Tensor input, float p, bool? train) -> (Tensor output, Tensor mask)", variants = "function",
    kind = "composite", doc = "dropout, and the mask of what was kept. train nil means true.",
    example = "torch.native_dropout(torch.ones(4), 0.5, true)" }
