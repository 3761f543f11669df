-- Data sets that are no pictures: CSV files, mapped tensors, LMDB, HDF5. tests/golden/stores is written by
-- scripts/gen/golden_stores.py.
local torch = require "lampad"
local core = require "lampad.core"
local data = torch.utils.data
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local stores = here .. "/../golden/stores/"
local command = dofile(here .. "/command.lua")

local function fails(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, pattern)
  assert.truthy(tostring(message):find(pattern, 1, true), message)
  assert.truthy(message:find("tables_spec.lua:", 1, true), message)
end

describe("CSVDataset", function()
  local folder
  setup(function() folder = command.new_folder() end)
  teardown(command.clean)
  local function csv(text, ...)
    command.write(folder .. "/t.csv", text)
    return data.CSVDataset(folder .. "/t.csv", ...)
  end

  it("reads features and labels", function()
    local ds = csv("a,b,label\n1,2.5,0\n3,,1\r\n5,x,2\n", "label")
    assert.same({ "a", "b", "label" }, ds.names)
    assert.same({ "a", "b" }, ds.columns)
    assert.equal(3, #ds)
    assert.same({ 0, 1, 2 }, ds.targets:tolist())
    assert.equal(torch.int64, ds.targets.dtype)
    assert.equal(torch.float32, ds.data.dtype)
    assert.same({ b = { "", "2.5", "x" } }, ds.categories) -- a column with a text is one of texts
    local features, label = ds:getitem(2)
    assert.same({ 5, 2 }, features:tolist())
    assert.equal(2, label:item())
    local loader = data.DataLoader(ds, { batch_size = 3 })
    local batch, labels = loader:iter()()
    assert.same({ 3, 2 }, { batch.shape:unpack() })
    assert.same({ 0, 1, 2 }, labels:tolist())
  end)

  it("knows missing values, texts, quotes and other delimiters", function()
    local ds = csv('x,name\n1,"b, ""c"""\nNA,a\n?,"two\nlines"\n')
    assert.same({ 'a', 'b, "c"', "two\nlines" }, ds.categories.name)
    local first = ds[0]:tolist()
    assert.same({ 1, 1 }, first)
    assert.is_true(ds.data["1:, 0"]:isnan():all():item())
    assert.is_nil((select(2, ds:getitem(0))))
    assert.same({ { 1, 2 }, { 3, 4 } }, csv("1;2\n3;4\n", { delimiter = ";" }).data:tolist())
    assert.same({ { 1, 2 }, { 3, 4 } }, csv("a b\n1   2\n 3 4\n", { delimiter = " " }).data:tolist())
    local typed = csv("# note\n1,2,0.5\n3,4,1\n", -1, { skip_rows = 1, columns = { 1 }, dtype = torch.float64 })
    assert.same({ { 2 }, { 4 } }, typed.data:tolist())
    assert.equal(torch.float64, typed.data.dtype)
    assert.equal(torch.float32, typed.targets.dtype)
    assert.same({ "column_0", "column_1", "column_2" }, typed.names)
    assert.same({ 1, 3 }, csv("\xEF\xBB\xBF1,2\n3,4", { header = false, columns = { 0 } }).data:flatten():tolist())
    local changed = csv("1,2\n", 1, { transform = function(x) return x * 10 end, target_transform = function(y) return y:item() end })
    assert.same({ 10, 2 }, { (changed:getitem(0)):item(), (select(2, changed:getitem(0))) })
  end)

  it("reads packed files", function()
    command.write(folder .. "/p.csv", "1,2\n3,4\n")
    assert(os.execute(("cd %s && gzip -k p.csv && xz -k p.csv"):format(folder)))
    for _, ending in ipairs { "", ".gz", ".xz" } do
      assert.same({ { 1, 2 }, { 3, 4 } }, data.CSVDataset(folder .. "/p.csv" .. ending).data:tolist())
    end
  end)

  it("says what is wrong, and where", function()
    fails("t.csv: row 3 has 3 fields, expected 2", csv, "a,b\n1,2\n1,2,3\n")
    fails("t.csv has no rows", csv, "\n\n")
    fails("there is no column 'c'; the columns are a, b", csv, "a,b\n1,2\n", "c")
    fails("column 2 is out of range for 2 columns", csv, "a,b\n1,2\n", 2)
    fails("row 2: a quote is not closed", csv, 'a\n"x\n')
    fails("row 2: text follows a quoted field", csv, 'a\n"x"y\n')
    fails("delimiter must be one character", csv, "a\n", { delimiter = "" })
    fails("No such file", data.CSVDataset, "/nowhere.csv")
    fails("index 1 is out of range", function() csv("1,2\n"):getitem(1) end)
  end)
end)

describe("MappedDataset", function()
  it("gives the rows of tensors in files", function()
    local folder = command.new_folder()
    local x, y = torch.arange(12):float():reshape(4, 3), torch.arange(4)
    torch.numpy.save(folder .. "/x.npy", x)
    torch.save(y, folder .. "/y.pt")
    torch.save({ images = x, labels = y, note = "text" }, folder .. "/both.pt")
    torch.safetensors.save_file({ images = x, labels = y }, folder .. "/both.safetensors")
    for _, ds in ipairs { data.MappedDataset(folder .. "/x.npy", folder .. "/y.pt"),
      data.MappedDataset(folder .. "/both.pt", { names = { "images", "labels" } }),
      data.MappedDataset(folder .. "/both.safetensors", { names = { "images", "labels" } }) } do
      assert.equal(4, #ds)
      local row, label = ds:getitem(2)
      assert.same({ 6, 7, 8 }, row:tolist())
      assert.equal(2, label:item())
      local batch = data.DataLoader(ds, { batch_size = 4 }):iter()()
      assert.is_true(torch.equal(x, batch))
    end
    fails("holds several tensors", data.MappedDataset, folder .. "/both.pt")
    fails("has no tensor 'note'", data.MappedDataset, folder .. "/both.pt", { names = { "note" } })
    fails("expected at least one path", data.MappedDataset)
    fails("expected paths", data.MappedDataset, 3)
    command.clean()
  end)
end)

local function installed(open, path)
  local ok, message = pcall(open, path)
  if ok or not tostring(message):find("is not installed", 1, true) then return true end
  print("skipped: " .. message)
  return false
end

if installed(core.lmdb_open, stores .. "single.lmdb") then
  describe("LMDBDataset", function()
    it("gives keys and values", function()
      -- A copy: reading leaves a lock file.
      local folder = command.new_folder()
      assert(os.execute("cp -r " .. stores .. "pairs " .. stores .. "single.lmdb " .. folder))
      local ds = data.LMDBDataset(folder .. "/pairs")
      assert.same({ "key-1", "key-2", "key-3", "zero\0byte", "\xff" }, ds.keys)
      local value, key = ds:getitem(1)
      assert.same({ 20, 21 }, value:tolist())
      assert.equal("key-2", key)
      assert.equal(0, ds:get "zero\0byte":numel())
      local sizes = data.LMDBDataset(folder .. "/pairs", function(bytes) return #bytes end)
      assert.same({ 1, 2, 3, 0, 4 }, data.DataLoader(sizes, { batch_size = 5, num_workers = 2 }):iter()():tolist())
      assert.is_nil(ds:get "none")
      local decoded = data.LMDBDataset(folder .. "/pairs", function(bytes, name) return name .. #bytes end, { keys = { "key-3" } })
      assert.equal("key-33", decoded[0])
      assert.equal(1, #decoded)
      assert.equal("alpha", core.tensor_to_bytes((data.LMDBDataset(folder .. "/single.lmdb"):getitem(0))))
      fails("cannot open " .. folder .. "/data.mdb", data.LMDBDataset, folder)
      fails("No such file", data.LMDBDataset, "/nowhere")
      command.write(folder .. "/bad.lmdb", ("x"):rep(8192))
      fails("bad.lmdb", data.LMDBDataset, folder .. "/bad.lmdb")
      fails("has no key 'q'", function() data.LMDBDataset(folder .. "/pairs", { keys = { "q" } }):getitem(0) end)
      os.remove(stores .. "single.lmdb-lock")
      command.clean()
    end)
  end)
end

if installed(core.hdf5_open, stores .. "arrays.h5") then
  describe("HDF5Dataset", function()
    local path = stores .. "arrays.h5"
    it("gives rows of arrays", function()
      local H = data.HDF5Dataset
      local ds = H(path, { "/group/images", "labels" })
      assert.equal(4, #ds)
      local image, label = ds:getitem(2)
      assert.same({ { 12, 13, 14 }, { 15, 16, 17 } }, image:tolist())
      assert.equal(7, label:item())
      assert.equal(torch.int32, label.dtype)
      for workers = 0, 2 do
        local batch, labels = data.DataLoader(ds, { batch_size = 4, num_workers = workers }):iter()()
        assert.is_true(torch.equal(torch.arange(24):float():reshape(4, 2, 3), batch))
        assert.same({ 5, 6, 7, 8 }, labels:tolist())
      end
      assert.same({ 8, 5 }, (select(2, ds:getbatch(torch.tensor { 3, 0 }))):tolist())
      assert.same({ true, false, true, true }, H.load(path, "/group/deep/flags"):tolist())
      assert.same({ 0, 1, 2, 3 }, H.load(path, "bytes"):tolist())
      assert.same({ 0.5, 1.5, 2.5, 3.5 }, H.load(path, "half"):tolist())
      assert.same({ 0, 1, 2, 3 }, H.load(path, "big_endian"):tolist())
      assert.equal(torch.float64, H.load(path, "doubles").dtype)
      assert.equal(42, H.load(path, "scalar"):item())
      local found = {}
      for _, name in ipairs(H.list(path)) do found[name] = true end
      assert.is_true(found["/group/images"] and found["/labels"] and found["/group/deep/flags"])
      assert.is_nil(found["/texts"])
    end)

    it("says what is wrong", function()
      local H = data.HDF5Dataset
      fails("has no array 'none'", H, path, "none")
      fails("'scalar' is a single number", H, path, "scalar")
      fails("'doubles' has 1 rows, 'labels' has 4", H, path, { "labels", "doubles" })
      fails("the values of 'texts' are no numbers", H, path, "texts")
      fails("No such file", H, "/nowhere.h5")
      fails("is no HDF5 file", H, here .. "/tables_spec.lua")
      local bytes, seed, folder = command.read(path), 4, command.new_folder()
      local function random(n)
        seed = (seed * 1103515245 + 12345) % (1 << 31)
        return (seed >> 8) % n
      end
      for _ = 1, 40 do
        local changed = bytes:sub(1, random(2) == 0 and random(#bytes) or #bytes)
        local at = random(#changed + 1)
        changed = changed:sub(1, at) .. string.char(random(256)) .. changed:sub(at + 2)
        command.write(folder .. "/x" .. at .. ".h5", changed)
        pcall(function() return #H(folder .. "/x" .. at .. ".h5", "labels") end)
      end
      command.clean()
    end)
  end)
end
