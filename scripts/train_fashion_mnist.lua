-- Trains a small CNN on Fashion-MNIST and tests it on the 10,000 test images.
--   lampad scripts/train_fashion_mnist.lua [options]
--     --epochs N        (5)     --batch-size N  (128)   --lr X        (0.1)
--     --seed N          (0)     --data FOLDER   (/usr/share/datasets/fashion-mnist)
--     --checkpoint FILE (none)  saved after every epoch; with --resume training goes on from it,
--                               with the very numbers an unbroken run would have had
--     --resume                  --threads N     (all)   --limit-train N (all)   --no-pictures
-- The last line is "test accuracy: 0.9...".
local torch = require "lampad"
local nn, F, optim = torch.nn, torch.nn.functional, torch.optim
local data, vision, tqdm = torch.utils.data, torch.vision, torch.utils.tqdm
local core = require "lampad.core"

-- --- options ----------------------------------------------------------------------------------------
local function positive_integer(s)
  local n = math.tointeger(tonumber(s))
  return n and n > 0 and n or nil, "a positive integer"
end

local option_kinds = {
  ["epochs"] = positive_integer, ["batch-size"] = positive_integer, ["threads"] = positive_integer,
  ["limit-train"] = positive_integer,
  ["lr"] = function(s)
    local x = tonumber(s)
    return x and x > 0 and x or nil, "a positive number"
  end,
  ["seed"] = function(s) return math.tointeger(tonumber(s)), "an integer" end,
  ["data"] = function(s) return s, "a folder" end,
  ["checkpoint"] = function(s) return s, "a file" end,
}
local flags = { ["resume"] = true, ["no-pictures"] = true, ["help"] = true }

local function fail(format, ...)
  io.stderr:write("train_fashion_mnist: ", format:format(...), "\n")
  os.exit(2)
end

local function usage()
  for line in io.lines(arg[0]) do
    if not line:find "^%-%-" then break end
    print((line:gsub("^%-%- ?", "")))
  end
end

local function parse(arguments)
  local options = { epochs = 5, ["batch-size"] = 128, lr = 0.1, seed = 0 }
  local i = 1
  while i <= #arguments do
    local name, value = arguments[i]:match("^%-%-([%w-]+)=?(.*)$")
    if flags[name] then
      options[name] = true
    elseif option_kinds[name] then
      if value == "" then
        i = i + 1
        value = arguments[i]
      end
      local parsed, expected = option_kinds[name](value)
      if parsed == nil then
        fail("--%s takes %s, got %s", name, expected, value and "'" .. value .. "'" or "nothing")
      end
      options[name] = parsed
    else
      fail("unknown option '%s'; --help shows the options", arguments[i])
    end
    i = i + 1
  end
  if options.resume and not options.checkpoint then fail("--resume needs --checkpoint FILE") end
  return options
end

-- --- the net ------------------------------------------------------------------------------------------
local Net = nn.Module:extend "Net"

function Net:init()
  self.conv1 = nn.Conv2d(1, 16, 3, { padding = 1, bias = false })
  self.bn1 = nn.BatchNorm2d(16)
  self.conv2 = nn.Conv2d(16, 32, 3, { padding = 1, bias = false })
  self.bn2 = nn.BatchNorm2d(32)
  self.drop = nn.Dropout(0.25)
  self.fc1 = nn.Linear(32 * 7 * 7, 128)
  self.fc2 = nn.Linear(128, 10)
end

function Net:forward(x)
  x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
  x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
  x = self.drop(x:flatten(1))
  return self.fc2(F.relu(self.fc1(x)))
end

-- --- training -------------------------------------------------------------------------------------------
local function train_epoch(net, loader, optimizer, scheduler, title)
  net:train()
  local total, seen = 0, 0
  local start = core.now()
  local bar <close> = tqdm(loader, { desc = title })
  for images, labels in bar do
    local loss = F.cross_entropy(net(images), labels)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    scheduler:step()
    local value = loss:item()
    total, seen = total + value * #labels, seen + #labels
    bar:set_postfix { loss = value }
  end
  return total / seen, core.now() - start
end

-- Rows: true class, columns: predicted class.
local function test(net, loader, class_count)
  net:eval()
  local confusion = {}
  for i = 1, class_count * class_count do confusion[i] = 0 end
  local correct, count = 0, 0
  torch.no_grad(function()
    for images, labels in loader:iter() do
      local predicted = net(images):argmax(1)
      correct, count = correct + predicted:eq(labels):sum():item(), count + #labels
      local truth, guess = labels:tolist(), predicted:tolist()
      for i = 1, #truth do
        local cell = truth[i] * class_count + guess[i] + 1
        confusion[cell] = confusion[cell] + 1
      end
    end
  end)
  return correct / count, confusion
end

local function print_confusion(confusion, classes)
  print "confusion matrix (rows: true class, columns: predicted)"
  local header = (" "):rep(14)
  for column = 1, #classes do header = header .. ("%5d"):format(column - 1) end
  print(header)
  for row, name in ipairs(classes) do
    local line = ("%d %-12s"):format(row - 1, name)
    for column = 1, #classes do line = line .. ("%5d"):format(confusion[(row - 1) * #classes + column]) end
    print(line)
  end
end

-- --- pictures in the terminal -----------------------------------------------------------------------------
local function is_utf8()
  local locale = os.getenv "LC_ALL"
  if not locale or locale == "" then locale = os.getenv "LC_CTYPE" end
  if not locale or locale == "" then locale = os.getenv "LANG" end
  return locale ~= nil and locale:lower():gsub("-", ""):find("utf8", 1, true) ~= nil
