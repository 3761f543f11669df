-- torch.training: when to stop, and files from which training goes on with the very numbers of an unbroken run.
local torch = require "lampad"
local nn, F, optim, data, training = torch.nn, torch.nn.functional, torch.optim, torch.utils.data, torch.training
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local command = dofile(here .. "/command.lua")

local function fails(pattern, f)
  local ok, message = pcall(f)
  assert.is_false(ok)
  assert.truthy(message:find(pattern, 1, true), message)
  assert.truthy(message:find("training_spec.lua:", 1, true), message)
end

describe("training.EarlyStopping", function()
  local function feed(stopping, values)
    for i, value in ipairs(values) do
      if stopping:step(value) then return i end
    end
  end

  it("stops after `patience` steps without an improvement", function()
    local stopping = training.EarlyStopping { patience = 2 }
    assert.equal(5, feed(stopping, { 3, 2, 2.5, 2, 2, 2 }) and stopping.steps + 1)
    assert.same({ 2, 1, true }, { stopping.best, stopping.best_step, stopping.stopped })
    assert.truthy(stopping.reason:find "no better than 2 for 2 steps")
    assert.is_nil(feed(training.EarlyStopping { patience = 2 }, { 3, 4, 2, 3, 1, 2 }))
    assert.equal(3, feed(training.EarlyStopping { patience = 2, mode = "max" }, { 3, 2, 3, 5 }))
    assert.equal(3, feed(training.EarlyStopping { patience = 2, min_delta = 0.5 }, { 3, 2.8, 2.6, 2 }))
    assert.equal(2, feed(training.EarlyStopping { patience = 0 }, { 3, 4 }))
    assert.is_nil(feed(training.EarlyStopping { patience = 0 }, { 3, 2, 1 }))
  end)

  it("stops at values that are not finite, good enough or too bad", function()
    assert.equal(2, feed(training.EarlyStopping(), { 1, 0 / 0 }))
    assert.equal(2, feed(training.EarlyStopping(), { 1, -math.huge }))
    assert.is_nil(feed(training.EarlyStopping { check_finite = false }, { 1, 0 / 0, 2 }))
    assert.equal(2, feed(training.EarlyStopping { stopping_threshold = 0.1 }, { 1, 0.1 }))
    assert.equal(2, feed(training.EarlyStopping { mode = "max", stopping_threshold = 0.9 }, { 0.5, 0.95 }))
    assert.equal(2, feed(training.EarlyStopping { divergence_threshold = 10 }, { 1, 11 }))
    assert.equal(1, feed(training.EarlyStopping { divergence_threshold = 10 }, { torch.tensor(11.0) }))
  end)

  it("goes on from its state_dict", function()
    local a, b = training.EarlyStopping { patience = 2 }, training.EarlyStopping { patience = 2 }
    feed(a, { 1, 2 })
    b:load_state_dict(a:state_dict())
    assert.is_true(b:step(3))
    fails("expected what state_dict() gave", function() b:load_state_dict {} end)
  end)

  it("says what is wrong", function()
    fails("`mode`", function() training.EarlyStopping { mode = "lowest" } end)
    fails("`patience`", function() training.EarlyStopping { patience = -1 } end)
    fails("`min_delta`", function() training.EarlyStopping { min_delta = -1 } end)
    fails("must be a number", function() training.EarlyStopping():step "0.5" end)
    fails("must be a number", function() training.EarlyStopping():step(torch.zeros(2)) end)
  end)
end)

