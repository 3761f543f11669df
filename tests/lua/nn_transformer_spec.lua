-- The transformer layers, SyncBatchNorm, DataParallel and CrossMapLRN2d: what the module samples (tests/modules) do not see:
-- attributes, calls by name, conversion, errors.
local torch = require "lampad"
local nn, F = torch.nn, torch.nn.functional

local function raises(text, fn)
  local ok, message = pcall(fn)
  assert.is_false(ok)
  assert.truthy(tostring(message):find(text, 1, true), tostring(message))
end

local function same(a, b) assert.is_true(torch.allclose(a, b, 1e-5, 1e-6)) end

describe("transformers", function()
  it("print as PyTorch's", function()
    assert.equal([[
TransformerEncoderLayer(
  (self_attn): MultiheadAttention(
    (out_proj): NonDynamicallyQuantizableLinear(in_features=4, out_features=4, bias=True)
  )
  (linear1): Linear(in_features=4, out_features=6, bias=True)
  (dropout): Dropout(p=0.1, inplace=False)
  (linear2): Linear(in_features=6, out_features=4, bias=True)
  (norm1): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
  (norm2): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
  (dropout1): Dropout(p=0.1, inplace=False)
  (dropout2): Dropout(p=0.1, inplace=False)
)]], tostring(nn.TransformerEncoderLayer(4, 2, 6)))
  end)

  it("make the causal mask", function()
    local mask = nn.Transformer.generate_square_subsequent_mask(3)
    local inf = -math.huge
    assert.same({ { 0, inf, inf }, { 0, 0, inf }, { 0, 0, 0 } }, mask:tolist())
    assert.equal(torch.float64, nn.Transformer.generate_square_subsequent_mask(2, { dtype = torch.float64 }).dtype)
    local net = nn.Transformer { d_model = 4, nhead = 2, num_encoder_layers = 1, num_decoder_layers = 1, dim_feedforward = 4 }
    assert.equal("torch.Size([2, 2])", tostring(net:generate_square_subsequent_mask(2).shape))
  end)

  it("look ahead nowhere with the causal mask, said or seen", function()
    torch.manual_seed(0)
    local encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, { batch_first = true }), 2):eval()
    local x = torch.randn(1, 5, 8)
    local mask = nn.Transformer.generate_square_subsequent_mask(5)
    local y = encoder(x, { mask = mask })
    local changed = x:clone()
    changed[{ 0, 4 }] = 3
    same(y[":, :4"], encoder(changed, { mask = mask })[":, :4"])
    same(y, encoder(x, mask, nil, true))
    same(y, encoder(x, mask, nil, false))
    same(y, encoder { src = x, mask = mask:lt(0) })
  end)

  it("stack layers of one's own", function()
    local Layer = nn.Module:extend "Layer"
    function Layer.forward(_, src, mask, padding, causal)
      return src + (mask == nil and padding == nil and not causal and 1 or 10)
    end
    local encoder = nn.TransformerEncoder(Layer(), 3)
    assert.equal(3, encoder(torch.zeros(2, 1, 4))[0][0][0]:item())
    assert.equal(30, encoder(torch.zeros(2, 1, 4), torch.zeros(2, 2))[0][0][0]:item())
    raises("out of range", function() nn.TransformerEncoder(Layer(), 0)(torch.zeros(2, 1, 4)) end)
  end)

  it("see a causal mask of bools", function()
    local decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 6), 1):eval()
    local x, memory = torch.randn(3, 1, 4), torch.randn(2, 1, 4)
    local mask = nn.Transformer.generate_square_subsequent_mask(3)
    same(decoder(x, memory, mask), decoder(x, memory, mask:lt(0)))
    same(decoder(x, memory, mask), decoder(x, memory, { tgt_mask = mask:lt(0), tgt_is_causal = true }))
  end)

  it("share no parameters between the layers of a stack", function()
    local encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 1, 4), 3)
    assert.is_true(encoder.layers[0].linear1.weight:equal(encoder.layers[2].linear1.weight))
    assert.is_false(rawequal(encoder.layers[0].linear1.weight, encoder.layers[2].linear1.weight))
  end)

  it("take any activation", function()
    local x = torch.randn(3, 1, 4)
    for _, activation in ipairs { "relu", "gelu", F.relu, torch.tanh, nn.SiLU(), function(t) return t * 0.5 end } do
      assert.equal(x.shape, nn.TransformerEncoderLayer(4, 2, 6, 0.0, activation)(x).shape)
      assert.equal(x.shape, nn.TransformerDecoderLayer(4, 2, 6, 0.0, activation)(x, x).shape)
    end
    assert.truthy(tostring(nn.TransformerEncoderLayer(4, 2, { activation = nn.SiLU() })):find("(activation): SiLU()", 1, true))
    raises("activation should be relu/gelu, not elu", function() nn.TransformerEncoderLayer(4, 2, { activation = "elu" }) end)
    raises("activation must be 'relu', 'gelu' or a function", function()
      nn.TransformerEncoderLayer(4, 2, { activation = 3 })
    end)
  end)

  it("fill the padding with zeros in evaluation without gradients, as PyTorch does", function()
    local net = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, { batch_first = true }), 1):eval()
    local x = torch.randn(2, 3, 4)
    local padding = torch.tensor { { false, false, true }, { false, false, false } }
    local function run() return torch.no_grad(function() return net(x, { src_key_padding_mask = padding }) end) end
    local y = run()
    assert.same({ 0, 0, 0, 0 }, y[0][2]:tolist())
    torch.backends.mha.set_fastpath_enabled(false)
    local z = run()
    torch.backends.mha.set_fastpath_enabled(true)
    assert.is_true(z[0][2]:ne(0):all():item())
    same(y[0][":2"], z[0][":2"])
    same(z, net(x, nil, padding)) -- with gradients
  end)

  it("take custom halves", function()
    local Encoder = nn.Module:extend "Encoder"
    function Encoder.forward(_, src, _) return src * 2 end
    local Decoder = nn.Module:extend "Decoder"
    function Decoder.forward(_, tgt, memory, _) return tgt + memory:sum() end
    local net = nn.Transformer { d_model = 2, nhead = 1, custom_encoder = Encoder(), custom_decoder = Decoder() }
    assert.same({ { { 9, 9 } } }, net(torch.ones(2, 1, 2), torch.ones(1, 1, 2)):tolist())
  end)

  it("say what does not fit", function()
    local net = nn.Transformer { d_model = 4, nhead = 2, num_encoder_layers = 1, num_decoder_layers = 1, dim_feedforward = 4 }
    raises("the batch number of src and tgt must be equal", function() net(torch.ones(2, 3, 4), torch.ones(2, 2, 4)) end)
    raises("the feature number of src and tgt must be equal to d_model", function()
      net(torch.ones(2, 3, 5), torch.ones(2, 3, 4))
    end)
    raises("embed_dim must be divisible by num_heads", function() nn.TransformerEncoderLayer(4, 3) end)
    raises("only bool and floating types of src_mask are supported", function()
      nn.TransformerEncoderLayer(4, 2)(torch.ones(2, 1, 4), torch.ones(2, 2, { dtype = torch.int64 }))
    end)
    raises("unknown argument 'nheads'", function() nn.Transformer { nheads = 2 } end)
    raises("argument 'tgt' (a tensor) is missing", function() net(torch.ones(2, 3, 4)) end)
  end)
