-- Nets with real weights made by others (../shared/data/weights), loaded with torch.load, must give the answers they are known
-- to give. Skips when the files are not there.
local torch = require "lampad"
local core = require "lampad.core"
local nn, F = torch.nn, torch.nn.functional

local root = arg and arg[0] and arg[0]:match("^(.*)/tests/lua/") or "."
local data = root .. "/../shared/data/"

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The ResNet for CIFAR of He et al. 2015, whose shortcuts are strided and padded with zeros (option A).
local Block = nn.Module:extend "Block"
function Block:init(channels_in, channels_out, stride)
  self.pads, self.stride = (channels_out - channels_in) // 2, stride
  self.conv1 = nn.Conv2d(channels_in, channels_out, 3, { stride = stride, padding = 1, bias = false })
  self.bn1 = nn.BatchNorm2d(channels_out)
  self.conv2 = nn.Conv2d(channels_out, channels_out, 3, { padding = 1, bias = false })
  self.bn2 = nn.BatchNorm2d(channels_out)
end
function Block:forward(x)
  local y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
  if self.stride ~= 1 then x = F.pad(x[":, :, ::2, ::2"], { 0, 0, 0, 0, self.pads, self.pads }) end
  return F.relu(y + x)
end

local ResNet20 = nn.Module:extend "ResNet20"
function ResNet20:init()
  local function layer(channels_in, channels_out, stride)
    return nn.Sequential(Block(channels_in, channels_out, stride), Block(channels_out, channels_out, 1),
      Block(channels_out, channels_out, 1))
  end
  self.conv1 = nn.Conv2d(3, 16, 3, { padding = 1, bias = false })
  self.bn1 = nn.BatchNorm2d(16)
  self.layer1, self.layer2, self.layer3 = layer(16, 16, 1), layer(16, 32, 2), layer(32, 64, 2)
  self.linear = nn.Linear(64, 10)
end
function ResNet20:forward(x)
  x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
  return self.linear(x:mean { dim = { 2, 3 } })
end

describe("pretrained nets", function()
  it("ResNet-20: 915 of 1000 test images of CIFAR-10, and the logits of the first", function()
    local weights = data .. "weights/resnet-cifar10/resnet20-12fca82f.th"
    local images = data .. "cifar10/test_batch_first1000.bin.xz"
    if not (exists(weights) and exists(images)) then return pending("skipped: " .. weights .. " is not there") end
    local net, state = ResNet20(), {}
    for name, tensor in torch.load(weights).state_dict:items() do state[name:gsub("^module%.", "")] = tensor end
    net:load_state_dict(state)
    net:eval()
    local unpacked <close> = assert(io.popen(("xz -dc '%s'"):format(images)))
    local records = core.tensor_from_bytes(unpacked:read "a", torch.uint8, { 1000, 3073 })
    local labels = records[":, 0"]:long()
    local x = records[":, 1:"]:reshape(-1, 3, 32, 32):float() / 255
    x = (x - torch.tensor({ .485, .456, .406 }):view(1, 3, 1, 1)) / torch.tensor({ .229, .224, .225 }):view(1, 3, 1, 1)
    local logits = torch.no_grad(function() return net(x) end)
    local want = torch.tensor { -5.3097, -0.4958, 0.8773, 23.7305, -4.105, 4.4637, -0.2343, -5.4179, -3.7118, -9.8822 }
    assert.is_true((logits[0] - want):abs():max():item() < 1e-3)
    assert.equal(915, logits:argmax(1):eq(labels):sum():item())
  end)

  -- The two files hold the same net after different trainings; what the second gives is PyTorch's answer.
  local nets = {
    { file = "mnist.pt", load = torch.load, right = 9915, loss = 0.030435,
      first = { -9.3912, -9.9832, -10.5642, -9.716, -10.1611, -11.275, -11.0552, -0.0004, -10.1304, -9.7522 } },
    { file = "mnist.safetensors", load = torch.safetensors.load_file, right = 9917, loss = 0.028088,
      first = { -9.6084, -10.245, -10.013, -10.229, -10.018, -10.892, -10.506, -0.0004, -10.347, -9.6573 } },
  }
  for _, row in ipairs(nets) do
    it(("the CNN for MNIST, %s: %d of 10,000 test images, the loss, and the first log-probabilities"):format(row.file, row.right), function()
      local weights, folder = data .. "weights/mnist/" .. row.file, data .. "mnist/"
      local images, labels = folder .. "t10k-images-idx3-ubyte.gz", folder .. "t10k-labels-idx1-ubyte.gz"
      if not (exists(weights) and exists(images)) then return pending("skipped: " .. weights .. " is not there") end
      local state = row.load(weights)
      local features = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Conv2d(16, 24, 3),
        nn.ReLU(), nn.BatchNorm2d(24))
      local head = nn.Sequential(nn.Linear(11616, 32), nn.ReLU(), nn.Linear(32, 10), nn.BatchNorm1d(10))
      for part, names in pairs { [features] = { conv1 = 0, conv2 = 2, conv3 = 4, norm1 = 6 },
        [head] = { fc1 = 0, fc2 = 2, norm2 = 3 } } do
        local own = {}
        for name, tensor in state:items() do
          local layer, field = name:match "^(%w+)%.(.*)$"
          if names[layer] then own[names[layer] .. "." .. field] = tensor end
        end
        part:load_state_dict(own)
        part:eval()
      end
      local x = core.tensor_from_bytes(core.read_gz(images), torch.uint8, { 10000, 1, 28, 28 }, 16)
      local y = core.tensor_from_bytes(core.read_gz(labels), torch.uint8, { 10000 }, 8):long()
      local right, loss, first = 0, 0, nil
      torch.no_grad(function()
        for from = 0, 9000, 1000 do
          local batch, wanted = x:narrow(0, from, 1000):float(), y:narrow(0, from, 1000)
          local out = F.log_softmax(head(features((batch / 255 - .1307) / .3081):flatten(1)), 1)
          first = first or out[0]:clone()
          right = right + out:argmax(1):eq(wanted):sum():item()
          loss = loss + F.nll_loss(out, wanted, { reduction = "sum" }):item()
        end
      end)
      local want = torch.tensor(row.first)
      assert.is_true((first - want):abs():max():item() < 1e-3)
      assert.equal(row.right, right)
      assert.is_true(math.abs(loss / 10000 - row.loss) < 1e-5)
    end)
  end
end)
