-- torch.utils: utils.data, the progress bar, the checkpoint file, deepcopy. Loads at first use.
local files = {
  data = "lampad.utils.data", tqdm = "lampad.tqdm", checkpoint_file = "lampad.checkpoint", copy = "lampad.copy",
}
local utils = {}

return setmetatable(utils, {
  __index = function(_, name)
    if not files[name] then return nil end
    local value = require(files[name])
    utils[name] = value
    return value
  end,
})