describe("training.ModelCheckpoint", function()
  local folder
  setup(function() folder = command.new_folder() end)
  teardown(command.clean)

  -- A run with everything that has state: dropout, momentum, a schedule, shuffling, a generator of its own, early stopping.
  local function new_run(path)
    torch.manual_seed(3)
    local x = torch.randn(24, 4)
    local run = { net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.Linear(8, 1)) }
    run.optimizer = optim.Adam(run.net:parameters(), { lr = 0.05 })
    run.scheduler = optim.lr_scheduler.StepLR(run.optimizer, 2, 0.5)
    run.noise = torch.Generator()
    run.noise:manual_seed(9)
    run.stopping = training.EarlyStopping { patience = 20 }
    run.mean = torch.metrics.MeanMetric()
    run.loader = data.DataLoader(data.TensorDataset(x, x:sum(1, true)), { batch_size = 8, shuffle = true })
    run.checkpoint = training.ModelCheckpoint(path, { net = run.net, optimizer = run.optimizer, scheduler = run.scheduler,
      noise = run.noise, stopping = run.stopping, mean = run.mean }, { monitor = "loss" })
    return run
  end

  local function train(run, first, last)
    for epoch = first, last do
      run.mean:reset()
      for x, y in run.loader:iter() do
        local noisy = x + torch.randn(x.shape, { generator = run.noise }) * 0.1
        local loss = F.mse_loss(run.net(noisy), y)
        run.optimizer:zero_grad()
        loss:backward()
        run.optimizer:step()
        run.mean:update(loss)
      end
      run.scheduler:step()
      run.stopping:step(run.mean:compute())
      run.checkpoint:step { epoch = epoch, loss = run.mean:compute():item() }
    end
  end

  local function numbers(run)
    local parts = {}
    for _, t in run.net:state_dict():items() do parts[#parts + 1] = t:to(torch.float32):reshape(-1) end
    return { torch.cat(parts):tolist(), run.mean:compute():item(), run.scheduler:get_last_lr(), run.stopping.best,
      torch.rand(2):tolist(), torch.rand(1, { generator = run.noise }):item() }
  end

  it("resumes exactly", function()
    local whole = new_run(folder .. "/whole.ckpt")
    assert.is_nil(whole.checkpoint:resume())
    train(whole, 1, 5)
    local first = new_run(folder .. "/part.ckpt")
    train(first, 1, 3)
    torch.rand(7)
    local second = new_run(folder .. "/part.ckpt")
    assert.equal(3, second.checkpoint:resume().epoch)
    train(second, 4, 5)
    assert.equal(whole.checkpoint.best, second.checkpoint.best)
    -- Side by side, each draws from its own end of the numbers.
    local state = torch.get_rng_state()
    local b = numbers(second)
    torch.set_rng_state(state)
    assert.same(numbers(whole), b)
  end)

  it("keeps the best state", function()
    local net = nn.Linear(1, 1)
    local checkpoint = training.ModelCheckpoint(folder .. "/run.best-of.ckpt", { net = net }, { monitor = "score", mode = "max" })
    local improved = {}
    for i, score in ipairs { 0.5, 0.9, 0.7, 0 / 0 } do
      torch.no_grad(function() net.weight:fill_(i) end)
      improved[i] = checkpoint:step { epoch = i, score = torch.tensor(score) }
    end
    assert.same({ true, true, false, false }, improved)
    assert.is_near(0.9, checkpoint.best, 1e-6)
    local state = torch.get_rng_state()
    assert.equal(2, checkpoint:load_best().epoch)
    assert.equal(2, net.weight:item())
    assert.is_true(torch.equal(state, torch.get_rng_state()))
    assert.equal(4, checkpoint:resume().epoch)
    assert.equal(4, net.weight:item())
    assert.equal(2, checkpoint:load_best("net").epoch)
    assert.equal(folder .. "/run.best-of.best.ckpt", checkpoint.best_path)
    assert.equal("a.b/run.best", training.ModelCheckpoint("a.b/run", {}).best_path)
  end)

  it("writes only what is asked for", function()
    local written = {}
    local function save(value, path) written[#written + 1] = path .. " " .. value.values.epoch end
    local checkpoint = training.ModelCheckpoint("x.pt", {}, { monitor = "loss", every = 2, save = save })
    for epoch, loss in ipairs { 3, 4, 2, 5 } do checkpoint:step { epoch = epoch, loss = loss } end
    assert.same({ "x.best.pt 1", "x.pt 2", "x.best.pt 3", "x.pt 4" }, written)
    written = {}
    training.ModelCheckpoint("x.pt", {}, { monitor = "loss", save_best = false, save = save }):step { epoch = 1, loss = 1 }
    training.ModelCheckpoint("y.pt", {}, { monitor = "loss", save_last = false, save = save }):step { epoch = 1, loss = 1 }
    training.ModelCheckpoint("z.pt", {}, { save = save }):step { epoch = 1 }
    assert.same({ "x.pt 1", "y.best.pt 1", "z.pt 1" }, written)
  end)

  it("keeps the old file when the new one cannot be written", function()
    local path = folder .. "/kept.ckpt"
    local checkpoint = training.ModelCheckpoint(path, { net = nn.Linear(1, 1) })
    checkpoint:step { epoch = 1 }
    fails("cannot save", function() checkpoint:step { epoch = 2, f = print } end)
    assert.equal(1, checkpoint:resume().epoch)
    fails("No such file", function() training.ModelCheckpoint(folder .. "/none/a.ckpt", {}):step() end)
  end)

  it("says what is wrong", function()
    local net = nn.Linear(1, 1)
    fails("objects['x'] must be", function() training.ModelCheckpoint("a", { x = 3 }) end)
    fails("objects['1'] must be", function() training.ModelCheckpoint("a", { net }) end)
    fails("`every`", function() training.ModelCheckpoint("a", { net = net }, { every = 0 }) end)
    fails("`mode`", function() training.ModelCheckpoint("a", { net = net }, { mode = "low" }) end)
    fails("'loss' is missing", function() training.ModelCheckpoint("a", { net = net }, { monitor = "loss" }):step { los = 1 } end)
    fails("must be a number", function() training.ModelCheckpoint("a", { net = net }, { monitor = "loss" }):step { loss = "1" } end)
    local path = folder .. "/other.ckpt"
    training.ModelCheckpoint(path, { net = net }):step()
    fails("has no state of 'optimizer'", function()
      training.ModelCheckpoint(path, { net = net, optimizer = optim.SGD(net:parameters()) }):resume()
    end)
    fails("no object 'nte'", function()
      local checkpoint = training.ModelCheckpoint(path, { net = net }, { monitor = "loss" })
      checkpoint:step { loss = 1 }
      checkpoint:load_best "nte"
    end)
    torch.save({ 1 }, path)
    fails("no file of a ModelCheckpoint", function() training.ModelCheckpoint(path, { net = net }):resume() end)
  end)
end)
