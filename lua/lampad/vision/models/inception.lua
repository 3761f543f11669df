-- Inception v3 (Szegedy et al. 2016).
local args = require "lampad.args"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"

local torch, F = zoo.torch, nn.functional
local Module = nn.Module
local family = {}

-- --- convolution, normalisation, ReLU; GoogLeNet has it too -------------------------------------------
local BasicConv2d = Module:extend "BasicConv2d"
family.BasicConv2d = BasicConv2d

--- BasicConv2d(in_channels, out_channels, {kernel_size = 3, ...}): options of nn.Conv2d; no bias.
function BasicConv2d:init(in_channels, out_channels, options)
  local conv = { bias = false }
  for key, value in pairs(options or {}) do conv[key] = value end
  self.conv = nn.Conv2d(in_channels, out_channels, conv)
  self.bn = nn.BatchNorm2d(out_channels, { eps = 0.001 })
end

function BasicConv2d:forward(x) return F.relu(self.bn(self.conv(x)), true) end

--- Images normalised as torchvision's -> as the authors' networks want them: (x / 0.5 - 1).
function family._transform_input(x)
  local mean, std, channels = { 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }, {}
  for c = 1, 3 do channels[c] = x:narrow(1, c - 1, 1) * (std[c] / 0.5) + (mean[c] - 0.5) / 0.5 end
  return torch.cat(channels, 1)
end

