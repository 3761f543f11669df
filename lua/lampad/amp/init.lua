-- torch.amp: automatic mixed precision. autocast lets ops choose their precision by themselves, GradScaler keeps small
-- gradients of float16 from becoming 0.
local lazy = require "lampad.lazy"

return lazy(lazy.members("lampad.amp.", {
  autocast_mode = { "autocast", "custom_fwd", "custom_bwd", "is_autocast_available" },
  grad_scaler = { "GradScaler" },
}))
