-- vision.datasets: each loads at first use.
local lazy = require "lampad.lazy"

local files = lazy.members("lampad.vision.datasets.", {
  vision_dataset = { "VisionDataset", "StandardTransform" },
  folder = { "DatasetFolder", "ImageFolder" },
  fakedata = { "FakeData" },
  cifar = { "CIFAR10", "CIFAR100" },
  mnist = { "MNIST", "FashionMNIST", "KMNIST" },
})
files.folder, files.utils = "lampad.vision.datasets.folder", "lampad.vision.datasets.utils"

return lazy(files)
