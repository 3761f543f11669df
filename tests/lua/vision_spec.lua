-- Datasets of images from IDX files, and their transforms.
local torch = require "lampad"
local core = require "lampad.core"
local datasets, transforms = torch.vision.datasets, torch.vision.transforms
local data = torch.utils.data

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local folder
local function write(name, bytes) assert(core.atomic_write(folder .. "/" .. name, bytes)) end
local function images(n, h, w, values) return (">I4I4I4I4"):pack(0x803, n, h, w) .. values end
local function labels(values) return (">I4I4"):pack(0x801, #values) .. values end

describe("MNIST files", function()
  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p '" .. folder .. "'"))
    write("t10k-images-idx3-ubyte", images(2, 2, 3, "\0\1\2\3\4\5\250\251\252\253\254\255"))
    write("t10k-labels-idx1-ubyte", labels "\3\9")
  end)
  after_each(function() os.execute("rm -r '" .. folder .. "'") end)

  local function open(options)
    options = options or {}
    options.train = false
    return datasets.MNIST(folder, options)
  end

  it("are read", function()
    local ds = open()
    assert.equal(2, #ds)
    assert.equal(torch.uint8, ds.data.dtype)
    local image, label = ds:getitem(1)
    assert.equal("Image(mode=L, size=3x2)", tostring(image))
    assert.same({ { 250, 251, 252 }, { 253, 254, 255 } }, image:numpy():tolist())
    assert.equal(9, ds.class_to_idx["9 - nine"])
    assert.equal(9, label)
    assert.equal("9 - nine", ds.classes[label + 1])
    assert.matches("Dataset MNIST\n    Number of datapoints: 2\n    Root location: .*\n    Split: Test", tostring(ds))
  end)

  it("go through transforms, one by one and in batches", function()
    local t = transforms.Compose { transforms.ToTensor(), transforms.Normalize(0.5, 0.25) }
    local ds = open { transform = t }
    local single = ds[1]
    assert.same({ 1, 2, 3 }, { single.shape:unpack() })
    local batch, targets = data.DataLoader(ds, { batch_size = 2 }):iter()()
    assert.same({ 2, 1, 2, 3 }, { batch.shape:unpack() })
    assert.same(single:tolist(), batch[1]:tolist())
    assert.same({ 3, 9 }, targets:tolist())
    assert.is_true(math.abs(single[0][1][2]:item() - 2) < 1e-6)
    assert.equal("Compose(\n    ToTensor()\n    Normalize(mean=(0.5,), std=(0.25,))\n)", tostring(t))
    local negative = open { target_transform = function(y) return -y end }
    assert.equal(-9, (select(2, negative:getitem(1))))
    assert.error_matches(function() transforms.Normalize(0.5, 0) end, "std at index 0 is zero")
    assert.error_matches(function() transforms.Normalize(0.5, 1)(torch.zeros(1, 2, 2, { dtype = torch.uint8 })) end,
      "put ToTensor%(%) before it")
  end)

  local faults = {
    { "is truncated: it has 11 of the 12 values", function()
      write("t10k-images-idx3-ubyte", images(2, 2, 3, ("x"):rep(11)))
    end },
    { "is corrupted: 1 bytes follow the 12 values", function()
      write("t10k-images-idx3-ubyte", images(2, 2, 3, ("x"):rep(13)))
    end },
    { "is no IDX file of bytes", function() write("t10k-images-idx3-ubyte", "GIF89a.............") end },
    { "is no IDX file: it has only 0 bytes", function() write("t10k-images-idx3-ubyte", "") end },
    { "has 1 dims, expected 3 %(images%)", function() write("t10k-images-idx3-ubyte", labels "\1\2") end },
    { "holds 2 images, but .* holds 3 labels", function() write("t10k-labels-idx1-ubyte", labels "\1\2\3") end },
    { "is corrupted: it holds the label 77, expected 0 to 9", function()
      write("t10k-labels-idx1-ubyte", labels "\1\77")
    end },
    { "is truncated: it ends in its header", function() write("t10k-labels-idx1-ubyte", "\0\0\8\1\0") end },
    { "missing t10k%-labels%-idx1%-ubyte.gz; looked in .*MNIST/raw.*To get the data", function()
      os.remove(folder .. "/t10k-labels-idx1-ubyte")
    end },
  }
  for _, fault in ipairs(faults) do
    it("give a clear error: " .. fault[1], function()
      fault[2]()
      local ok, err = pcall(open)
      assert.is_false(ok)
      assert.matches(fault[1], err)
    end)
  end

  it("give a clear error: gzip faults", function()
    local full = folder .. "/t10k-labels-idx1-ubyte"
    assert(os.execute("gzip '" .. full .. "'"))
    assert.equal(2, #open())
    local bytes = io.open(full .. ".gz", "rb"):read("a")
    write("t10k-labels-idx1-ubyte.gz", bytes:sub(1, -6))
    assert.error_matches(open, "t10k%-labels%-idx1%-ubyte.gz is truncated")
    write("t10k-labels-idx1-ubyte.gz", bytes:sub(1, -9) .. "garbage!")
    assert.error_matches(open, "is corrupted")
  end)

  it("are missing with advice", function()
    assert.error_matches(function() datasets.FashionMNIST("/nonexistent") end,
      "missing train%-images%-idx3%-ubyte.gz and train%-labels%-idx1%-ubyte.gz; looked in /nonexistent and .*"
      .. "apt install dataset%-fashion%-mnist")
    assert.error_matches(function() datasets.FashionMNIST("/proc/nonexistent", { download = true }) end, "apt install")
  end)
end)

if exists "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz" then
  describe("FashionMNIST", function()
    it("is read from Debian's package", function()
      local ds = datasets.FashionMNIST { train = false }
      assert.equal(10000, #ds)
      assert.equal("Ankle boot", ds.classes[ds.targets[0]:item() + 1])
      assert.same({ 1000, 1000 }, { ds.targets:eq(0):sum():item(), ds.targets:eq(9):sum():item() })
    end)
  end)
end
