-- nn.utils.fuse_conv_bn: whole networks with their batch norms folded.
local torch = require "lampad"
local nn = torch.nn

-- Batch norms with statistics that make a difference.
local function settle(model)
  torch.no_grad(function()
    for m in model:modules() do
      if m.running_mean then
        m.running_mean:normal_(0, 0.3)
        m.running_var:uniform_(0.5, 1.5)
        if m.weight then
          m.weight:uniform_(0.5, 1.5)
          m.bias:normal_()
        end
      end
    end
  end)
  return model:eval()
end

local function count(model, name)
  local n = 0
  for m in model:modules() do
    if m:_get_name():find(name) then n = n + 1 end
  end
  return n
end

local function close(a, b)
  assert.is_true((a - b):abs():max():item() <= 1e-4 * math.max(1, b:abs():max():item()))
end

describe("fuse_conv_bn", function()
  it("folds every pair of a residual net and leaves the model as it was", function()
    torch.manual_seed(0)
    local model = settle(torch.vision.models.resnet18())
    local x = torch.randn(1, 3, 64, 64)
    local want = model(x):detach()
    local folded = nn.utils.fuse_conv_bn(model, x)
    assert.equal(0, count(folded, "^BatchNorm"))
    assert.equal(20, count(folded, "^Identity"))
    close(folded(x), want)
    assert.equal(20, count(model, "^BatchNorm"))
    assert.is_true(torch.equal(model(x), want))
    assert.is_false(folded.training)
  end)

  it("serves networks of depthwise, transposed, 1-d, 3-d and linear layers", function()
    torch.manual_seed(1)
    for _, case in ipairs {
      { nn.Sequential(nn.Conv1d(2, 4, 3, { bias = false }), nn.BatchNorm1d(4), nn.ReLU()), { 2, 2, 9 } },
      { nn.Sequential(nn.Conv3d(2, 4, 2), nn.BatchNorm3d(4, { affine = false })), { 2, 2, 4, 4, 4 } },
      { nn.Sequential(nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4)), { 2, 3, 4, 4 } },
      { nn.Sequential(nn.Conv2d(4, 8, 3, { groups = 4 }), nn.BatchNorm2d(8)), { 2, 4, 6, 6 } },
      { nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)), { 4, 5 } },
    } do
      local model, x = settle(case[1]), torch.randn(table.unpack(case[2]))
      local folded = nn.utils.fuse_conv_bn(model, { x })
      assert.equal(0, count(folded, "^BatchNorm"))
      close(folded(x), model(x))
    end
  end)

  it("leaves alone what others use, what runs twice and what has no statistics", function()
    torch.manual_seed(2)
    local net = nn.Module()
    net.conv, net.bn = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
    function net:forward(x)
      local y = self.conv(x)
      return self.bn(y) + y
    end
    settle(net)
    local x = torch.randn(2, 2, 3, 3)
    local folded = nn.utils.fuse_conv_bn(net, x)
    assert.equal(1, count(folded, "^BatchNorm"))
    close(folded(x), net(x))
    function net:forward(input) return self.bn(self.conv(self.bn(self.conv(input)))) end
    folded = nn.utils.fuse_conv_bn(net, x)
    assert.equal(1, count(folded, "^BatchNorm"))
    close(folded(x), net(x))
    local loose = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, { track_running_stats = false })):eval()
    folded = nn.utils.fuse_conv_bn(loose, x)
    assert.equal(1, count(folded, "^BatchNorm"))
    close(folded(x), loose(x))
    local before = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)):eval()
    assert.equal(1, count(nn.utils.fuse_conv_bn(before, x), "^BatchNorm"))
  end)

  it("keeps frozen parameters frozen and passes errors on", function()
    local model = settle(nn.Sequential(nn.Conv2d(3, 4, 3, { bias = false }), nn.BatchNorm2d(4))):requires_grad_(false)
    local x = torch.randn(1, 3, 5, 5)
    local folded = nn.utils.fuse_conv_bn(model, x)
    assert.is_false(folded[0].weight.requires_grad)
    assert.is_false(model[0].weight.requires_grad)
    local ok, message = pcall(nn.utils.fuse_conv_bn, model, torch.randn(1, 2, 5, 5))
    assert.is_true(not ok and tostring(message):find("channels", 1, true) ~= nil, tostring(message))
    ok, message = pcall(nn.utils.fuse_conv_bn, model, 3)
    assert.is_true(not ok and tostring(message):find("example_inputs", 1, true) ~= nil, tostring(message))
  end)
end)