end)

describe("SyncBatchNorm", function()
  it("is batch norm in one process", function()
    torch.manual_seed(0)
    local x = torch.randn(4, 3, 5)
    local plain, sync = nn.BatchNorm1d(3), nn.SyncBatchNorm(3, { process_group = "none" })
    same(plain(x), sync(x))
    same(plain.running_var, sync.running_var)
    assert.equal(1, sync.num_batches_tracked:item())
    raises("expected at least 2D input (got 1D input)", function() sync(torch.ones(3)) end)
    raises("number of input channels should be non-zero", function() sync(torch.ones(3, 0)) end)
  end)

  it("takes the place of the batch norms of a net", function()
    local net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2, { eps = 0.1, momentum = false }), nn.ReLU()),
      nn.BatchNorm2d(2, { affine = false, track_running_stats = false }))
    local weight, mean = net[1][0].weight, net[1][0].running_mean
    net[1][0]:eval()
    local converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert.is_true(rawequal(converted, net))
    assert.equal("SyncBatchNorm(2, eps=0.1, momentum=None, affine=True, bias=True, track_running_stats=True)",
      tostring(net[1][0]))
    assert.equal("SyncBatchNorm(2, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)",
      tostring(net[2]))
    assert.is_true(rawequal(weight, net[1][0].weight) and rawequal(mean, net[1][0].running_mean))
    assert.is_false(net[1][0].training)
    assert.equal("SyncBatchNorm", nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm3d(2)).__name)
    assert.equal("InstanceNorm2d", nn.SyncBatchNorm.convert_sync_batchnorm(nn.InstanceNorm2d(2)).__name)
    raises("argument 'module' must be a module", function() nn.SyncBatchNorm.convert_sync_batchnorm(3) end)
  end)
