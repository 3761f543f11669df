-- torch.optim: optimizers and optim.lr_scheduler. Everything loads at first use.
local files = {
  Optimizer = "optimizer", SGD = "sgd", Adam = "adam", AdamW = "adamw", lr_scheduler = "lr_scheduler",
}
local optim = {}

return setmetatable(optim, {
  __index = function(_, name)
    local file = files[name]
    if not file then return nil end
    local value = require("lampad.optim." .. file)
    optim[name] = value
    return value
  end,
  __pairs = function() -- for completion: every name, loaded or not
    for name in pairs(files) do local _ = optim[name] end
    return next, optim, nil
  end,
})
