-- Results of convolutions lie channels last behind their row-major strides (Note [Hidden layout] in
-- tensor/dispatch/layout.h). No op may show it: everything here runs on such a tensor and on a plain twin.
local torch = require "lampad"
local nn = torch.nn
local F = nn.functional

local function conv(channels_in, channels_out, seed)
  torch.manual_seed(seed or 0)
  return nn.Conv2d(channels_in, channels_out, 3, { padding = 1 })
end

-- A hidden tensor (2, 20, 9, 11) and its twin of the same values that is laid out plainly.
local function pair(seed)
  local y = conv(3, 20, seed)(torch.randn(2, 3, 9, 11)):detach()
  local values = torch.tensor(y:tolist())
  return conv(3, 20, seed)(torch.randn(2, 3, 9, 11) * 0 + 0):detach():copy_(values), values
end

local function close(a, b, message)
  if torch.is_tensor(a) then
    assert.same(a.shape:tolist(), b.shape:tolist(), message)
    assert.same(a:stride(), b:stride(), message)
    assert.is_true(torch.allclose(a, b, 1e-5, 1e-5, true), message)
  else
    assert.same(a, b, message)
  end
end

describe("hidden layout", function()
  local cases = {
    add = function(x) return x + 1 end,
    add_self = function(x) return x + x * 2 end,
    add_row = function(x) return x + torch.arange(11) end,
    add_plane = function(x) return x * torch.arange(99.):view(9, 11) end,
    scale_channels = function(x) return x * torch.arange(20.):view(1, 20, 1, 1) end,
    scale_each = function(x) return torch.arange(40.):view(2, 20, 1, 1) * x end,
    wider = function(x) return x + torch.ones(3, 1, 1, 1, 1) end,
    expanded = function(x) return x + torch.arange(20.):view(20, 1, 1):expand(2, 20, 9, 11) end,
    channels_last = function(x) return x + torch.ones(2, 20, 9, 11):contiguous { memory_format = torch.channels_last } end,
    transposed = function(x) return x + torch.arange(3960.):view(11, 9, 20, 2):permute(3, 2, 1, 0) end,
    plain = function(x) return x - torch.arange(3960.):view(2, 20, 9, 11) end,
    compare = function(x) return x:gt(0) end,
    where = function(x) return torch.where(x:gt(0), x, -x) end,
    relu = F.relu, sigmoid = torch.sigmoid, softplus = F.softplus, gelu = F.gelu, hardswish = F.hardswish,
    in_place = function(x) return x:clone():add_(x):mul_(2):relu_() end,
    bool_cast = function(x) return x:bool() end,
    double = function(x) return x:double() end,
    half = function(x) return x:half() end,
    clone = function(x) return x:clone() end,
    clone_format = function(x) return x:clone { memory_format = torch.channels_last } end,
    contiguous = function(x) return x:contiguous() end,
    view = function(x) return x:view(2, -1) end,
    view_plane = function(x) return x:view(2, 20, 99) * 2 end,
    view_dtype = function(x) return x:view(torch.int32) end,
    flatten = function(x) return x:flatten() end,
    permute = function(x) return x:permute(0, 2, 3, 1):contiguous() end,
    permuted_norm = function(x) return F.layer_norm(x:permute(0, 2, 3, 1), { 20 }):permute(0, 3, 1, 2):contiguous() end,
    permuted_sum = function(x) return (x + x:permute(0, 1, 2, 3) + x:transpose(0, 0)) end,
    with_turned = function(x) return x:narrow(3, 0, 9) + x:narrow(3, 0, 9):transpose(2, 3) end,
    tokens = function(x) return x:flatten(2):transpose(1, 2):contiguous() end,
    windows = function(x) return x:narrow(2, 0, 8):narrow(3, 0, 10):reshape(2, 20, 4, 2, 5, 2):permute(0, 2, 4, 3, 5, 1):contiguous() end,
    diagonal = function(x) return x:diagonal(0, 2, 3):contiguous() end,
    unfolded = function(x) return x:unfold(3, 4, 2):contiguous() end,
    strided_crossing = function(x) return x:as_strided({ 3, 50 }, { 60, 2 }, 5):contiguous() end,
    transpose = function(x) return x:transpose(1, 2) + 0 end,
    narrow = function(x) return x:narrow(1, 3, 5) + 0 end,
    narrow_sum = function(x) return x:narrow(1, 2, 8) + x:narrow(1, 10, 8) * 2 end,
    narrow_relu = function(x) return F.relu(x:narrow(1, 2, 8)) end,
    narrow_one = function(x) return x:narrow(0, 1, 1):narrow(1, 5, 6) * 2 end,
    narrow_plain = function(x) return x:narrow(1, 2, 8) + torch.arange(1584.):view(2, 8, 9, 11) end,
    narrow_batch = function(x) return x:narrow(0, 1, 1) + 1 end,
    narrow_space = function(x) return x:narrow(2, 1, 5):narrow(3, 2, 7) * x:narrow(2, 0, 5):narrow(3, 1, 7) end,
    stepped = function(x) return x[{ ":", "1:20:3", "0:9:2" }] * 2 end,
    select_channel = function(x) return x:narrow(1, 4, 1) * 3 end,
    view_of_view = function(x) return x:narrow(1, 2, 8):transpose(1, 2) * 2 end,
    copied_into = function(x)
      local y = x + 0
      y:narrow(1, 3, 4):copy_(x:narrow(1, 0, 4))
      return y * 1
    end,
    filled_part = function(x)
      local y = x + 0
      y:narrow(1, 3, 4):fill_(3)
      y:narrow(2, 0, 2):add_(1)
      return y * 1
    end,
    unflattened = function(x) return x:view(2, 4, 5, 9, 11):sum(2) end,
    shuffled = function(x) return x:view(2, 4, 5, 9, 11):transpose(1, 2):reshape(2, 20, 9, 11) + x end,
    cat_parts = function(x) return torch.cat({ x:narrow(1, 0, 3), x, F.relu(x) }, 1) end,
    cat_rows = function(x) return torch.cat({ x, x:narrow(2, 0, 3) }, 2) end,
    split = function(x)
      local parts = x:split({ 5, 7, 8 }, 1)
      return parts[1] * parts[1] + parts[1]
    end,
    chunk = function(x) return x:chunk(2, 1)[2] * 1 end,
    index = function(x) return x[1] end,
    element = function(x) return x[{ 1, 3, 4, 5 }]:item() end,
    select = function(x) return x:select(1, 7) * 1 end,
    index_select = function(x) return x:index_select(1, torch.tensor { 4, 0, 4 }) end,
    gather = function(x) return x:gather(3, torch.zeros(2, 20, 9, 4, { dtype = torch.int64 })) end,
    masked = function(x) return x:masked_select(x:gt(0.1)) end,
    masked_fill = function(x) return x:masked_fill(x:gt(0.1), 7) end,
    nonzero = function(x) return x:gt(0.1):nonzero() end,
    sum = function(x) return x:sum() end, sum_dims = function(x) return x:sum { 0, 2, 3 } end,
    mean_spatial = function(x) return x:mean({ 2, 3 }, true) end, max_dim = function(x) return (x:max(1)) end,
    sum_channels = function(x) return x:sum(1) end, sum_rows = function(x) return x:sum { 2, -1 } end,
    sum_slice = function(x) return x:narrow(1, 3, 9):narrow(2, 1, 5):sum({ 0, 2 }) end,
    var_spatial = function(x) return x:var { 2, 3 } end, norm_channels = function(x) return x:norm(2, 1) end,
    amax_images = function(x) return x:amax { 0, 3 } end, min_rows = function(x) return (x:min(2)) end,
    argmin_image = function(x) return x:argmin(0) end, argmax_rows = function(x) return x:argmax(2, true) end,
    logsumexp = function(x) return x:logsumexp(1) end, any_row = function(x) return x:gt(1):any(3) end,
    pool_of_padding = function(x) -- windows that see nothing of the first column alone
      return (select(2, F.max_pool2d(x:narrow(3, 0, 1) * 1,
        { kernel_size = { 1, 2 }, stride = 1, padding = { 0, 1 }, dilation = { 1, 2 }, return_indices = true })))
    end,
    argmax = function(x) return x:argmax() end, argmax_dim = function(x) return x:argmax(1) end,
    var = function(x) return x:var { 1, 2 } end, norm = function(x) return x:norm() end,
    cumsum = function(x) return x:cumsum(1) end, sort = function(x) return (x:sort(2)) end,
    topk = function(x) return (x:topk(3, 1)) end, softmax = function(x) return F.softmax(x, 1) end,
    log_softmax = function(x) return F.log_softmax(x, 3) end,
    layer_norm = function(x) return F.layer_norm(x, { 9, 11 }) end,
    group_norm = function(x) return F.group_norm(x, 4) end, instance_norm = function(x) return F.instance_norm(x) end,
    batch_norm = function(x) return F.batch_norm(x, nil, nil, nil, nil, true) end,
    batch_norm_eval = function(x) return F.batch_norm(x, torch.arange(20.), torch.ones(20) * 2) end,
    glu = function(x) return F.glu(x, 1) end,
    glu_gradient = function(x)
      x = x:clone():requires_grad_()
      F.glu(x, 1):mul(x:narrow(1, 3, 10):detach()):sum():backward()
      return x.grad
    end,
    matmul = function(x) return x:matmul(torch.ones(11, 3)) end,
    linear = function(x) return F.linear(x:flatten(1), torch.ones(2, 1980)) end,
    cat = function(x) return torch.cat({ x, x * 2, torch.ones(2, 1, 9, 11) }, 1) end,
    cat_batch = function(x) return torch.cat({ x, x }, 0) end,
    stack = function(x) return torch.stack { x, x } end, pad = function(x) return F.pad(x, { 1, 2, 0, 1 }) end,
    reflect = function(x) return F.pad(x, { 1, 2, 0, 1 }, "reflect") end,
    roll = function(x) return x:roll(2, 3) end, flip = function(x) return x:flip { 1, 3 } end,
    max_pool = function(x) return F.max_pool2d(x, 2) end, max_pool_3 = function(x) return F.max_pool2d(x, 3, 2, 1) end,
    max_pool_ceil = function(x) return F.max_pool2d(x, 3, { stride = 2, ceil_mode = true, dilation = 2 }) end,
    max_pool_indices = function(x) return select(2, F.max_pool2d_with_indices(x, 3, 1, 1)) end,
    max_pool_unbatched = function(x) return F.max_pool2d(x[0], 2) end,
    max_pool_1d = function(x) return F.max_pool1d(x:view(2, 20, 99), 4) end,
    avg_pool = function(x) return F.avg_pool2d(x, 3, 2, 1) end,
    avg_pool_counted = function(x) return F.avg_pool2d(x, 3, { stride = 2, padding = 1, count_include_pad = false, ceil_mode = true }) end,
    avg_pool_divisor = function(x) return F.avg_pool2d(x, 2, { divisor_override = 3 }) end,
    adaptive_avg = function(x) return F.adaptive_avg_pool2d(x, { 4, 3 }) end,
    global_avg = function(x) return F.adaptive_avg_pool2d(x, 1) end,
    adaptive_max = function(x) return F.adaptive_max_pool2d(x, 3) end,
    lp_pool = function(x) return F.lp_pool2d(x:abs(), 2, 2) end,
    interpolate = function(x) return F.interpolate(x, { scale_factor = 2, mode = "bilinear" }) end,
    nearest = function(x) return F.interpolate(x, { scale_factor = 2 }) end,
    nearest_exact = function(x) return F.interpolate(x, { size = { 5, 17 }, mode = "nearest-exact" }) end,
    bicubic = function(x) return F.interpolate(x, { size = { 13, 7 }, mode = "bicubic", align_corners = true }) end,
    area = function(x) return F.interpolate(x, { size = { 4, 5 }, mode = "area" }) end,
    antialias = function(x) return F.interpolate(x, { size = { 4, 15 }, mode = "bicubic", antialias = true }) end,
    resized_pixels = function(x) return F.interpolate((x * 60 + 100):clamp(0, 255):to(torch.uint8), { size = { 4, 5 }, mode = "bilinear" }) end,
    replicate = function(x) return F.pad(x, { 1, 2, 3, 1 }, "replicate") end,
    circular = function(x) return F.pad(x, { 1, -2, 3, 1 }, "circular") end,
    pad_channels = function(x) return F.pad(x, { 1, 0, 0, 0, 2, 1 }, "constant", 4) end,
    pad_nothing = function(x) return F.pad(x, { 0, 0, 0, 0 }) end,
    group_norm_weighted = function(x) return F.group_norm(x, 5, torch.arange(20.), torch.arange(20.) - 7) end,
    group_norm_one = function(x) return F.group_norm(x, 1) end,
    instance_norm_running = function(x)
      local mean, var = torch.zeros(20), torch.ones(20)
      local y = F.instance_norm(x, mean, var, torch.arange(20.) / 20, torch.ones(20))
      return torch.cat({ y:flatten(), mean, var })
    end,
    instance_norm_fixed = function(x) return F.instance_norm(x, torch.arange(20.), torch.ones(20) * 2, nil, nil, false) end,
    softmax_rows = function(x) return F.softmax(x, 2) end, log_softmax_channels = function(x) return F.log_softmax(x, 1) end,
    adaptive_max_indices = function(x) return select(2, F.adaptive_max_pool2d_with_indices(x, { 4, 3 })) end,
    max_unpool = function(x)
      local y, indices = F.max_pool2d_with_indices(x, 2)
      return F.max_unpool2d(y, indices, 2, nil, 0, { 9, 11 })
    end,
    pixel_unshuffle = function(x) return F.pixel_unshuffle(F.pad(x, { 0, 1, 0, 1 }), 2) end,
    response_norm = function(x) return F.local_response_norm(x, 4, 0.5) end,
    pixel_shuffle = function(x) return F.pixel_shuffle(x, 2) end, channel_shuffle = function(x) return F.channel_shuffle(x, 4) end,
    unfold = function(x) return F.unfold(x, 3) end, prelu = function(x) return F.prelu(x, torch.arange(20.)) end,
    conv = function(x) return conv(20, 7, 3)(x) end,
    conv_grouped = function(x) torch.manual_seed(1) return nn.Conv2d(20, 40, 3, { groups = 20 })(x) end,
    conv_strided = function(x) torch.manual_seed(1) return nn.Conv2d(20, 33, 5, { stride = 2, dilation = 1 })(x) end,
    conv_transposed = function(x) torch.manual_seed(1) return nn.ConvTranspose2d(20, 6, 3, { stride = 2 })(x) end,
    conv_double = function(x) torch.manual_seed(1) return F.conv2d(x:double(), torch.randn(4, 20, 2, 2, { dtype = torch.float64 })) end,
    conv_1d = function(x) torch.manual_seed(1) return nn.Conv1d(20, 8, 5)(x:view(2, 20, 99)) end,
    text = function(x) return tostring(x) end, list = function(x) return x:tolist() end,
    as_strided = function(x) return x:as_strided({ 4, 5 }, { 7, 2 }, 3) * 1 end,
    storage = function(x) return x:untyped_storage():nbytes() end,
    is_contiguous = function(x) return x:is_contiguous() end,
    is_channels_last = function(x) return x:is_contiguous { memory_format = torch.channels_last } end,
    einsum = function(x) return torch.einsum("nchw,nchw->nc", x, x) end,
    random = function(x)
      torch.manual_seed(5)
      return x:clone():uniform_()
    end,
    bernoulli = function(x)
      torch.manual_seed(5)
      return torch.bernoulli(x:sigmoid())
    end,
    bernoulli_in_place = function(x)
      torch.manual_seed(5)
      return x:clone():bernoulli_(x:sigmoid())
    end,
    dropout = function(x)
      torch.manual_seed(5)
      return F.dropout(x, 0.3)
    end,
    dropout2d = function(x)
      torch.manual_seed(5)
      return F.dropout2d(x, 0.3)
    end,
    assigned = function(x)
      local y = x:clone()
      y[{ 1, 2 }] = 5
      return y * 1
    end,
    view_write = function(x)
      local y = x + 0
      y:view(-1):narrow(0, 10, 20):zero_()
      return y * 1
    end,
    resized = function(x) return (x + 0):resize_ { 3, 5 } end,
    grown = function(x) return (x + 0):resize_({ 3, 20, 9, 11 }):narrow(0, 0, 2) * 1 end,
    out = function(x)
      local out = x + 0
      torch.add(torch.ones(3, 2), 1, { out = out })
      return out
    end,
    out_same = function(x)
      local out = x + 0
      torch.add(x, torch.ones(2, 20, 9, 11), { out = out })
      return out
    end,
    set = function(x)
      local y = torch.empty(0)
      y:set_(x + 0)
      return y * 1
    end,
    swapped = function(x)
      local y = x + 0
      y.data = x * 3
      return y
    end,
    vmap = function(x) return torch.func.vmap(function(a) return F.max_pool2d(a * 2, 2) end)(x) end,
  }
  for name, f in pairs(cases) do
    it(name, function()
      local hidden, plain = pair(0)
      close(f(hidden), f(plain), name)
      close(hidden, plain, name .. " left its input as it was")
    end)
  end

  local names = {}
  for name in pairs(cases) do names[#names + 1] = name end
  table.sort(names)
  it("gradients", function()
    for _, name in ipairs(names) do
      local grads, is_differentiable = {}, true
      for k, x in ipairs { pair(0) } do
        local leaf = x:requires_grad_()
        local ok, y = pcall(cases[name], leaf)
        is_differentiable = is_differentiable and ok and torch.is_tensor(y) and y.requires_grad and y:is_floating_point()
        if is_differentiable then
          -- The gradient that arrives is plain, too, or lies as the result.
          local weight = torch.arange(1., y:numel() + 1):view(y.shape):to(y.dtype) / y:numel();
          (y * weight):sum():backward()
          grads[k] = x.grad
        end
      end
      if is_differentiable and grads[1] then
        assert.is_true(torch.allclose(grads[1], grads[2], 1e-4, 1e-5), "gradient of " .. name)
      end
    end
  end)

  it("of every size and in bfloat16: values and gradients of ops that resize, pad and normalise", function()
    local ops = {
      bilinear = function(x) return F.interpolate(x, { scale_factor = 1.7, mode = "bilinear" }) end,
      nearest = function(x) return F.interpolate(x, { scale_factor = 2 }) end,
      bicubic = function(x) return F.interpolate(x, { size = { 3, 9 }, mode = "bicubic" }) end,
      antialias = function(x) return F.interpolate(x, { size = { 2, 3 }, mode = "bilinear", antialias = true }) end,
      reflect = function(x) return F.pad(x, { 1, 2, 2, 1 }, "reflect") end,
      replicate = function(x) return F.pad(x, { 3, 1, 0, 5 }, "replicate") end,
      circular = function(x) return F.pad(x, { 3, 1, 0, 3 }, "circular") end,
      constant = function(x) return F.pad(x, { 3, -1, 0, 2 }, "constant", 2) end,
      group_norm = function(x) return F.group_norm(x, x.shape[1] % 6 == 0 and 3 or 1) end,
      instance_norm = function(x) return F.instance_norm(x) end,
      adaptive_max = function(x) return F.adaptive_max_pool2d(x, 2) end,
      softmax = function(x) return F.softmax(x, 1) end,
      log_softmax = function(x) return F.log_softmax(x, 3) end,
      prelu = function(x) return F.prelu(x, torch.full({ x.shape[1] }, 0.3, { dtype = x.dtype })) end,
      shuffle = function(x) return F.channel_shuffle(x, x.shape[1] % 3 == 0 and 3 or 1) end,
    }
    for _, size in ipairs { { 2, 3, 5, 7 }, { 1, 1, 4, 5 }, { 1, 300, 5, 3 }, { 3, 66, 17, 4 }, { 0, 6, 4, 5 } } do
      for _, dtype in ipairs { torch.float32, torch.bfloat16 } do
        torch.manual_seed(6)
        local plain = torch.randn(size):to(dtype)
        local twins = { plain, conv(1, size[2])(torch.zeros(size[1], 1, size[3], size[4])):detach():to(dtype):copy_(plain),
          plain:contiguous { memory_format = torch.channels_last } }
        for name, op in pairs(ops) do
          local values, grads, weight = {}, {}, nil
          for k, x in ipairs(twins) do
            local leaf = x:detach():requires_grad_()
            local y = op(leaf)
            weight = weight or torch.randn(y.shape):to(dtype)
            y:backward(k == 1 and weight or y:detach():clone():copy_(weight))
            values[k], grads[k] = y:detach(), leaf.grad
          end
          local tolerance = dtype == torch.float32 and 1e-5 or 0.02
          for k = 2, 3 do
            local what = ("%s of {%s} as %s, twin %d"):format(name, table.concat(size, ", "), dtype, k)
            assert.is_true(torch.allclose(values[1], values[k], tolerance, tolerance), what)
            assert.is_true(torch.allclose(grads[1], grads[k], tolerance * 10, tolerance * 10), "gradient of " .. what)
            if size[2] > 1 then -- of these PyTorch gives row-major strides
              local keeps = k == 3 and not name:find "softmax" and name ~= "circular" and name ~= "instance_norm"
              assert.same((keeps and values[k]:contiguous { memory_format = torch.channels_last } or values[1]):stride(), values[k]:stride(), what)
            end
          end
        end
      end
    end
  end)

  it("a whole net equals the same net in float64, with its gradients", function()
    torch.manual_seed(2)
    local net = nn.Sequential(nn.Conv2d(3, 24, 3, { padding = 1 }), nn.BatchNorm2d(24), nn.SiLU(), nn.MaxPool2d(3, 2, 1),
      nn.Conv2d(24, 24, 5, { groups = 24, padding = 2, bias = false }), nn.BatchNorm2d(24), nn.Hardswish(),
      nn.Conv2d(24, 40, 1), nn.ReLU6(), nn.AvgPool2d(2), nn.Dropout(0), nn.ConvTranspose2d(40, 10, 2, { stride = 2 }), nn.PReLU(10),
      nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(40, 5))
    local x = torch.randn(3, 3, 17, 19)
    local twin = torch.deepcopy(net):double()
    local function grads(m, input)
      local leaf = input:clone():requires_grad_()
      local y = m(leaf)
      y:pow(2):sum():backward()
      local list = { y:double():detach(), leaf.grad:double() }
      for p in m:parameters() do list[#list + 1] = p.grad:double() end
      return list
    end
    local wide = grads(twin, x:double())
    local own = grads(net, x)
    for i, g in ipairs(own) do
      local scale = math.max(wide[i]:abs():max():item(), 1e-3)
      assert.is_true((g - wide[i]):abs():max():item() < 1e-4 * scale, "value or gradient " .. i)
    end
  end)

  it("saved, loaded and handed to another thread", function()
    local hidden, plain = pair(0)
    local path = os.tmpname()
    torch.save(hidden + 0, path)
    close(torch.load(path), plain)
    os.remove(path)
    local loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(hidden + 0), { batch_size = 2, num_workers = 1 })
    for batch in loader:iter() do close(torch.is_tensor(batch) and batch or batch[1], plain) end
  end)

  it("memory formats of the user's own", function()
    local c = conv(3, 8)
    local x = torch.randn(2, 3, 9, 11)
    local last = x:contiguous { memory_format = torch.channels_last }
    local y = c(last)
    assert.is_true(y:is_contiguous { memory_format = torch.channels_last })
    assert.is_true(torch.allclose(y, c(x), 1e-5, 1e-6))
    assert.is_true(F.max_pool2d(y, 2):is_contiguous { memory_format = torch.channels_last })
    assert.is_true(F.relu(y):is_contiguous { memory_format = torch.channels_last })
    assert.is_true(nn.BatchNorm2d(8)(y):is_contiguous { memory_format = torch.channels_last })
    assert.is_true(c(x):is_contiguous())
  end)

  it("Winograd's algorithm can be turned off; its errors are of the size of the direct one", function()
    torch.manual_seed(3)
    local cpu = torch.backends.cpu
    local x, w = torch.randn(4, 64, 28, 28), torch.randn(64, 64, 3, 3)
    local exact = F.conv2d(x:double(), w:double(), { padding = 1 })
    local function rms(y) return ((y:double() - exact):pow(2):mean() / exact:pow(2):mean()):sqrt():item() end
    assert.is_true(cpu.allow_winograd)
    local fast = rms(F.conv2d(x, w, { padding = 1 }))
    cpu.allow_winograd = false
    local direct = rms(F.conv2d(x, w, { padding = 1 }))
    cpu.allow_winograd = true
    assert.is_true(direct < 1e-6 and direct ~= fast and fast < 2e-6, ("direct %g, Winograd %g"):format(direct, fast))
    local ok, message = pcall(function() cpu.allow_winograd = 1 end)
    assert.is_true(not ok and message:find("allow_winograd: expected true or false, got", 1, true) ~= nil, message)
  end)

  it("bfloat16 convolutions and their gradients", function()
    torch.manual_seed(4)
    for _, o in ipairs { { 32, 48, 3, { padding = 1 } }, { 16, 64, 1, {} }, { 48, 48, 3, { padding = 1, groups = 3, stride = 2 } },
      { 24, 24, 5, { groups = 24, padding = 2 } }, { 3, 20, 7, { stride = 2, bias = false } } } do
      local c = nn.Conv2d(o[1], o[2], o[3], o[4])
      local x = torch.randn(2, o[1], 14, 13)
      local half, wide = torch.deepcopy(c):to(torch.bfloat16), torch.deepcopy(c):to(torch.bfloat16):double()
      local a = x:to(torch.bfloat16):requires_grad_()
      local b = a:detach():double():requires_grad_()
      local y, z = half(a), wide(b)
      assert.equal(torch.bfloat16, y.dtype)
      local g = torch.randn(y.shape):to(torch.bfloat16)
      y:backward(g)
      z:backward(g:double())
      local function near(got, want, what)
        local scale = want:abs():max():item()
        assert.is_true((got:double() - want):abs():max():item() <= 2 ^ -7 * scale, what)
      end
      near(y, z, "result")
      near(a.grad, b.grad, "input's gradient")
      near(half.weight.grad, wide.weight.grad, "weight's gradient")
      if c.bias then near(half.bias.grad, wide.bias.grad, "bias's gradient") end
      torch.no_grad(function() near(half(a), z, "result without recording") end)
    end
  end)

  it("batch norm of any number of channels", function()
    torch.manual_seed(6)
    for _, channels in ipairs { 1, 2, 3, 7, 16, 24, 63, 64, 65, 127, 128, 130, 515 } do
      for _, plane in ipairs { { 1, 2 }, { 5, 7 }, { 31, 33 } } do
        local x = torch.randn(3, channels, table.unpack(plane)) * 2 + 5
        local g = torch.randn(x.shape)
        local function through(input, grad)
          input = input:clone():requires_grad_()
          local weight = torch.arange(1., channels + 1, { dtype = input.dtype }):requires_grad_()
          local y = F.batch_norm(input, nil, nil, weight, nil, true)
          y:backward(grad)
          return { y:detach(), input.grad, weight.grad }
        end
        local last = { memory_format = torch.channels_last }
        local got = through(x:contiguous(last), g:contiguous(last))
        for i, want in ipairs(through(x:double(), g:double())) do
          local scale = want:abs():max():item()
          assert.is_true((got[i]:double() - want):abs():max():item() <= 1e-5 * scale, ("%d channels, %d"):format(channels, i))
        end
      end
    end
  end)
end)
