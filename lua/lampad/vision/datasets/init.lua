-- vision.datasets: loads at first use.
local lazy = require "lampad.lazy"

return lazy(lazy.members("lampad.vision.datasets.", { mnist = { "VisionDataset", "MNIST", "FashionMNIST" } }))
