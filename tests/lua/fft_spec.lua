-- Fourier transforms through Lua: round trips, lengths of every kind against the definition, symmetry, threads,
-- stft and its inverse, windows, errors.
local torch = require "lampad"
local fft, windows = torch.fft, torch.signal.windows

local function close(a, b, tolerance)
  assert.equal(tostring(b.shape), tostring(a.shape))
  assert.is_true(torch.allclose(a, b, tolerance or 1e-10, tolerance or 1e-10))
end

local function normal(shape, dtype) return torch.randn(shape, { dtype = dtype or torch.float64 }) end

--- The transform by its definition, as a product with the matrix of roots of unity.
local function direct(x, sign)
  local n = x:size(-1)
  local k = torch.arange(n, { dtype = torch.float64 })
  local angle = torch.outer(k, k):remainder(n) * (2 * math.pi / n)
  return x:to(torch.complex128):matmul(torch.complex(angle:cos(), angle:sin() * sign))
end

local function fails(text, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(message):find(text, 1, true), tostring(message))
end

describe("torch.fft", function()
  it("agrees with the definition for lengths of every kind", function()
    for _, n in ipairs { 1, 2, 3, 17, 31, 60, 61, 67, 97, 128, 243, 256, 509, 1000, 1021 } do
      local x = normal({ 2, n }, torch.complex128)
      close(fft.fft(x), direct(x, -1))
      close(fft.ifft(x) * n, direct(x, 1))
      local r = normal { 3, n }
      close(fft.rfft(r), direct(r, -1):narrow(-1, 0, n // 2 + 1))
      close(fft.fft(r), direct(r, -1))
      close(fft.ihfft(r) * n, direct(r, 1):narrow(-1, 0, n // 2 + 1))
    end
  end)

  it("gives back what it was given, also for long primes and long powers", function()
    for _, n in ipairs { 10007, 65536, 100003, 98304, 77077 } do
      local x = normal({ n }, torch.complex128)
      close(fft.ifft(fft.fft(x)), x, 1e-12)
      local r = normal { n }
      close(fft.irfft(fft.rfft(r), n), r, 1e-12)
      close(fft.hfft(fft.ihfft(r), n), r, 1e-12)
    end
    local x = normal { 3, 4, 5, 6 }
    close(fft.ifftn(fft.fftn(x)):real(), x)
    close(fft.irfftn(fft.rfftn(x), x.shape), x)
    close(fft.irfft2(fft.rfft2(x), { 5, 6 }), x)
    close(fft.hfftn(fft.ihfftn(x), x.shape), x)
    close(fft.ifft2(fft.fft2(x, { norm = "ortho" }), { norm = "ortho" }):real(), x)
  end)

  it("keeps float32 accurate for long lengths", function()
    for _, n in ipairs { 65536, 100003 } do
      local x = normal({ n }, torch.complex128)
      local exact, single = fft.fft(x), fft.fft(x:to(torch.complex64))
      assert.equal(torch.complex64, single.dtype)
      assert.is_true(((single - exact):abs():norm() / exact:abs():norm()):item() < 1e-6)
    end
  end)

  it("is the same for one transform as for one of many, along any dim and over strides", function()
    for _, n in ipairs { 6, 64, 250, 331 } do
      local x = normal({ 21, n }, torch.complex128)
      local all = fft.fft(x)
      close(all[3], fft.fft(x[3]))
      close(fft.fft(x:t():contiguous(), { dim = 0 }), all:t())
      close(fft.fft(x["::2, 1::2"], { n = n }), fft.fft(x["::2, 1::2"]:contiguous(), { n = n }))
      local r = normal { 21, n }
      close(fft.rfft(r:t():contiguous(), { dim = 0 }), fft.rfft(r):t())
      close(fft.irfft(fft.rfft(r):t():contiguous(), n, 0), r:t())
      close(fft.rfft(torch.ones(1, { dtype = torch.float64 }):expand(n)), fft.rfft(torch.ones(n, { dtype = torch.float64 })))
    end
  end)

  it("gives the same bits with any number of threads", function()
    local threads = torch.get_num_threads()
    local x, batch = normal { 1 << 17 }, normal { 64, 300 }
    torch.set_num_threads(1)
    local a, b = fft.fft(x), fft.rfft(batch)
    torch.set_num_threads(3)
    assert.is_true(torch.equal(a, fft.fft(x)))
    assert.is_true(torch.equal(b, fft.rfft(batch)))
    torch.set_num_threads(threads)
  end)

  it("lets a NaN spoil its own transform only", function()
    local x = torch.ones(40, 16)
    x[3] = 0 / 0
    for _, y in ipairs { fft.fft(x):real(), fft.rfft(x):real(), fft.irfft(x) } do
      assert.equal(y:size(-1), y:isnan():sum():item())
      assert.is_true(y[3]:isnan():all():item())
    end
  end)

  it("has derivatives of any order over several dims", function()
    local r = normal { 3, 4 }:requires_grad_()
    local c = normal({ 3, 4 }, torch.complex128):requires_grad_()
    for name, x in pairs { rfftn = r, fftn = c, irfftn = c, hfft2 = c, ihfft2 = r, rfft = r, irfft = c } do
      assert.is_true(torch.autograd.gradcheck(function(t) return fft[name](t) end, { x }), name)
      assert.is_true(torch.autograd.gradgradcheck(function(t) return fft[name](t) end, { x }), name)
    end
    assert.is_true(torch.autograd.gradcheck(function(t) return fft.irfftn(t, { 5, 3 }, { 1, 0 }, "forward") end, { c }))
    assert.is_true(torch.autograd.gradcheck(function(t) return fft.rfftn(t, { 5, 3 }, { 1, 0 }, "ortho") end, { r }))
  end)

  it("writes to out, whose dtype may be wider but not real", function()
    local x, out = torch.randn(5), torch.empty(0, { dtype = torch.complex128 })
    fft.fft(x, { out = out })
    close(out:to(torch.complex64), fft.fft(x), 1e-6)
    fails("float32", fft.fft, x, { out = torch.empty(0) })
    local f = torch.empty(0, { dtype = torch.float64 })
    fft.fftfreq(3, { out = f })
    assert.equal(1 / 3, f[1]:item())
    fails("dtype", fft.fftfreq, 3, { dtype = torch.float32, out = f })
  end)

  it("takes empty batches, but no empty transform", function()
    assert.equal("torch.Size([0, 3])", tostring(fft.rfft(torch.zeros(0, 4)).shape))
    assert.equal("torch.Size([3, 4])", tostring(fft.fft(torch.zeros(3, 0), 4).shape))
    fails("data points", fft.fft, torch.zeros(3, 0))
    fails("data points", fft.irfft, torch.zeros(3, 1))
    fails("data points", fft.irfft, torch.zeros(3, 0))
  end)

  it("names what is wrong with its arguments", function()
    local x = torch.zeros(4, 6)
    fails("got 0", fft.fft, x, 0)
    fails("got -3", fft.hfft, x, -3)
    fails("-2", fft.fftn, x, { 2, -2 })
    fails("dim", fft.fft, x, { dim = 2 })
    fails("no dims", fft.fft, torch.tensor(1.))
    fails("unique", fft.fftn, x, { dim = { 0, -2 } })
    fails("same length", fft.fftn, x, { s = { 2 }, dim = { 0, 1 } })
    fails("3 entries", fft.fftn, x, { 2, 3, 4 })
    fails("at least one dim", fft.rfftn, x, { dim = {} })
    fails("at least one dim", fft.irfftn, torch.tensor(1.))
    fails("'bad'", fft.fft, x, { norm = "bad" })
    fails("real", fft.rfft, x:to(torch.complex64))
    fails("real", fft.ihfftn, x:to(torch.complex64))
    fails("float16", fft.fft, x:half())
    fails("bfloat16", fft.irfft, x:bfloat16())
    fails("n must", fft.fftfreq, -1)
    fails("floating", fft.rfftfreq, 4, { dtype = torch.int64 })
    fails("at least one dim", fft.fftshift, torch.tensor(1.))
    assert.equal("torch.Size([])", tostring(fft.fftn(torch.tensor(1.)).shape))
    assert.equal(torch.complex64, fft.fftn(torch.tensor(1.)).dtype)
  end)
end)

describe("stft", function()
  it("is undone by istft", function()
    for _, n_fft in ipairs { 16, 15, 64 } do
      for _, window in ipairs { torch.hann_window(n_fft, { dtype = torch.float64 }), false } do
        local options = { window = window or nil, return_complex = true }
        local x = normal { 2, 200 }
        local y = torch.stft(x, n_fft, options)
        assert.equal(n_fft // 2 + 1, y:size(1))
        close(torch.istft(y, n_fft, { window = window or nil, length = 200 }), x)
        close(x[0]:stft(n_fft, options):istft(n_fft, { window = window or nil, length = 200 }), x[0])
        options.onesided, options.normalized, options.hop_length = false, true, n_fft // 3
        y = torch.stft(x, n_fft, options)
        close(torch.istft(y, n_fft, { hop_length = n_fft // 3, window = window or nil, normalized = true, length = 200 }), x)
      end
    end
  end)

  it("has derivatives with respect to the signal and the window", function()
    local x, w = normal { 30 }:requires_grad_(), (normal { 8 }:abs() + 0.5):requires_grad_()
    local function forward(a, b) return torch.stft(a, 8, 3, 8, b, { return_complex = true }) end
    assert.is_true(torch.autograd.gradcheck(forward, { x, w }))
    assert.is_true(torch.autograd.gradgradcheck(forward, { x, w }))
    local y = forward(x, w):detach():requires_grad_()
    local function back(a, b) return torch.istft(a, 8, 3, 8, b) end
    assert.is_true(torch.autograd.gradcheck(back, { y, w }))
    assert.is_true(torch.autograd.gradgradcheck(back, { y, w }))
  end)

  it("names what is wrong with its arguments", function()
    local x, w = torch.zeros(2, 50), torch.hann_window(16)
    local function stft(...)
      local args = table.pack(...)
      local options = type(args[args.n]) == "table" and table.remove(args) or {}
      options.return_complex = true
      args[#args + 1] = options
      return torch.stft(x, table.unpack(args))
    end
    fails("return_complex", torch.stft, x, 16)
    fails("n_fft", stft, 0)
    fails("n_fft", stft, 51, { center = false })
    fails("hop_length", stft, 16, 0)
    fails("hop_length", stft, 3, -1)
    fails("win_length", stft, 16, 4, 17)
    fails("win_length", stft, 16, 4, 0)
    fails("window", stft, 16, { window = torch.ones(15) })
    fails("window", stft, 16, { window = torch.ones(4, 4) })
    fails("onesided", stft, 16, { window = w:to(torch.complex64), onesided = true })
    fails("align_to_window", stft, 16, { align_to_window = true })
    fails("bad", stft, 16, { pad_mode = "bad" })
    fails("floating", torch.stft, x:long(), 16, { return_complex = true })
    fails("(batch, time)", torch.stft, torch.zeros(1, 2, 50), 16, { return_complex = true })
    local y = torch.stft(x, 16, { window = w, return_complex = true })
    fails("complex", torch.istft, y:real(), 16)
    fails("overlap", torch.istft, y, 16, { window = w, center = false })
    fails("overlap", torch.istft, y, 16, { window = torch.zeros(16) })
    fails("n_fft", torch.istft, y, 18)
    fails("hop_length", torch.istft, y, 16, 17)
    fails("hop_length", torch.istft, y, 16, 0)
    fails("win_length", torch.istft, y, 16, 4, 17)
    fails("window", torch.istft, y, 16, { window = torch.ones(15) })
    fails("empty", torch.istft, torch.zeros(9, 0, { dtype = torch.complex64 }), 16)
    fails("length", torch.istft, y, 16, { length = -1 })
    fails("onesided", torch.istft, y, 16, { return_complex = true })
    fails("shape", torch.istft, y:unsqueeze(0), 16)
  end)
end)

describe("windows", function()
  it("of one sample let it through, and of none are empty", function()
    for _, name in ipairs { "bartlett", "blackman", "hann", "hamming", "kaiser" } do
      for _, periodic in ipairs { true, false } do
        assert.equal(1, torch[name .. "_window"](1, periodic):item())
        assert.equal(0, #torch[name .. "_window"](0, periodic))
      end
    end
  end)

  it("are symmetric, or one sample short of it", function()
    for name, window in pairs(windows) do
      local options = { dtype = torch.float64, a = name == "general_cosine" and { 0.5, 0.3 } or nil }
      local w = window(9, options)
      close(w, w:flip(0), 1e-15)
      options.sym = false
      close(window(8, options), w:narrow(0, 0, 8), 1e-12)
    end
    close(torch.hann_window(8, { dtype = torch.float64 }), torch.hann_window(9, false, { dtype = torch.float64 }):narrow(0, 0, 8), 1e-15)
  end)

  it("may require gradients and name their dtypes", function()
    local w = torch.hann_window(4, { dtype = torch.float64, requires_grad = true })
    assert.is_true(w.requires_grad and w.is_leaf)
    assert.equal(torch.bfloat16, torch.kaiser_window(4, { dtype = torch.bfloat16 }).dtype)
    fails("floating", torch.hann_window, 4, { dtype = torch.int64 })
    fails("float32 or float64", windows.hann, 4, { dtype = torch.float16 })
  end)

  it("name what is wrong with their arguments", function()
    fails("window_length", torch.hann_window, -1)
    fails("M must", windows.hann, -1)
    fails("std", windows.gaussian, 5, { std = 0 })
    fails("tau", windows.exponential, 5, { tau = -1 })
    fails("center", windows.exponential, 5, { center = 2 })
    fails("beta", windows.kaiser, 5, { beta = -1 })
    fails("coefficient", windows.general_cosine, 5, { a = {} })
    fails("a", windows.general_cosine, 5)
    fails("M", windows.hann, 5.5)
  end)

  it("are found in their submodules", function()
    assert.equal(torch.signal, torch.signal)
    assert.equal(torch.signal.windows.hann, windows.hann)
    assert.equal("function", type(torch.fft.rfftn))
  end)
end)