-- --- the blocks --------------------------------------------------------------------------------------
-- A block is branches side by side. A branch is a list of steps: {name, channels, kernel, stride = 2}; a pooling, "max" or
-- "average"; or two such steps that both take what came before, as {split = {step, step}}. At stride 1 the size stays.
local function padding_of(step)
  if step.stride then return 0 end
  local kernel = step[3]
  if type(kernel) == "number" then return kernel // 2 end
  return { kernel[1] // 2, kernel[2] // 2 }
end

local function add_steps(self, conv_block, steps, from)
  for _, step in ipairs(steps) do
    if type(step) == "table" then
      if step.split then
        local total = 0
        for _, part in ipairs(step.split) do total = total + add_steps(self, conv_block, { part }, from) end
        from = total
      else
        self[step[1]] = conv_block(from, step[2], { kernel_size = step[3], stride = step.stride or 1, padding = padding_of(step) })
        from = step[2]
      end
    end
  end
  return from
end

local function run_steps(self, steps, x)
  for _, step in ipairs(steps) do
    if step == "average" then
      x = F.avg_pool2d(x, 3, 1, 1)
    elseif step == "max" then
      x = F.max_pool2d(x, 3, 2)
    elseif step.split then
      local parts = {}
      for i, part in ipairs(step.split) do parts[i] = run_steps(self, { part }, x) end
      x = torch.cat(parts, 1)
    else
      x = self[step[1]](x)
    end
  end
  return x
end

-- block(name, argument, describe): the class; describe(value) gives the branches for the value of `argument`, if it has one.
local function block(name, argument, describe)
  local Block = Module:extend(name)
  local spec = args(("%s(int in_channels%s, any conv_block=nil)"):format(name, argument and ", int " .. argument or ""))

  function Block:init(...)
    local o = spec:collect(...)
    local branches = describe(argument and o[argument])
    for _, steps in ipairs(branches) do add_steps(self, o.conv_block or BasicConv2d, steps, o.in_channels) end
    self:_set { _branches = branches }
  end

  function Block:_forward(x)
    local results = {}
    for i, steps in ipairs(self._branches) do results[i] = run_steps(self, steps, x) end
    return results
  end

  function Block:forward(x) return torch.cat(self:_forward(x), 1) end
  family[name] = Block
end

-- 35 x 35.
block("InceptionA", "pool_features", function(pool_features)
  return {
    { { "branch1x1", 64, 1 } },
    { { "branch5x5_1", 48, 1 }, { "branch5x5_2", 64, 5 } },
    { { "branch3x3dbl_1", 64, 1 }, { "branch3x3dbl_2", 96, 3 }, { "branch3x3dbl_3", 96, 3 } },
    { "average", { "branch_pool", pool_features, 1 } },
  }
end)
-- 35 x 35 to 17 x 17.
block("InceptionB", nil, function()
  return {
    { { "branch3x3", 384, 3, stride = 2 } },
    { { "branch3x3dbl_1", 64, 1 }, { "branch3x3dbl_2", 96, 3 }, { "branch3x3dbl_3", 96, 3, stride = 2 } },
    { "max" },
  }
end)
-- 17 x 17.
block("InceptionC", "channels_7x7", function(c)
  return {
    { { "branch1x1", 192, 1 } },
    { { "branch7x7_1", c, 1 }, { "branch7x7_2", c, { 1, 7 } }, { "branch7x7_3", 192, { 7, 1 } } },
    { { "branch7x7dbl_1", c, 1 }, { "branch7x7dbl_2", c, { 7, 1 } }, { "branch7x7dbl_3", c, { 1, 7 } },
      { "branch7x7dbl_4", c, { 7, 1 } }, { "branch7x7dbl_5", 192, { 1, 7 } } },
    { "average", { "branch_pool", 192, 1 } },
  }
end)
-- 17 x 17 to 8 x 8.
block("InceptionD", nil, function()
  return {
    { { "branch3x3_1", 192, 1 }, { "branch3x3_2", 320, 3, stride = 2 } },
    { { "branch7x7x3_1", 192, 1 }, { "branch7x7x3_2", 192, { 1, 7 } }, { "branch7x7x3_3", 192, { 7, 1 } },
      { "branch7x7x3_4", 192, 3, stride = 2 } },
    { "max" },
  }
end)
-- 8 x 8.
block("InceptionE", nil, function()
  return {
    { { "branch1x1", 320, 1 } },
    { { "branch3x3_1", 384, 1 }, { split = { { "branch3x3_2a", 384, { 1, 3 } }, { "branch3x3_2b", 384, { 3, 1 } } } } },
    { { "branch3x3dbl_1", 448, 1 }, { "branch3x3dbl_2", 384, 3 },
      { split = { { "branch3x3dbl_3a", 384, { 1, 3 } }, { "branch3x3dbl_3b", 384, { 3, 1 } } } } },
    { "average", { "branch_pool", 192, 1 } },
  }
end)

local InceptionAux = Module:extend "InceptionAux"
family.InceptionAux = InceptionAux
local aux_spec = args "InceptionAux(int in_channels, int num_classes, any conv_block=nil)"

--- The second classifier, for training. Input (N, in_channels, 17, 17).
function InceptionAux:init(...)
  local from, num_classes, conv_block = aux_spec(...)
  conv_block = conv_block or BasicConv2d
  self.conv0 = conv_block(from, 128, { kernel_size = 1 })
  self.conv1 = conv_block(128, 768, { kernel_size = 5 })
  self.conv1:_set { stddev = 0.01 }
  self.fc = nn.Linear(768, num_classes)
  self.fc:_set { stddev = 0.001 }
end

function InceptionAux:forward(x)
  x = self.conv1(self.conv0(F.avg_pool2d(x, 5, 3)))
  return self.fc(F.adaptive_avg_pool2d(x, { 1, 1 }):flatten(1))
end

-- --- the network -----------------------------------------------------------------------------------
--- What Inception3 gives in training: a list {logits, aux_logits} with those names.
local InceptionOutputs = zoo.named_results("InceptionOutputs", { "logits", "aux_logits" })
family.InceptionOutputs, family._InceptionOutputs = InceptionOutputs, InceptionOutputs

local Inception3 = Module:extend "Inception3"
family.Inception3 = Inception3
local spec = args [[Inception3(int num_classes=1000, bool aux_logits=true, bool transform_input=false,
  any inception_blocks=nil, bool init_weights=true, float dropout=0.5)]]

-- The convolutions and poolings before the blocks, then the blocks: name, number in inception_blocks, arguments.
local stem = {
  { "Conv2d_1a_3x3", 3, 32, { kernel_size = 3, stride = 2 } }, { "Conv2d_2a_3x3", 32, 32, { kernel_size = 3 } },
  { "Conv2d_2b_3x3", 32, 64, { kernel_size = 3, padding = 1 } }, { "maxpool1" },
  { "Conv2d_3b_1x1", 64, 80, { kernel_size = 1 } }, { "Conv2d_4a_3x3", 80, 192, { kernel_size = 3 } }, { "maxpool2" },
}
local mixed = {
  { "Mixed_5b", 2, 192, 32 }, { "Mixed_5c", 2, 256, 64 }, { "Mixed_5d", 2, 288, 64 }, { "Mixed_6a", 3, 288 },
  { "Mixed_6b", 4, 768, 128 }, { "Mixed_6c", 4, 768, 160 }, { "Mixed_6d", 4, 768, 160 }, { "Mixed_6e", 4, 768, 192 },
  { "AuxLogits" },
  { "Mixed_7a", 5, 768 }, { "Mixed_7b", 6, 1280 }, { "Mixed_7c", 6, 2048 },
}

--- Images (N, 3, 299, 299) -> logits (N, num_classes), or in training with aux_logits InceptionOutputs. inception_blocks:
--- seven classes in the place of BasicConv2d, InceptionA to InceptionE and InceptionAux.
function Inception3:init(...)
  local o = spec:collect(...)
  local blocks = o.inception_blocks or { BasicConv2d, family.InceptionA, family.InceptionB, family.InceptionC,
    family.InceptionD, family.InceptionE, InceptionAux }
  if type(blocks) ~= "table" or #blocks ~= 7 then args.fail("Inception3", "length of inception_blocks should be 7") end
  self:_set { aux_logits = o.aux_logits, transform_input = o.transform_input }
  for _, row in ipairs(stem) do
    self[row[1]] = row[2] and blocks[1](row[2], row[3], row[4]) or nn.MaxPool2d(3, 2)
  end
  for _, row in ipairs(mixed) do
    if row[2] then
      self[row[1]] = blocks[row[2]](row[3], row[4])
    elseif o.aux_logits then
      self.AuxLogits = blocks[7](768, o.num_classes)
    end
  end
  self.avgpool = nn.AdaptiveAvgPool2d { 1, 1 }
  self.dropout = nn.Dropout(o.dropout)
  self.fc = nn.Linear(2048, o.num_classes)
  if not o.init_weights then return end
  zoo.fill(self, {
    { nn.Conv2d, nn.Linear, function(m)
      nn.init.trunc_normal_(m.weight, { mean = 0.0, std = m.stddev or 0.1, a = -2, b = 2 })
    end },
    { nn.BatchNorm2d, zoo.unit },
  })
end

function Inception3:forward(x)
  if self.transform_input then x = family._transform_input(x) end
  local aux
  for _, row in ipairs(stem) do x = self[row[1]](x) end
  for _, row in ipairs(mixed) do
    if row[2] then
      x = self[row[1]](x)
    elseif self.AuxLogits ~= nil and self.training then
      aux = self.AuxLogits(x)
    end
  end
  x = self.fc(self.dropout(self.avgpool(x)):flatten(1))
  if self.training and self.aux_logits then return InceptionOutputs(x, aux) end
  return x
end

family.inception_v3 = zoo.builder("inception_v3", {
  prepare = function(options)
    if options.transform_input == nil then options.transform_input = true end
    options.aux_logits = true
    zoo.determine("inception_v3", options, "init_weights", false)
  end,
  build = Inception3,
  finish = function(model, asked)
    if asked.aux_logits == false then
      model.aux_logits = false
      model.AuxLogits = nil
    end
  end,
})

return family