end

-- The lines of a picture, two rows of pixels a line: half blocks in 24-bit grey on a colour terminal, half
-- blocks by brightness on UTF-8, letters by brightness elsewhere.
local function picture(image, utf8_output, colour)
  local pixels, lines = image:tolist(), {}
  for row = 1, #pixels - 1, 2 do
    local line = {}
    for column = 1, #pixels[row] do
      local top, bottom = pixels[row][column], pixels[row + 1][column]
      if colour then
        line[column] = ("\27[38;2;%d;%d;%dm\27[48;2;%d;%d;%dm▀"):format(top, top, top, bottom, bottom, bottom)
      elseif utf8_output then
        local upper, lower = top > 100, bottom > 100
        line[column] = upper and lower and "█" or upper and "▀" or lower and "▄" or " "
      else
        local level = math.min(9, (top + bottom) // 2 * 10 // 256)
        line[column] = (" .:-=+*#%@"):sub(level + 1, level + 1)
      end
    end
    lines[#lines + 1] = table.concat(line) .. (colour and "\27[0m" or "")
  end
  return lines, #pixels[1]
end

local function show_pictures(net, dataset, transform, indices)
  local utf8_output = is_utf8()
  local colour = utf8_output and core.isatty(1) and os.getenv "NO_COLOR" == nil
  local columns = math.max(1, math.min(#indices, ((core.terminal_width(1) or 90) + 2) // 30))
  net:eval()
  for first = 1, #indices, columns do
    local rows, titles, truths = {}, {}, {}
    for i = first, math.min(first + columns - 1, #indices) do
      local image, label = dataset.data[indices[i]], dataset.targets[indices[i]]:item()
      local guess
      torch.no_grad(function() guess = net(transform(image):unsqueeze(0)):argmax(1):item() end)
      local lines, width = picture(image, utf8_output, colour)
      for r, line in ipairs(lines) do rows[r] = (rows[r] and rows[r] .. "  " or "") .. line end
      local mark = guess == label and "" or (utf8_output and " ✗" or " (wrong)")
      local text = dataset.classes[guess + 1] .. mark
      titles[#titles + 1] = text .. (" "):rep(width - (utf8.len(text) or #text))
      truths[#truths + 1] = ("%-" .. width .. "s"):format("true: " .. dataset.classes[label + 1])
    end
    print(table.concat(rows, "\n"))
    print(table.concat(titles, "  "))
    print(table.concat(truths, "  ") .. "\n")
  end
end

-- --- main -------------------------------------------------------------------------------------------------
local options = parse(arg)
if options.help then
  usage()
  os.exit(0)
end
if options.threads then torch.set_num_threads(options.threads) end
torch.manual_seed(options.seed)

local transforms = vision.transforms
local transform = transforms.Compose { transforms.ToTensor(), transforms.Normalize(0.2860, 0.3530) }
local function load_data(train)
  local ok, dataset = pcall(vision.datasets.FashionMNIST, options.data, { train = train, transform = transform })
  if not ok then fail("%s", (tostring(dataset):gsub("^[^:]+:%d+: ", ""))) end
  return dataset
end
local train_set, test_set = load_data(true), load_data(false)
local train_data = train_set
if options["limit-train"] and options["limit-train"] < #train_set then
  train_data = data.Subset(train_set, torch.arange(options["limit-train"]))
end
local train_loader = data.DataLoader(train_data, { batch_size = options["batch-size"], shuffle = true })
local test_loader = data.DataLoader(test_set, { batch_size = 1000 })

local net = Net()
local optimizer = optim.SGD(net:parameters(), { lr = options.lr, momentum = 0.9, weight_decay = 5e-4 })
-- One cosine over all batches: the rate reaches 0 with the last one.
local scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * #train_loader)

local first_epoch = 1
if options.resume then
  local ok, saved = pcall(torch.load, options.checkpoint)
  if not ok then fail("%s", (tostring(saved):gsub("^[^:]+:%d+: ", ""))) end
  if saved.epochs ~= options.epochs or saved.batch_size ~= options["batch-size"] then
    fail("%s was made with --epochs %d --batch-size %d; the schedule depends on them", options.checkpoint,
      saved.epochs, saved.batch_size)
  end
  net:load_state_dict(saved.net)
  optimizer:load_state_dict(saved.optimizer)
  scheduler:load_state_dict(saved.scheduler)
  torch.set_rng_state(saved.rng)
  first_epoch = saved.epoch + 1
  print(("resumed from %s after epoch %d"):format(options.checkpoint, saved.epoch))
end

for epoch = first_epoch, options.epochs do
  local loss, seconds = train_epoch(net, train_loader, optimizer, scheduler, "epoch " .. epoch)
  print(("epoch %d: %.2f s, loss %.4f"):format(epoch, seconds, loss))
  if options.checkpoint then
    torch.save({
      epoch = epoch, epochs = options.epochs, batch_size = options["batch-size"], net = net:state_dict(),
      optimizer = optimizer:state_dict(), scheduler = scheduler:state_dict(), rng = torch.get_rng_state(),
    }, options.checkpoint)
  end
end

local accuracy, confusion = test(net, test_loader, #test_set.classes)
if not options["no-pictures"] then show_pictures(net, test_set, transform, { 0, 1, 2, 12, 17, 23 }) end
print_confusion(confusion, test_set.classes)
print(("peak memory: %.0f MiB"):format(core.peak_memory() / 2 ^ 20))
print(("test accuracy: %.4f"):format(accuracy))
