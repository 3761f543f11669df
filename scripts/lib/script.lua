-- What the training scripts share: options, data, the loop with its progress, checkpoints and exact resume.
--   local script = dofile((arg[0]:match "^.*/" or "./") .. "lib/script.lua")
local torch = require "lampad"
local core = require "lampad.core"

local script = { name = arg[0]:match "([^/]*)%.lua$" or arg[0] }

--- Ends the script with a message for its user.
function script.fail(format, ...)
  io.stderr:write(script.name, ": ", format:format(...), "\n")
  os.exit(2)
end

-- --- options ------------------------------------------------------------------------------------------
-- What every script takes. Each entry: name, default, what it is. The default's type is the option's; "" stands for none. Integers
-- are at least 1, numbers at least 0, unless the entry has another `least`.
local common = {
  { "seed", 0, "of all random numbers", least = -math.huge },
  { "threads", "", "of the processor; all by default", kind = "integer" },
  { "checkpoint", "", "saved after every round; with --resume training goes on from it", kind = "file" },
  { "resume", false, "go on from --checkpoint, with the very numbers of an unbroken run" },
  { "stop-after", "", "rounds; ends this run early, as an interruption would", kind = "integer" },
  { "quick", false, "seconds instead of minutes: less data, fewer rounds" },
  { "help", false, "this text" },
}

local readers = {
  integer = function(s) return math.tointeger(tonumber(s)) end,
  float = function(s) return tonumber(s) and tonumber(s) + 0.0 end,
  file = function(s) return s end,
}
local words = { integer = "an integer", float = "a number", file = "a name" }

local function kind_of(entry)
  if entry.kind then return entry.kind end
  if type(entry[2]) == "boolean" then return "flag" end
  return math.type(entry[2]) or "file"
end

-- The comment at the script's head and the options.
local function usage(entries)
  for line in io.lines(arg[0]) do
    if not line:find "^%-%-" then break end
    print((line:gsub("^%-%- ?", "")))
  end
  print "\noptions:"
  for _, entry in ipairs(entries) do
    local kind, default = kind_of(entry), entry[2]
    local left = "--" .. entry[1] .. (kind == "flag" and "" or kind == "integer" and " N" or kind == "float" and " X" or " NAME")
    local shown = kind ~= "flag" and default ~= "" and (" (%s)"):format(default) or ""
    print(("  %-22s%s%s"):format(left, entry[3], shown))
  end
end

