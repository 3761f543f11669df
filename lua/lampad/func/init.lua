-- torch.func: functions of functions. Derivatives (grad, vjp, jvp, jacrev, jacfwd, hessian, linearize), vmap, and
-- modules as functions of their parameters (functional_call, stack_module_state).
local lazy = require "lampad.lazy"

local files = lazy.members("lampad.func.", {
  transforms = { "grad", "grad_and_value", "vjp", "jvp", "jacrev", "jacfwd", "hessian", "linearize" },
  modules = { "functional_call", "stack_module_state", "replace_all_batch_norm_modules_", "debug_unwrap" },
})
files.vmap = "lampad.func.vmap"

return lazy(files)
