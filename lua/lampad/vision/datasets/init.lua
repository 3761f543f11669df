-- vision.datasets: loads at first use.
local files = { MNIST = "mnist", FashionMNIST = "mnist", VisionDataset = "mnist" }
local datasets = {}

return setmetatable(datasets, {
  __index = function(_, name)
    local file = files[name]
    if not file then return nil end
    local value = require("lampad.vision.datasets." .. file)[name]
    datasets[name] = value
    return value
  end,
})
