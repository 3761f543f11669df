-- Functions whose gradient has no derivative of its own, as in PyTorch.
op{ "no_derivative(Tensor grad, str what) -> Tensor", variants = "internal", grad = "none" }

op{ "multilabel_margin_loss(Tensor input, Tensor target, bool? size_average=nil, bool? reduce=nil, "
      .. "str reduction='mean') -> Tensor", autocast = "fp32", variants = "function", module = "nn.functional", kind = "composite",
    cases = { "(3,4),(3,4)<4", "(3,4),(3,4)<4,reduction='none'", "(4,),(4,)<4,reduction='sum'", "(),()<1" },
    doc = "The sum over target classes j and other classes i of max(0, 1 - input[j] + input[i]), over the number of "
      .. "classes; target holds the classes of each row, up to the first -1. reduction: 'none', 'mean' or 'sum'.",
    example = "F.multilabel_margin_loss(torch.tensor{0.1, 0.2, 0.4, 0.8}, torch.tensor{3, 0, -1, 1})" }
op{ "multilabel_margin_rows(Tensor input, Tensor target) -> Tensor", variants = "internal",
    grad = { input = "multilabel_margin_rows_grad(grad, input, target)" } }
op{ "multilabel_margin_rows_grad(Tensor grad_output, Tensor input, Tensor target) -> Tensor", variants = "internal",
    grad = { grad_output = "no_derivative(grad, 'multilabel_margin_loss')",
             input = "no_derivative(grad, 'multilabel_margin_loss')" } }
