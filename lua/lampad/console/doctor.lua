-- `lampad doctor`: what a bug report or a slow run needs to know about this machine, and short trials of
-- what can be broken. Returns true when nothing is wrong.

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local content = file:read "a"
  file:close()
  return content
end

local function exists(path) return read_file(path) ~= nil end

local function bytes(n)
  if n >= 1 << 30 then return ("%.1f GiB"):format(n / (1 << 30)) end
  return ("%.0f MiB"):format(n / (1 << 20))
end

local sound

local function say(name, format, ...)
  io.stdout:write(("%-16s %s\n"):format(name, format:format(...)))
end

-- Runs a trial; an error, or a result other than true, is a fault.
local function try(name, trial)
  local ok, result = pcall(trial)
  if ok and result == true then
    say(name, "ok")
  else
    sound = false
    say(name, "FAILED: %s", tostring(result))
  end
end

local function processor()
  local info = read_file "/proc/cpuinfo" or ""
  local model = info:match "model name%s*:%s*([^\n]+)" or "unknown"
  local _, cores = info:gsub("\nprocessor%s*:", "")
  if info:match "^processor" then cores = cores + 1 end
  local sets = {}
  for _, name in ipairs { "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_bf16", "amx_tile" } do
    if info:find("%f[%w_]" .. name .. "%f[^%w_]") then sets[#sets + 1] = name end
  end
  say("processor", "%s, %d cores", model, cores)
  if #sets > 0 then say("instructions", "%s", table.concat(sets, " ")) end
end

local function memory()
  local info = read_file "/proc/meminfo" or ""
  local total, available = info:match "MemTotal:%s*(%d+)", info:match "MemAvailable:%s*(%d+)"
  if total then say("memory", "%s, %s available", bytes(total * 1024), bytes((available or 0) * 1024)) end
end

-- The libraries in use, by the files that are mapped.
local function libraries()
  local seen = {}
  for path in (read_file "/proc/self/maps" or ""):gmatch "(/[^\n]+%.so[^\n]*)\n" do
    for _, name in ipairs { "liblampad", "openblas", "dnnl", "sleef", "gomp", "readline", "libedit" } do
      if path:find(name, 1, true) and not seen[path] then
        seen[path] = true
        say("library", "%s", path)
      end
    end
  end
end

return function()
  sound = true
  local torch = require "lampad"
  say("lampad", "%s, %s", torch.__version__, _VERSION)
  processor()
  say("threads", "%d (torch.set_num_threads, or OMP_NUM_THREADS in the environment)", torch.get_num_threads())
  memory()
  libraries()
  for _, name in ipairs { "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LAMPAD_LUA_DIR", "LUA_PATH", "LUA_CPATH" } do
    local value = os.getenv(name)
    if value then say("environment", "%s=%s", name, value) end
  end
  say("Fashion-MNIST", "%s", exists "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"
    and "/usr/share/datasets/fashion-mnist" or "not installed (Debian package dataset-fashion-mnist)")

  try("arithmetic", function() return torch.ones(1000):add(1):sum():item() == 2000 end)
  try("matmul", function() return torch.ones(65, 33):matmul(torch.ones(33, 17)):sum():item() == 65 * 33 * 17 end)
  try("convolution", function()
    local y = torch.nn.functional.conv2d(torch.ones(2, 3, 8, 8), torch.ones(4, 3, 3, 3))
    return y:sum():item() == 2 * 4 * 6 * 6 * 27
  end)
  try("gradients", function()
    local x = torch.tensor({ 3.0 }, { requires_grad = true })
    x:mul(x):sum():backward()
    return x.grad:item() == 6
  end)
  try("random numbers", function()
    torch.manual_seed(0)
    return math.abs(torch.randn(1):item() - 1.5409961) < 1e-6
  end)
  io.stdout:write(sound and "everything works\n" or "something is wrong: see FAILED above\n")
  return sound
end
