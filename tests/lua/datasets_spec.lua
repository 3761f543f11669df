-- vision.datasets against torchvision, on tiny data sets in the layouts that it reads (tests/golden/datasets, written by
-- scripts/gen/golden_datasets.py); downloads from a server of our own; damaged files.
local torch = require "lampad"
local core = require "lampad.core"
local datasets, Image = torch.vision.datasets, torch.vision.Image
local utils = datasets.utils
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local golden = here .. "/../golden/datasets"
local command = dofile(here .. "/command.lua")
local start_server = dofile(here .. "/test_server.lua")

local function fails(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, pattern)
  assert.truthy(tostring(message):find(pattern, 1, true), message)
  assert.truthy(message:find("datasets_spec.lua:", 1, true), message)
  return message
end

-- The tiny files have other checksums than the real ones.
local check_integrity = utils.check_integrity
local function without_checksums(body)
  utils.check_integrity = function(path) return utils.is_file(path) end
  local ok, message = pcall(body)
  utils.check_integrity = check_integrity
  if not ok then error(message, 0) end
end

local function text_of(value)
  if type(value) == "table" and getmetatable(value) == Image.__meta then
    return ("%s:%dx%d:%08x"):format(value.mode, value.width, value.height, core.crc32(core.tensor_to_bytes(value.data)))
  end
  if torch.is_tensor(value) then
    local parts = value:flatten():tolist()
    for i, v in ipairs(parts) do parts[i] = value:is_floating_point() and ("%.4f"):format(v) or ("%d"):format(v) end
    return "t[" .. table.concat(parts, ",") .. "]"
  end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  local keys = utils.sorted_keys(#value == 0 and value or {})
  if #keys > 0 then
    for i, key in ipairs(keys) do parts[i] = key .. "=" .. text_of(value[key]) end
    return "{" .. table.concat(parts, ",") .. "}"
  end
  for i, v in ipairs(value) do parts[i] = text_of(v) end
  return "(" .. table.concat(parts, ",") .. ")"
end

local function list(text)
  local result = {}
  for word in text:gmatch "[^,]+" do result[#result + 1] = word end
  return result[2] and result or result[1]
end

-- The data set of a `set` line of values.txt.
local copies = {}
local function open(name, words)
  local root = words[1] == "." and golden or golden .. "/" .. words[1]
  if name == "ImageNet" then -- unpacks its archives
    copies.imagenet = copies.imagenet or command.new_folder()
    os.execute("cp " .. root .. "/* " .. copies.imagenet)
    return datasets.ImageNet(copies.imagenet, words[2]), copies.imagenet
  end
  local only_root = { ImageFolder = true, Caltech256 = true, EuroSAT = true, SUN397 = true }
  if only_root[name] then return datasets[name](root), root end
  if name == "CIFAR10" or name == "CIFAR100" or name == "USPS" then
    return datasets[name](root, { train = words[2] == "train" }), root
  end
  if name == "STL10" then return datasets.STL10(root, words[2], { folds = math.tointeger(words[3]) }), root end
  if name == "Caltech101" then return datasets.Caltech101(root, list(words[2])), root end
  if name == "CelebA" then return datasets.CelebA(root, words[2], list(words[3])), root end
  if name == "OxfordIIITPet" then return datasets.OxfordIIITPet(root, words[2], list(words[3])), root end
  if name == "VOCSegmentation" or name == "VOCDetection" then return datasets[name](root, { image_set = words[2] }), root end
  if name == "Cityscapes" then return datasets.Cityscapes(root, words[2], words[3], { target_type = list(words[4]) }), root end
  if name == "DTD" then return datasets.DTD(root, words[2], math.tointeger(words[3])), root end
  if words[3] then return datasets[name](root, words[2], words[3]), root end
  return datasets[name](root, words[2]), root
end

-- torchvision's items that differ by what a mask is kept in: its 32-bit gray is "I;16" or "I" with the file, ours I.
local function each_set(visit)
  local current
  for line in io.lines(golden .. "/values.txt") do
    local name, rest = line:match "^set (%S+) (.*)$"
    if name then
      if current then visit(current) end
      current = { name = name, arguments = rest, items = {} }
    elseif not current.text then
      current.text = line
    else
      current.items[#current.items + 1] = line
    end
  end
  visit(current)
end

describe("vision.datasets", function()
  teardown(command.clean)

  it("give torchvision's items and text", function()
    local count = 0
    without_checksums(function()
      each_set(function(set)
        local title = set.name .. " " .. set.arguments
        local words = {}
        for word in set.arguments:gmatch "%S+" do words[#words + 1] = word end
        local ds, root = open(set.name, words)
        assert.equal(#set.items, #ds, title)
        local want = set.text:gsub("|", "\n"):gsub("ROOT/imagenet", "ROOT")
        local got = tostring(ds):gsub("Root location: [^\n]*", function(line)
          return (line:gsub(root:gsub("%p", "%%%0"), "ROOT"))
        end)
        want = want:gsub("Root location: ROOT/folder", "Root location: ROOT"):gsub("Root location: ROOT/cityscapes", "Root location: ROOT")
        assert.equal(want, got, title)
        for i, item in ipairs(set.items) do
          local image, target = ds:getitem(i - 1)
          assert.equal(item, ("item %s %s"):format(text_of(image), text_of(target)), title .. " item " .. i - 1)
        end
        count = count + 1
        fails(("index %d is out of range for a dataset of %d items"):format(#ds, #ds), ds.getitem, ds, #ds)
        assert.equal(text_of((ds:getitem(#ds - 1))), text_of((ds:getitem(-1))))
      end)
    end)
    assert.truthy(count > 25)
  end)

  it("have torchvision's attributes", function()
    without_checksums(function()
      local cifar = datasets.CIFAR10(golden)
      assert.equal("(10, 32, 32, 3)", "(" .. table.concat({ cifar.data.shape:unpack() }, ", ") .. ")")
      assert.same({ 1, 8, 2, 7, 3, 6, 4, 5, 5, 4 }, cifar.targets)
      assert.equal(9, cifar.class_to_idx.truck)
      local svhn = datasets.SVHN(golden)
      assert.same({ 4, 3, 32, 32 }, { svhn.data.shape:unpack() })
      assert.same({ 1, 0, 3, 9 }, svhn.labels:tolist())
      local stl = datasets.STL10(golden, "train+unlabeled")
      assert.same({ 0, 9, 2, 3, -1, -1 }, stl.labels:tolist())
      assert.same({ "airplane", "bird", "car" }, stl.classes)
      local celeba = datasets.CelebA(golden)
      assert.same({ "Bald", "Young" }, { celeba.attr_names[#celeba.attr_names - 1], celeba.attr_names[#celeba.attr_names] })
      local pets = datasets.OxfordIIITPet(golden)
      assert.same({ "Abyssinian", "American Bulldog", "Saint Bernard" }, pets.classes)
      assert.equal(1, pets.bin_class_to_idx.Dog)
      assert.same({ "apple_pie", "tacos" }, datasets.Food101(golden).classes)
      assert.equal("blackberry lily", datasets.Flowers102(golden).classes[102])
      local voc = datasets.VOCDetection(golden)
      assert.equal(voc.annotations, voc.targets)
      assert.equal("VOCdevkit/VOC2012/JPEGImages/2007_000027.jpg", voc.images[1]:sub(#golden + 2))
      assert.equal(19, (function()
        local n = 0
        for _, class in ipairs(datasets.Cityscapes.classes) do n = n + (class.train_id >= 0 and class.train_id < 255 and 1 or 0) end
        return n
      end)())
      local folder = datasets.ImageFolder(golden .. "/folder")
      assert.same({ "a", "b", "é" }, folder.classes)
      assert.same({ a = 0, b = 1, ["é"] = 2 }, folder.class_to_idx)
      assert.same({ 0, 0, 0, 0, 1, 1, 1, 1, 2 }, folder.targets)
      assert.equal(folder.imgs, folder.samples)
      assert.equal(golden .. "/folder/a/sub-1/z.jpg", folder.samples[3][1])
      local imagenet = datasets.ImageNet(copies.imagenet, "val")
      assert.same({ "n01", "n02", "n03" }, imagenet.wnids)
      assert.same({ "kit fox", "Vulpes macrotis" }, imagenet.classes[2])
      assert.equal(0, imagenet.class_to_idx["Tinca tinca"])
    end)
  end)

  it("apply transforms and loaders", function()
    local root = golden .. "/folder"
    local folder = datasets.ImageFolder(root, function(image) return image.width end, function(target) return -target end)
    assert.same({ 9, -2 }, { folder:getitem(8) })
    assert.matches("    StandardTransform\nTransform: function.*\nTarget transform: function", tostring(folder))
    local T = torch.vision.transforms
    assert.equal("Dataset ImageFolder\n    Number of datapoints: 9\n    Root location: " .. root .. "\n    StandardTransform\n"
      .. "Transform: Compose(\n               CenterCrop(size=(4, 4))\n               ToTensor()\n           )",
      tostring(datasets.ImageFolder(root, T.Compose { T.CenterCrop(4), T.ToTensor() })))
    local paths = datasets.ImageFolder(root, { loader = function(path) return path end })
    assert.equal(root .. "/b/10.png", (paths:getitem(4)))
    local odd = datasets.ImageFolder(root, { is_valid_file = function(path) return path:find "sub" or path:find "u.png" end, allow_empty = true })
    assert.equal(4, #odd)
    fails("Found no valid file for the classes b.", datasets.ImageFolder, root, { is_valid_file = function(path) return not path:find "/b/" end })
    local jpgs = datasets.DatasetFolder(root, function(path) return #path end, { ".jpg" }, { allow_empty = true })
    assert.equal(3, #jpgs)
    fails("Found no valid file for the classes a, b, é. Supported extensions are: .xyz", datasets.DatasetFolder, root, print, { ".xyz" })
    fails("Both extensions and is_valid_file cannot be nil or not nil at the same time", datasets.DatasetFolder, root, print)
    fails("Couldn't find any class folder in " .. root .. "/b/../a/sub/deep", datasets.ImageFolder, root .. "/b/../a/sub/deep")
    fails("No such file or directory", datasets.ImageFolder, "/nowhere")
    local Sub = datasets.ImageFolder:extend "Sub"
    function Sub.find_classes() return { "b" }, { b = 7 } end
    assert.same({ 7, 7, 7, 7 }, Sub(root).targets)
    local both = function(image, target) return target, image end
    without_checksums(function()
      assert.equal("string", type((datasets.VOCDetection(golden, { transforms = both }):getitem(0).annotation.folder)))
      fails("Only transforms or transform/target_transform can be passed as argument", datasets.VOCDetection, golden,
        { transforms = both, transform = both })
    end)
  end)

  it("give batches in one step where nobody can tell", function()
    without_checksums(function()
      local T = torch.vision.transforms
      local cifar = datasets.CIFAR10(golden, { transform = T.Compose { T.ToTensor(), T.Normalize({ 0.5, 0.5, 0.5 }, { 1, 1, 1 }) } })
      local images, targets = cifar:getbatch(torch.tensor { 3, 1 })
      assert.is_true(torch.equal(images[0], (cifar:getitem(3))))
      assert.same({ 7, 8 }, targets:tolist())
      local loader = torch.utils.data.DataLoader(cifar, { batch_size = 4 })
      assert.same({ 4, 3, 32, 32 }, { loader:iter()().shape:unpack() })
    end)
  end)

  it("work in workers, whose errors name the file", function()
    local T = torch.vision.transforms
    local data = torch.utils.data
    local folder = datasets.ImageFolder(golden .. "/folder", T.Compose { T.Resize { 8, 8 }, T.ToTensor() })
    local function all(workers)
      local parts = {}
      for images, labels in data.DataLoader(folder, { batch_size = 4, num_workers = workers }):iter() do
        parts[#parts + 1] = images:flatten(1)
        parts[#parts + 1] = labels:unsqueeze(1):expand(-1, 192):float()
      end
      return torch.cat(parts)
    end
    assert.is_true(torch.equal(all(0), all(2)))
    local bad = command.new_folder()
    assert(os.execute(("mkdir %s/a && cp %s/../images/truncated.jpg %s/a"):format(bad, golden, bad)))
    local ok, message = pcall(function()
      for _ in data.DataLoader(datasets.ImageFolder(bad, T.ToTensor()), { num_workers = 1 }):iter() do error "no batch" end
    end)
    assert.is_false(ok)
    assert.truthy(message:find("cannot read " .. bad .. "/a/truncated.jpg: the picture is truncated", 1, true), message)
  end)

  it("check their arguments in torchvision's words", function()
    fails("Unknown value 'none' for argument split. Valid values are {'train', 'test', 'extra'}.", datasets.SVHN, golden, "none")
    fails("Unknown value 'x' for argument image_set. Valid values are {'train', 'trainval', 'val'}.", datasets.VOCDetection, golden,
      { image_set = "x" })
    fails("Unknown value '2006' for argument year", datasets.VOCSegmentation, golden, "2006")
    fails("Unknown value 'test' for argument split if mode is 'coarse'. Valid values are {'train', 'train_extra', 'val'}.",
      datasets.Cityscapes, golden, "test", "coarse")
    fails("Value for argument folds should be in the range [0, 10), but got 10.", datasets.STL10, golden, { folds = 10 })
    fails('Target type "x" is not recognized.', datasets.CelebA, golden, { target_type = "x" })
    fails("Expected type str for argument target_type, but got number (3).", datasets.Caltech101, golden, { target_type = { 3 } })
    fails("Unknown value 'x' for argument split", datasets.EMNIST, golden, "x")
    fails("Unknown value 'x' for argument what", datasets.QMNIST, golden, "x")
  end)

  it("say what is missing and where it should be", function()
    local empty = command.new_folder()
    for name, word in pairs { CIFAR10 = "cifar-10-python.tar.gz", CIFAR100 = "cifar-100-python", SVHN = "train_32x32.mat",
      STL10 = "stl10_binary", USPS = "usps.bz2", Caltech101 = "101_ObjectCategories", Caltech256 = "256_ObjectCategories",
      CelebA = "img_align_celeba.zip", Flowers102 = "102flowers.tgz", Food101 = "food-101", OxfordIIITPet = "images.tar.gz",
      VOCDetection = "VOCtrainval_11-May-2012.tar" } do
      local message = fails("Dataset not found or corrupted in " .. empty, datasets[name], empty)
      assert.truthy(message:find(word, 1, true), message)
      assert.truthy(message:find("download = true", 1, true))
    end
    fails("The archive ILSVRC2012_devkit_t12.tar.gz is not present in the root directory", datasets.ImageNet, empty)
    fails("Dataset not found or incomplete", datasets.Cityscapes, empty)
    fails("missing train-images-idx3-ubyte.gz", datasets.KMNIST, empty)
    fails("missing emnist-letters-test-images-idx3-ubyte.gz", datasets.EMNIST, empty, "letters", { train = false })
    fails("No such file", datasets.CocoDetection, empty, empty .. "/x.json")
    -- A file of another content than published.
    fails("Dataset not found or corrupted", datasets.CIFAR10, golden)
  end)
end)

describe("FakeData", function()
  it("has torchvision's pixels and leaves the generator alone", function()
    torch.manual_seed(5)
    local want = torch.rand(3)
    torch.manual_seed(5)
    local fake = datasets.FakeData(4, { 3, 2, 3 })
    local image, target = fake:getitem(2)
    assert.same({ 247, 15, 35, 233, 225, 29, 40, 50, 80, 134, 171, 190, 7, 32, 68, 244, 192, 196 }, image.data:flatten():tolist())
    assert.equal(6, target)
    assert.is_true(torch.equal(want, torch.rand(3)))
    assert.equal(image.data:sum():item(), (datasets.FakeData(4, { 3, 2, 3 }, { random_offset = 1 }):getitem(1)).data:sum():item())
    assert.equal("Dataset FakeData\n    Number of datapoints: 1000", tostring(datasets.FakeData()))
    fails("image_size must be {channels, height, width}", datasets.FakeData, 3, { 5, 2, 2 })
  end)
end)

describe("letters and digits", function()
  local folder
  local function idx(code, sizes, bytes)
    local parts = { ("\0\0"):rep(1), string.char(code, #sizes) }
    for _, size in ipairs(sizes) do parts[#parts + 1] = (">I4"):pack(size) end
    return table.concat(parts) .. bytes
  end
  setup(function()
    folder = command.new_folder()
    local raw = folder .. "/EMNIST/raw/"
    assert(core.make_folders(raw))
    command.write(raw .. "emnist-letters-train-images-idx3-ubyte", idx(8, { 2, 2, 2 }, "abcdefgh"))
    command.write(raw .. "emnist-letters-train-labels-idx1-ubyte", idx(8, { 2 }, "\1\26"))
    raw = folder .. "/QMNIST/raw/"
    assert(core.make_folders(raw))
    command.write(raw .. "qmnist-train-images-idx3-ubyte", idx(8, { 2, 2, 2 }, "abcdefgh"))
    command.write(raw .. "qmnist-train-labels-idx2-int", idx(12, { 2, 3 }, (">i4i4i4i4i4i4"):pack(7, -1, 300, 2, 70000, 0)))
    command.write(raw .. "xnist-images-idx3-ubyte", idx(8, { 1, 1, 2 }, "ab"))
    command.write(raw .. "xnist-labels-idx2-int", idx(12, { 1, 2 }, (">i4i4"):pack(5, 6)))
    assert(os.execute("xz " .. raw .. "xnist-*"))
  end)
  teardown(command.clean)

  it("are EMNIST's", function()
    local ds = datasets.EMNIST(folder, "letters")
    assert.same({ "N/A", "a", "z" }, { ds.classes[1], ds.classes[2], ds.classes[27] })
    local image, label = ds:getitem(1)
    assert.equal(26, label)
    assert.same({ { 101, 102 }, { 103, 104 } }, image:numpy():tolist())
    local counts = { byclass = 62, bymerge = 47, balanced = 47, letters = 27, digits = 10, mnist = 10 }
    for split, count in pairs(counts) do assert.equal(count, #datasets.EMNIST.classes_split_dict[split]) end
    assert.equal("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt", table.concat(datasets.EMNIST.classes_split_dict.balanced))
  end)

  it("are QMNIST's", function()
    local ds = datasets.QMNIST(folder)
    assert.equal(7, (select(2, ds:getitem(0))))
    assert.same({ { 7, -1, 300 }, { 2, 70000, 0 } }, ds.targets:tolist())
    assert.same({ 2, 70000, 0 }, (select(2, datasets.QMNIST(folder, { compat = false }):getitem(1))):tolist())
    assert.equal("Dataset QMNIST\n    Number of datapoints: 1\n    Root location: " .. folder .. "\n    Split: nist",
      tostring(datasets.QMNIST(folder, "nist")))
  end)
end)

describe("CIFAR's binary format", function()
  it("is read where there is no other", function()
    local folder = command.new_folder()
    local function record(label, value) return string.char(label) .. string.char(value):rep(3072) end
    command.write(folder .. "/data_batch_2.bin", record(3, 9))
    command.write(folder .. "/data_batch_1.bin", record(1, 7) .. record(2, 8))
    command.write(folder .. "/batches.meta.txt", "a\nb\nc\nd\n\n")
    assert(os.execute("xz " .. folder .. "/data_batch_2.bin"))
    local ds = datasets.CIFAR10(folder)
    assert.same({ 1, 2, 3 }, ds.targets)
    assert.same({ "a", "b", "c", "d" }, ds.classes)
    assert.same({ 9, 9, 9 }, ds:getitem(2):getpixel { 5, 5 })
    command.write(folder .. "/data_batch_3.bin", "short")
    fails("data_batch_3.bin is no batch of CIFAR10: 5 bytes are no whole number of records of 3073", datasets.CIFAR10, folder)
    command.write(folder .. "/data_batch_3.bin", record(4, 0))
    fails("record 3 has the label 4", datasets.CIFAR10, folder)
    command.clean()
  end)
end)

describe("COCO", function()
  it("gives boxes and sentences by picture", function()
    local folder = command.new_folder()
    for _, name in ipairs { "x.png", "y.png" } do Image.new("L", { 3, 2 }, 9):save(folder .. "/" .. name) end
    command.write(folder .. "/ann.json", [[{"images": [{"id": 9, "file_name": "y.png"}, {"id": 4, "file_name": "x.png"}],
      "annotations": [{"id": 1, "image_id": 9, "bbox": [1, 2, 3, 4], "caption": "one"}, {"id": 2, "image_id": 9, "caption": "two"}],
      "categories": [{"id": 3, "name": "cat"}]}]])
    local ds = datasets.CocoDetection(folder, folder .. "/ann.json")
    assert.same({ 4, 9 }, ds.ids)
    assert.equal("cat", ds.coco.cats[3].name)
    local image, target = ds:getitem(1)
    assert.equal("Image(mode=RGB, size=3x2)", tostring(image))
    assert.equal(3, target[1].bbox[3])
    assert.equal(2, #target)
    assert.equal(0, #(select(2, ds:getitem(0))))
    assert.same({ "one", "two" }, (select(2, datasets.CocoCaptions(folder, folder .. "/ann.json"):getitem(1))))
    command.write(folder .. "/ann.json", "{")
    fails("ann.json is no JSON file", datasets.CocoDetection, folder, folder .. "/ann.json")
    command.write(folder .. "/ann.json", "[]")
    fails("ann.json has no list of images", datasets.CocoDetection, folder, folder .. "/ann.json")
    command.clean()
  end)
end)

describe("MovingMNIST", function()
  it("gives films", function()
    local folder = command.new_folder()
    assert(core.make_folders(folder .. "/MovingMNIST"))
    local films = torch.arange(20 * 3 * 64 * 64):remainder(251):to(torch.uint8):reshape(20, 3, 64, 64)
    torch.numpy.save(folder .. "/MovingMNIST/mnist_test_seq.npy", films)
    local all = datasets.MovingMNIST(folder)
    assert.same({ 3, 20, 1, 64, 64 }, { all.data.shape:unpack() })
    assert.is_true(torch.equal(films[4][2], all[2][4][0]))
    assert.same({ 15, 1, 64, 64 }, { datasets.MovingMNIST(folder, "test", 5)[0].shape:unpack() })
    assert.same({ 5, 1, 64, 64 }, { datasets.MovingMNIST(folder, "train", 5)[0].shape:unpack() })
    fails("`split_ratio` should be `1 <= split_ratio <= 19`, but got 20 instead.", datasets.MovingMNIST, folder, "test", 20)
    command.clean()
  end)
end)

describe("downloads of data sets", function()
  local server, folder, mirror
  setup(function()
    server = start_server()
    folder = command.new_folder()
    mirror = "LAMPAD_MIRROR=" .. server.url .. " "
  end)
  teardown(function()
    server:close()
    command.clean()
  end)

  -- Runs Lua in a process with the mirror; the first lines replace the checksums of a class.
  local function run(code)
    local status, out, err = command.run({ "-e", code }, nil, mirror)
    assert.equal(0, status, err)
    return out
  end

  it("unpack what they got, once", function()
    local archive = server.folder .. "/www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    assert(core.make_folders(archive:match "^(.*)/"))
    assert(os.execute(("cd %s && tar czf %s cifar-10-batches-py"):format(golden, archive)))
    local md5 = core.file_digest(archive, "md5")
    local code = ([[
      local C, U = vision.datasets.CIFAR10, vision.datasets.utils
      local check = U.check_integrity
      U.check_integrity = function(path, md5) return check(path, path:find "%%.gz$" and md5 or nil) end
      C.tgz_md5 = "%s"
      print(#C(%q, {download = true, train = false}))
    ]]):format(md5, folder)
    assert.equal("3\n", run(code))
    local before = server:ask "/count"
    assert.equal("3\n", run(code))
    assert.equal(tonumber(before) + 1, tonumber(server:ask "/count"))
  end)

  it("try MNIST's hosts one after the other", function()
    local base = server.folder .. "/yann.lecun.com/exdb/mnist/" -- the second of the two
    assert(core.make_folders(base))
    local sums = {}
    local files = { ["train-images-idx3-ubyte"] = "\0\0\8\3\0\0\0\1\0\0\0\1\0\0\0\2ab", ["train-labels-idx1-ubyte"] = "\0\0\8\1\0\0\0\1\4",
      ["t10k-images-idx3-ubyte"] = "\0\0\8\3\0\0\0\1\0\0\0\1\0\0\0\2cd", ["t10k-labels-idx1-ubyte"] = "\0\0\8\1\0\0\0\1\5" }
    for name, bytes in pairs(files) do
      command.write(base .. name, bytes)
      assert(os.execute("gzip " .. base .. name))
      sums[#sums + 1] = ('["%s.gz"] = "%s"'):format(name, core.file_digest(base .. name .. ".gz", "md5"))
    end
    local out = run(([[
      local sums = {%s}
      for _, entry in ipairs(vision.datasets.MNIST.resources) do entry[2] = sums[entry[1] ] end
      local ds = vision.datasets.MNIST(%q, {download = true})
      print(#ds, (select(2, ds:getitem(0))))
    ]]):format(table.concat(sums, ", "), folder))
    assert.equal("1\t4\n", out)
    assert.is_true(utils.is_file(folder .. "/MNIST/raw/t10k-images-idx3-ubyte")) -- unpacked, as torchvision has it
  end)

  it("refuse a wrong checksum and say how to go on without a network", function()
    local path = server.folder .. "/ufldl.stanford.edu/housenumbers/train_32x32.mat"
    assert(core.make_folders(path:match "^(.*)/"))
    command.write(path, "nonsense")
    local out = run(("print(pcall(vision.datasets.SVHN, %q, {download = true}))"):format(folder))
    assert.truthy(out:find('expected "e26dedcc434d2e4c54c9b2d4a06d8373"', 1, true), out)
    os.remove(path)
    out = run(("print(pcall(vision.datasets.SVHN, %q, {download = true}))"):format(folder))
    assert.truthy(out:find("Without a network: get train_32x32.mat elsewhere and put it at " .. folder .. "/train_32x32.mat", 1, true), out)
  end)
end)

describe("datasets.utils", function()
  it("has torchvision's functions", function()
    local folder = command.new_folder()
    command.write(folder .. "/a.txt", "alpha")
    assert.equal("2c1743a391305fbf367df8e4f069f9f9", utils.calculate_md5(folder .. "/a.txt"))
    assert.is_true(utils.check_md5(folder .. "/a.txt", "2c1743a391305fbf367df8e4f069f9f9"))
    assert.is_false(utils.check_integrity(folder .. "/a.txt", "00"))
    assert.is_false(utils.check_integrity(folder .. "/b.txt"))
    assert(os.execute(("cd %s && mkdir d && cp a.txt d && zip -qr z.zip d && gzip -k a.txt && tar czf t.tgz d"):format(folder)))
    assert.same({ "d" }, utils.list_dir(folder))
    assert.same({ folder .. "/a.txt", folder .. "/a.txt.gz" }, utils.list_files(folder, { ".txt", ".gz" }, true))
    for _, name in ipairs { "z.zip", "t.tgz" } do
      utils.extract_archive(folder .. "/" .. name, folder .. "/" .. name .. "-out")
      assert.equal("alpha", command.read(folder .. "/" .. name .. "-out/d/a.txt"))
    end
    utils.extract_archive(folder .. "/a.txt.gz", folder .. "/one", true)
    assert.equal("alpha", command.read(folder .. "/one/a.txt"))
    assert.is_false(utils.is_file(folder .. "/a.txt.gz"))
    fails("has no suffixes that could be used", utils.extract_archive, folder .. "/plain")
    fails("Unknown compression or archive type: '.7z'", utils.extract_archive, folder .. "/x.7z")
    utils.remove_tree(folder .. "/z.zip-out")
    assert.is_nil(core.file_kind(folder .. "/z.zip-out"))
    command.clean()
  end)
end)

describe("a damaged file of a data set", function()
  it("gives an error that names it", function()
    local mat = require "lampad.vision.datasets.mat"
    local xml = require "lampad.vision.datasets.xml"
    local folder, seed = command.new_folder(), 9
    local function random(n)
      seed = (seed * 1103515245 + 12345) % (1 << 31)
      return (seed >> 8) % n
    end
    for _, name in ipairs { "train_32x32.mat", "test_32x32.mat", "flowers-102/setid.mat" } do
      local bytes = command.read(golden .. "/" .. name)
      for _ = 1, 60 do
        local changed = bytes
        if random(2) == 0 then changed = changed:sub(1, random(#changed)) end
        for _ = 1, random(4) do
          local at = random(math.min(#changed, 600) + 1)
          changed = changed:sub(1, at) .. string.char(random(256)) .. changed:sub(at + 2)
        end
        command.write(folder .. "/x.mat", changed)
        local ok, message = pcall(mat.load, folder .. "/x.mat", "test")
        assert.truthy(ok or tostring(message):find("x.mat", 1, true) or tostring(message):find("memory", 1, true), message)
      end
    end
    for text, wrong in pairs { ["<a><b></a>"] = "</a> ends nothing", ["<a>"] = "<a> is not closed", ["<a/><b/>"] = "two roots",
      ["<!DOCTYPE x><a/>"] = "document types are not read", [""] = "no element", ["<a <b>"] = "bad markup", ["<!-- x"] = "bad markup",
      [("<a>"):rep(200)] = "nested too deep" } do
      local root, message = xml.parse(text)
      assert.is_nil(root)
      assert.truthy(message:find(wrong, 1, true), message)
    end
    local root = xml.parse "<a x='1 &lt;' y=\"2\">t&amp;&#65;<b/><![CDATA[<>]]></a>"
    assert.same({ x = "1 <", y = "2" }, root.attributes)
    assert.equal("t&A", root.text)
    command.clean()
  end)
end)