end)

describe("DataParallel", function()
  it("is the module itself, under a name", function()
    local linear = nn.Linear(2, 3)
    local net = nn.DataParallel(linear, { device_ids = { 0 } })
    local x = torch.ones(1, 2)
    same(linear(x), net(x))
    same(linear(x), net { input = x })
    local keys = {}
    for key in net:state_dict():keys() do keys[#keys + 1] = key end
    assert.same({ "module.weight", "module.bias" }, keys)
    assert.equal("DataParallel(\n  (module): Linear(in_features=2, out_features=3, bias=True)\n)", tostring(net))
    raises("device_ids must hold one device at most, got 2", function() nn.DataParallel(linear, { 0, 1 }) end)
    raises("argument 'module' must be a module", function() nn.DataParallel(3) end)
  end)
end)

describe("CrossMapLRN2d", function()
  it("differentiates twice", function()
    local x = torch.randn(1, 6, 2, 1, { dtype = torch.float64 }):requires_grad_()
    assert.is_true(torch.autograd.gradcheck(nn.CrossMapLRN2d(3, 0.5, 0.75, 2), { x }))
    assert.is_true(torch.autograd.gradgradcheck(nn.CrossMapLRN2d(5, 0.5), { x }))
    assert.equal("torch.Size([2, 0, 3, 3])", tostring(nn.CrossMapLRN2d(3)(torch.ones(2, 0, 3, 3)).shape))
    raises("size must be positive, got 0", function() nn.CrossMapLRN2d(0) end)
    raises("Expected input to be 4D, got 2D instead.", function() nn.CrossMapLRN2d(3)(torch.ones(2, 2)) end)
  end)
end)

describe("inputs by name", function()
  local x, y = torch.rand(2, 3), torch.rand(2, 3)
  for _, case in ipairs {
    { nn.Linear(3, 2), { input = x } }, { nn.ReLU(), { input = x } }, { nn.MSELoss(), { input = x, target = y } },
    { nn.CosineSimilarity(), { x1 = x, x2 = y } }, { nn.RMSNorm(3), { x = x } }, { nn.BatchNorm1d(3), { input = x } },
    { nn.Bilinear(3, 3, 2), { input1 = x, input2 = y } }, { nn.GaussianNLLLoss(), { input = x, target = y, var = x } },
    { nn.TripletMarginLoss(), { anchor = x, positive = y, negative = x } }, { nn.Embedding(4, 2), { input = torch.tensor { 1 } } },
  } do
    local layer, named = case[1], case[2]
    it("reach " .. layer.__name, function()
      local names = { "input", "x", "x1", "x2", "input1", "input2", "anchor", "positive", "negative", "target", "var" }
      local list = {}
      for _, name in ipairs(names) do list[#list + 1] = named[name] end
      assert.is_true(torch.equal(layer(table.unpack(list)), layer(named)))
      raises("unknown argument 'inputs'", function() layer { inputs = x } end)
    end)
  end

  it("stand after those by position", function()
    assert.is_true(torch.equal(nn.MSELoss()(x, y), nn.MSELoss()(x, { target = y })))
    raises("argument 'input' is given twice", function() nn.MSELoss()(x, { input = y }) end)
  end)
end)
