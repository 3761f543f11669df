-- GoogLeNet, Inception v1 (Szegedy et al. 2015), with batch normalisation.
local args = require "lampad.args"
local nn = require "lampad.nn"
local zoo = require "lampad.vision.models.zoo"
local inception = require "lampad.vision.models.inception"

local torch, F = zoo.torch, nn.functional
local BasicConv2d = inception.BasicConv2d

local Inception = nn.Module:extend "Inception"
local block_spec = args [[Inception(int in_channels, int ch1x1, int ch3x3red, int ch3x3, int ch5x5red, int ch5x5,
  int pool_proj, any conv_block=nil)]]

--- Four branches: 1x1; 1x1 and 3x3; 1x1 and 3x3 again (the paper's 5x5); pooling and 1x1.
function Inception:init(...)
  local o = block_spec:collect(...)
  local conv = o.conv_block or BasicConv2d
  local function one(from, to) return conv(from, to, { kernel_size = 1 }) end
  local function three(from, to) return conv(from, to, { kernel_size = 3, padding = 1 }) end
  self.branch1 = one(o.in_channels, o.ch1x1)
  self.branch2 = nn.Sequential(one(o.in_channels, o.ch3x3red), three(o.ch3x3red, o.ch3x3))
  self.branch3 = nn.Sequential(one(o.in_channels, o.ch5x5red), three(o.ch5x5red, o.ch5x5))
  self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, { ceil_mode = true }), one(o.in_channels, o.pool_proj))
end

function Inception:forward(x)
  return torch.cat({ self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x) }, 1)
end

local InceptionAux = nn.Module:extend "InceptionAux"
local aux_spec = args "InceptionAux(int in_channels, int num_classes, any conv_block=nil, float dropout=0.7)"

--- A classifier in the middle of the network, for training.
function InceptionAux:init(...)
  local from, num_classes, conv_block, dropout = aux_spec(...)
  self.conv = (conv_block or BasicConv2d)(from, 128, { kernel_size = 1 })
  self.fc1 = nn.Linear(2048, 1024)
  self.fc2 = nn.Linear(1024, num_classes)
  self.dropout = nn.Dropout(dropout)
end

function InceptionAux:forward(x)
  x = self.conv(F.adaptive_avg_pool2d(x, { 4, 4 })):flatten(1)
  return self.fc2(self.dropout(F.relu(self.fc1(x), true)))
end

--- What GoogLeNet gives in training: a list {logits, aux_logits2, aux_logits1} with those names.
local GoogLeNetOutputs = zoo.named_results("GoogLeNetOutputs", { "logits", "aux_logits2", "aux_logits1" })

-- Channels of the inception blocks by name, "pool" for a pooling; aux1 and aux2 are computed where they stand.
local body = {
  { "inception3a", 192, 64, 96, 128, 16, 32, 32 }, { "inception3b", 256, 128, 128, 192, 32, 96, 64 }, { "maxpool3", pool = 3 },
  { "inception4a", 480, 192, 96, 208, 16, 48, 64 }, { "aux1", aux = 512 },
  { "inception4b", 512, 160, 112, 224, 24, 64, 64 }, { "inception4c", 512, 128, 128, 256, 24, 64, 64 },
  { "inception4d", 512, 112, 144, 288, 32, 64, 64 }, { "aux2", aux = 528 },
  { "inception4e", 528, 256, 160, 320, 32, 128, 128 }, { "maxpool4", pool = 2 },
  { "inception5a", 832, 256, 160, 320, 32, 128, 128 }, { "inception5b", 832, 384, 192, 384, 48, 128, 128 },
}

local GoogLeNet = nn.Module:extend "GoogLeNet"
local spec = args [[GoogLeNet(int num_classes=1000, bool aux_logits=true, bool transform_input=false, bool init_weights=true,
  any blocks=nil, float dropout=0.2, float dropout_aux=0.7)]]

--- Images (N, 3, H, W) of at least 15 x 15 -> logits (N, num_classes), or in training with aux_logits GoogLeNetOutputs.
--- blocks: three classes in the place of BasicConv2d, Inception and InceptionAux.
function GoogLeNet:init(...)
  local o = spec:collect(...)
  local blocks = o.blocks or { BasicConv2d, Inception, InceptionAux }
  if type(blocks) ~= "table" or #blocks ~= 3 then args.fail("GoogLeNet", "blocks length should be 3") end
  local conv, block, aux = table.unpack(blocks)
  self:_set { aux_logits = o.aux_logits, transform_input = o.transform_input }
  local function pool(kernel) return nn.MaxPool2d(kernel, 2, { ceil_mode = true }) end
  self.conv1 = conv(3, 64, { kernel_size = 7, stride = 2, padding = 3 })
  self.maxpool1 = pool(3)
  self.conv2 = conv(64, 64, { kernel_size = 1 })
  self.conv3 = conv(64, 192, { kernel_size = 3, padding = 1 })
  self.maxpool2 = pool(3)
  for _, row in ipairs(body) do
    if row.pool then
      self[row[1]] = pool(row.pool)
    elseif not row.aux then
      self[row[1]] = block(table.unpack(row, 2))
    end
  end
  if o.aux_logits then
    for _, row in ipairs(body) do
      if row.aux then self[row[1]] = aux(row.aux, o.num_classes, { dropout = o.dropout_aux }) end
    end
  end
  self.avgpool = nn.AdaptiveAvgPool2d { 1, 1 }
  self.dropout = nn.Dropout(o.dropout)
  self.fc = nn.Linear(1024, o.num_classes)
  if not o.init_weights then return end
  zoo.fill(self, {
    { nn.Conv2d, nn.Linear, function(m)
      nn.init.trunc_normal_(m.weight, { mean = 0.0, std = 0.01, a = -2, b = 2 })
    end },
    { nn.BatchNorm2d, zoo.unit },
  })
end

function GoogLeNet:forward(x)
  if self.transform_input then x = inception._transform_input(x) end
  x = self.maxpool1(self.conv1(x))
  x = self.maxpool2(self.conv3(self.conv2(x)))
  local aux = {}
  for _, row in ipairs(body) do
    local module = self[row[1]]
    if not row.aux then
      x = module(x)
    elseif module ~= nil and self.training then
      aux[row[1]] = module(x)
    end
  end
  x = self.fc(self.dropout(self.avgpool(x):flatten(1)))
  if self.training and self.aux_logits then return GoogLeNetOutputs(x, aux.aux2, aux.aux1) end
  return x
end

return {
  GoogLeNet = GoogLeNet, Inception = Inception, InceptionAux = InceptionAux, BasicConv2d = BasicConv2d,
  GoogLeNetOutputs = GoogLeNetOutputs, _GoogLeNetOutputs = GoogLeNetOutputs,
  googlenet = zoo.builder("googlenet", {
    prepare = function(options)
      if options.transform_input == nil then options.transform_input = true end
      options.aux_logits = true
      zoo.determine("googlenet", options, "init_weights", false)
    end,
    build = GoogLeNet,
    finish = function(model, asked)
      if asked.aux_logits then
        require("lampad.warnings").warn("auxiliary heads in the pretrained googlenet model are NOT pretrained, so make sure to "
          .. "train them")
        return
      end
      model.aux_logits = false
      model.aux1, model.aux2 = nil, nil
    end,
  }),
}
