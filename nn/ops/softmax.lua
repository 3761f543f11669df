-- Softmax along one dim, and the cross entropy of class indices built on the same loops.
op{ "softmax(Tensor self, int dim, dtype? dtype=nil) -> Tensor", module = "torch nn.functional special",
    grad = { self = "softmax_grad(grad, result, dim)" },
    cases = { "(3,4),1", "(3,4),0", "(2,3,5)t,1", "(2,3,4),-1,dtype=float64", "(0,3),1", "(),0" },
    doc = "exp(self) divided by its sum along dim, computed without overflow. dtype converts the input first.",
    example = "torch.softmax(torch.tensor{1., 2., 3.}, 0)" }
op{ "log_softmax(Tensor self, int dim, dtype? dtype=nil) -> Tensor", module = "torch nn.functional special",
    grad = { self = "log_softmax_grad(grad, result, dim)" },
    cases = { "(3,4),1", "(3,4),0", "(2,3,5)t,1", "(2,3,4),-1,dtype=float64", "(0,3),1", "(),0" },
    doc = "log(softmax(self, dim)), computed without loss of precision.",
    example = "torch.log_softmax(torch.tensor{1., 2., 3.}, 0)" }
op{ "softmax_grad(Tensor grad_output, Tensor output, int dim) -> Tensor", variants = "internal",
    grad = { grad_output = "softmax_grad(grad, output, dim)",
             output = "softmax_grad_output(grad, grad_output, output, dim)" } }
op{ "softmax_grad_output(Tensor grad, Tensor grad_output, Tensor output, int dim) -> Tensor", variants = "internal",
    composite = "grad * grad_output - grad * sum_dim(grad_output * output, [dim], true) "
      .. "- grad_output * sum_dim(grad * output, [dim], true)" }
op{ "log_softmax_grad(Tensor grad_output, Tensor output, int dim) -> Tensor", variants = "internal",
    grad = { grad_output = "grad - sum_dim(grad * exp(output), [dim], true)",
             output = "-(grad * exp(output) * sum_dim(grad_output, [dim], true))" } }
op{ "softmin(Tensor self, int dim, *, dtype? dtype=nil) -> Tensor", module = "nn.functional", variants = "function",
    composite = "softmax(-self, dim, dtype=dtype)", cases = { "(3,4),1" },
    doc = "softmax(-self, dim): large for small elements.",
    example = "F.softmin(torch.tensor{1., 2., 3.}, 0)" }

-- input (rows, classes), target (rows) of class indices; lse is logsumexp of each row, in float64.
op{ "cross_entropy_rows(Tensor input, Tensor target, str reduction, int ignore_index) -> (Tensor loss, Tensor lse)",
    variants = "internal", nondiff = "lse", node = "NllLossBackward0",
    grad = { input = "cross_entropy_rows_grad(grad, input, target, lse, reduction, ignore_index)" } }
op{ "cross_entropy_rows_grad(Tensor grad_output, Tensor input, Tensor target, Tensor lse, str reduction, "
      .. "int ignore_index) -> Tensor", variants = "internal",
    grad = {
      grad_output = "reduction == 'none' ? sum_dim(grad * cross_entropy_rows_grad(ones_like(grad_output), input, "
        .. "target, lse, reduction, ignore_index), [1], false) : sum(grad * cross_entropy_rows_grad("
        .. "ones_like(grad_output), input, target, lse, reduction, ignore_index))",
      input = "cross_entropy_row_scale(grad_output, target, reduction, ignore_index) * "
        .. "softmax_grad(grad, softmax(input, 1), 1)" } }
op{ "cross_entropy_row_scale(Tensor grad, Tensor target, str reduction, int ignore_index) -> Tensor",
    variants = "internal",
    composite = "reduction == 'mean' ? unsqueeze(grad * ne(target, ignore_index) / sum(ne(target, ignore_index)), 1) "
      .. ": unsqueeze(grad * ne(target, ignore_index), 1)" }
