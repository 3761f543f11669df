-- vision.datasets.MovingMNIST: 10,000 films of two digits, 20 pictures each. Source: Srivastava and others (2015); torchvision.
local args = require "lampad.args"
local core = require "lampad.core"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local MovingMNIST = VisionDataset:extend "MovingMNIST"
local spec = args "MovingMNIST(str root, str split=nil, int split_ratio=10, bool download=false, any transform=nil)"
MovingMNIST.url, MovingMNIST.md5 = "http://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy", "be083ec986bfe91a449d63653c411eb2"

--- MovingMNIST(root, split, split_ratio = 10, download = false, transform): item: uint8 (T, 1, 64, 64). split: nil (all 20 pictures of a
--- film), train (the first split_ratio), test (the rest). data: uint8 (N, T, 1, 64, 64).
function MovingMNIST:init(...)
  local root, split, split_ratio, download, transform = spec(...)
  if split then utils.verify_str_arg(split, "split", { "train", "test" }, nil, "MovingMNIST") end
  if split_ratio < 1 or split_ratio > 19 then
    args.fail("MovingMNIST", "`split_ratio` should be `1 <= split_ratio <= 19`, but got %d instead.", split_ratio)
  end
  self:_begin(root, nil, transform)
  self.split, self.split_ratio = split, split_ratio
  local path = self:_path("MovingMNIST", "mnist_test_seq.npy")
  if download and not utils.is_file(path) then utils.download_url(self.url, self:_path "MovingMNIST", nil, self.md5) end
  if not utils.is_file(path) then utils.not_found(self, "MovingMNIST/mnist_test_seq.npy") end
  local data = core.torch.numpy.load(path)
  if data.ndim ~= 4 or data.dtype ~= core.torch.uint8 then args.fail("MovingMNIST", "%s is no uint8 array (T, N, 64, 64)", path) end
  if split == "train" then data = data[":" .. split_ratio] end
  if split == "test" then data = data[split_ratio .. ":"] end
  self.data = data:transpose(0, 1):unsqueeze(2):contiguous()
end

function MovingMNIST:len() return self.data:size(0) end

function MovingMNIST:getitem(i)
  local film = self.data[self:_position(i)]
  if self.transform then return self.transform(film) end
  return film
end

return { MovingMNIST = MovingMNIST }
