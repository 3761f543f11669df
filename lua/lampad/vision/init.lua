-- torch.vision (torchvision): datasets and transforms. Loads at first use.
local files = { datasets = "lampad.vision.datasets", transforms = "lampad.vision.transforms" }
local vision = {}

return setmetatable(vision, {
  __index = function(_, name)
    if not files[name] then return nil end
    local value = require(files[name])
    vision[name] = value
    return value
  end,
})