--- The options of a script from the command line, by name. spec lists {name, default, what it is}; spec.quick has the values under
--- --quick; spec.file names the argument without dashes, kept as options.file.
function script.options(spec)
  local entries, by_name = {}, {}
  for _, list in ipairs { spec, common } do
    for _, entry in ipairs(list) do
      entries[#entries + 1] = entry
      by_name[entry[1]] = entry
    end
  end
  local given = {}
  local i = 1
  while i <= #arg do
    local word = arg[i]
    local name, value = word:match "^%-%-([%w-]+)=(.*)$"
    name = name or word:match "^%-%-([%w-]+)$"
    local entry = by_name[name]
    if not name and spec.file and given.file == nil and word:sub(1, 1) ~= "-" then
      given.file = word
    elseif not entry then
      script.fail("unknown option '%s'; --help shows the options", word)
    elseif kind_of(entry) == "flag" then
      given[name] = true
    else
      if value == nil then
        i = i + 1
        value = arg[i]
      end
      local kind = kind_of(entry)
      given[name] = value and readers[kind](value)
      local least = entry.least or kind == "integer" and 1 or kind == "float" and 0
      if given[name] == nil or least and given[name] < least then
        script.fail("--%s takes %s%s, got %s", name, words[kind], least and least > -math.huge and " from " .. least .. " on" or "",
          value and "'" .. value .. "'" or "nothing")
      end
    end
    i = i + 1
  end
  if given.help then
    usage(entries)
    os.exit(0)
  end
  local options = {}
  for _, entry in ipairs(entries) do
    local name = entry[1]
    options[name] = given[name]
    if options[name] == nil and given.quick and spec.quick then options[name] = spec.quick[name] end
    if options[name] == nil and entry[2] ~= "" then options[name] = entry[2] end
  end
  options.file = given.file
  if options.resume and not options.checkpoint then script.fail("--resume needs --checkpoint FILE") end
  if options.threads then torch.set_num_threads(options.threads) end
  torch.manual_seed(options.seed)
  return options
end

-- --- the loop -------------------------------------------------------------------------------------------
-- Options that may differ between a run and its continuation.
local free = { checkpoint = true, resume = true, threads = true, ["stop-after"] = true }

local function settings_of(options)
  local settings = {}
  for name, value in pairs(options) do
    if not free[name] and name ~= "help" then settings[name] = value end
  end
  return settings
end

local function resume(checkpoint, options)
  local ok, last = pcall(checkpoint.resume, checkpoint)
  if not ok then script.fail("%s", (tostring(last):gsub("^[^:]+:%d+: ", ""))) end
  if not last then script.fail("there is no file %s to go on from", options.checkpoint) end
  local now = settings_of(options)
  for _, settings in ipairs { last.settings, now } do
    for name in pairs(settings) do
      if last.settings[name] ~= now[name] then
        script.fail("%s was made with --%s %s, this run has %s", options.checkpoint, name, tostring(last.settings[name]), tostring(now[name]))
      end
    end
  end
  return last
end

-- "accuracy 0.9012, loss 0.2871".
local function describe(values)
  local names, parts = {}, {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = values[name]
    parts[#parts + 1] = ("%s %s"):format(name, math.type(value) == "float" and ("%.4f"):format(value) or tostring(value))
  end
  return table.concat(parts, ", ")
end

--- Runs step(round) for rounds 1 .. count; step returns values by name, which are printed. With --checkpoint all of `objects`
--- (whatever has a state) is saved after each round; --resume goes on after the last. loop.unit is the word for a round. Returns
--- the list of the values of all rounds. loop.done() may say, with a reason, that no more are needed.
function script.loop(options, objects, loop)
  local history, first = {}, 1
  local checkpoint = options.checkpoint and torch.training.ModelCheckpoint(options.checkpoint, objects)
  if options.resume then
    local last = resume(checkpoint, options)
    history, first = last.history, #last.history + 1
    print(("resumed from %s after %s %d"):format(options.checkpoint, loop.unit, #history))
  end
  if loop.done and first > 1 and loop.done() then return history end
  for round = first, loop.count do
    local start = core.now()
    history[round] = loop.step(round)
    print(("%s %d/%d: %s (%.2f s)"):format(loop.unit, round, loop.count, describe(history[round]), core.now() - start))
    io.stdout:flush()
    if checkpoint then checkpoint:step { history = history, settings = settings_of(options) } end
    local reason = loop.done and loop.done()
    if reason then
      print(("done after %s %d: %s"):format(loop.unit, round, reason))
      break
    end
    if options["stop-after"] and round - first + 1 >= options["stop-after"] and round < loop.count then
      print(("stopped after %s %d%s"):format(loop.unit, round, checkpoint and "; --resume goes on" or ""))
      os.exit(0)
    end
  end
  return history
end

--- The last line: the figure by which a run is judged.
function script.final(name, value)
  print(("%s: %.4f"):format(name, value))
end

-- --- data -----------------------------------------------------------------------------------------------
--- Adds the options of scripts that train on images to a list of options.
function script.with_images(spec)
  spec[#spec + 1] = { "data", "/usr/share/datasets/fashion-mnist", "folder of the four files" }
  spec[#spec + 1] = { "limit-train", spec.limit_train or 60000, "images to train on" }
  spec[#spec + 1] = { "limit-test", 10000, "images to test on" }
  spec.quick["limit-train"] = spec.quick["limit-train"] or 512
  spec.quick["limit-test"] = spec.quick["limit-test"] or 500
  return spec
end

local function load_images(options, train)
  local ok, set = pcall(torch.vision.datasets.FashionMNIST, options.data, { train = train })
  if not ok then script.fail("%s", (tostring(set):gsub("^[^:]+:%d+: ", ""))) end
  local count = math.min(options[train and "limit-train" or "limit-test"], #set)
  return set.data:narrow(0, 0, count):unsqueeze(1):to(torch.float32):div_(255), set.targets:narrow(0, 0, count)
end

--- Fashion-MNIST (or MNIST in --data): float32 images (N, 1, 28, 28) in [0, 1] and int64 labels, to train on and to test on.
function script.images(options)
  local train_x, train_y = load_images(options, true)
  local test_x, test_y = load_images(options, false)
  return train_x, train_y, test_x, test_y
end

--- Batches of tensors with the same number of rows, shuffled anew at each call, as data.DataLoader gives them.
function script.batches(batch_size, ...)
  local loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(...), { batch_size = batch_size, shuffle = true })
  return loader:iter()
end

--- Images (N, 1, H, W) in [0, 1] as letters by brightness, side by side as far as the terminal goes.
function script.show(images)
  local columns = math.max(1, ((core.terminal_width(1) or 90) + 2) // (images:size(3) + 2))
  local levels = (images * 10):clamp(0, 9):to(torch.int64):squeeze(1):tolist()
  for first = 1, #levels, columns do
    for row = 1, #levels[first], 2 do
      local line = {}
      for i = first, math.min(first + columns - 1, #levels) do
        local letters = {}
        for column, level in ipairs(levels[i][row]) do
          local both = (level + (levels[i][row + 1] or levels[i][row])[column]) // 2
          letters[column] = (" .:-=+*#%@"):sub(both + 1, both + 1)
        end
        line[#line + 1] = table.concat(letters)
      end
      print((table.concat(line, "  "):gsub(" +$", "")))
    end
  end
end

--- The part of images that net classifies right, in eval mode.
function script.accuracy(net, x, y)
  net:eval()
  local metric = torch.metrics.Accuracy("multiclass")
  torch.no_grad(function()
    for first = 0, #y - 1, 1000 do
      local count = math.min(1000, #y - first)
      metric:update(net(x:narrow(0, first, count)), y:narrow(0, first, count))
    end
  end)
  return metric:compute():item()
end

--- The bytes of a file, unpacked if it is gzipped.
function script.read(path)
  local bytes, message = core.read_gz(path, 1 << 31)
  if not bytes then script.fail("%s", message) end
  return bytes
end

-- Texts that every Debian has, from the package base-files.
local licenses = { "Apache-2.0", "Artistic", "GFDL-1.3", "GPL-2", "GPL-3", "LGPL-2.1", "LGPL-3", "MPL-1.1", "MPL-2.0" }

--- A text to learn: the given file; else what the command `bible` prints (Debian's package bible-kjv); without it the licences that
--- Debian installs.
function script.text(path)
  if path then return script.read(path) end
  local pipe = io.popen "bible gen1:1-rev22:21 2>/dev/null"
  local text = pipe and pipe:read "a" or ""
  if pipe then pipe:close() end
  if text ~= "" then return (text:gsub("\n +%d+ ", "\n")) end -- without the numbers of the verses
  local parts = {}
  for _, name in ipairs(licenses) do
    local file = io.open("/usr/share/common-licenses/" .. name, "rb")
    parts[#parts + 1] = file and file:read "a"
    if file then file:close() end
  end
  if #parts == 0 then script.fail "give a text file, or install Debian's package bible-kjv, whose text is the default" end
  print "the text is that of the licences in /usr/share/common-licenses; Debian's package bible-kjv brings a longer one"
  return table.concat(parts)
end

--- The text as int64 numbers of its bytes, and the bytes by number: those that occur, in order.
function script.encode(text)
  local bytes = torch.frombuffer(text, { dtype = torch.uint8 }):to(torch.int64)
  local alphabet = bytes:unique()
  local number = torch.zeros(256, { dtype = torch.int64 })
  number[alphabet] = torch.arange(#alphabet)
  local characters = {}
  for i, byte in ipairs(alphabet:tolist()) do characters[i - 1] = string.char(byte) end
  characters.n = #alphabet
  return number[bytes], characters
end

return script
