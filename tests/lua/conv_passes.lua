--- Runs a convolution on float32 tensors and on float64 ones of the same numbers, forward and backward.
--- conv(x, weight[, bias]); tensors { x, weight[, bias] }; check(got, exact, what) compares the result and each gradient.
--- Returns the float64 result.
return function(conv, tensors, check, what)
  local leaves, exact_leaves = {}, {}
  for i, t in ipairs(tensors) do
    leaves[i], exact_leaves[i] = t:detach():clone():requires_grad_(), t:double():requires_grad_()
  end
  local y, exact = conv(table.unpack(leaves)), conv(table.unpack(exact_leaves))
  check(y:detach(), exact:detach(), what .. ": the result")
  local g = torch.randn(y.shape)
  y:backward(g)
  exact:backward(g:double())
  for i, name in ipairs { "input", "weight", "bias" } do
    if leaves[i] then check(leaves[i].grad, exact_leaves[i].grad, ("%s: the %s's gradient"):format(what, name)) end
  end
  return exact:detach()
end
