-- vision.datasets: each loads at first use.
local lazy = require "lampad.lazy"

local files = lazy.members("lampad.vision.datasets.", {
  vision_dataset = { "VisionDataset", "StandardTransform" },
  caltech = { "Caltech101", "Caltech256" }, celeba = { "CelebA" }, cifar = { "CIFAR10", "CIFAR100" }, cityscapes = { "Cityscapes" },
  coco = { "CocoDetection", "CocoCaptions" }, emnist = { "EMNIST", "QMNIST" }, fakedata = { "FakeData" },
  flowers102 = { "Flowers102" }, folder = { "DatasetFolder", "ImageFolder" }, food101 = { "Food101" }, imagenet = { "ImageNet" },
  mnist = { "MNIST", "FashionMNIST", "KMNIST" }, oxford_iiit_pet = { "OxfordIIITPet" }, stl10 = { "STL10" }, svhn = { "SVHN" },
  listed = { "EuroSAT", "Country211", "RenderedSST2", "Imagenette" },
  lists = { "DTD", "FGVCAircraft", "GTSRB", "SUN397", "StanfordCars", "CLEVRClassification" }, moving_mnist = { "MovingMNIST" },
  usps = { "USPS" }, voc = { "VOCDetection", "VOCSegmentation" },
})
files.folder, files.utils = "lampad.vision.datasets.folder", "lampad.vision.datasets.utils"

return lazy(files)
