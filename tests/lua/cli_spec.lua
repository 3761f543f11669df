-- The `lampad` command: options, scripts, exit statuses, error reports.

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local command = dofile(here .. "/command.lua")
local run = command.run

describe("the lampad command", function()
  local folder
  setup(function() folder = command.new_folder() end)
  teardown(command.clean)

  local function script(name, text)
    local path = folder .. "/" .. name
    command.write(path, text)
    return path
  end

  it("says its version", function()
    local status, out = run { "--version" }
    assert.equal(0, status)
    assert.truthy(out:match "^Lampad %d+%.%d+%.%d+ %(Lua 5%.4%.%d+%)\n$")
    assert.equal(out, select(2, run { "-v" }))
  end)

  it("explains its options", function()
    local status, out = run { "--help" }
    assert.equal(0, status)
    for _, word in ipairs { "-e CODE", "-l NAME", "-i", "--version", "lampad help", "lampad doctor", "lampad inspect" } do
      assert.truthy(out:find(word, 1, true), word)
    end
  end)

  it("refuses what it does not know with status 2", function()
    local status, _, err = run { "--frobnicate" }
    assert.equal(2, status)
    assert.truthy(err:find("'--frobnicate' is not an option", 1, true))
    status, _, err = run { "-e" }
    assert.equal(2, status)
    assert.truthy(err:find("'-e' needs a value", 1, true))
  end)

  it("runs code given by -e in order, sharing globals", function()
    local status, out = run { "-e", "x = 20", "-ey = 1", "-e", "print(x * 2 + 2 * y)" }
    assert.equal(0, status)
    assert.equal("42\n", out)
  end)

  it("requires modules by -l into globals", function()
    local module = script("greeting.lua", "return { text = 'hello' }")
    local prefix = "LUA_PATH=" .. command.quote(folder .. "/?.lua;;")
    local status, out = run({ "-l", "greeting", "-l", "g=greeting", "-e", "print(greeting.text, g == greeting)" },
      nil, prefix)
    assert.truthy(module)
    assert.equal(0, status)
    assert.equal("hello\ttrue\n", out)
  end)

  it("gives a script its arguments", function()
    local path = script("args.lua", "print(#arg, arg[1], arg[2], ...) print(arg[0])")
    local status, out = run { path, "-x", "two words" }
    assert.equal(0, status)
    assert.equal("2\t-x\ttwo words\t-x\ttwo words\n" .. path .. "\n", out)
  end)

  it("finds modules beside the script", function()
    script("beside.lua", "return 'beside'")
    local path = script("main.lua", "print((require 'beside'))")
    assert.equal("beside\n", select(2, run { path }))
  end)

  it("runs stdin as a script for -", function()
    local status, out = run({ "-", "a" }, "local x = ...\nprint(x, arg[1])\n")
    assert.equal(0, status)
    assert.equal("a\ta\n", out)
  end)

  it("reports an error with the user's line, the stack and status 1", function()
    local path = script("fails.lua", "local function inner()\n  error('boom')\nend\n\ninner()\nprint 'unreached'\n")
    local status, out, err = run { path }
    assert.equal(1, status)
    assert.equal("", out)
    assert.truthy(err:find("lampad: " .. path .. ":2: boom\n", 1, true))
    assert.truthy(err:find(path .. ":5: in main chunk", 1, true))
    assert.falsy(err:find("[C]: in ?", 1, true))
    assert.falsy(err:find("\27", 1, true))
  end)

  it("reports errors that are not strings", function()
    local status, _, err = run { "-e", "error({})" }
    assert.equal(1, status)
    assert.truthy(err:find("(error value of type table)", 1, true))
    _, _, err = run { "-e", "error(setmetatable({}, {__tostring = function() return 'own text' end}))" }
    assert.truthy(err:find("own text", 1, true))
    status, _, err = run { "-e", "error()" }
    assert.equal(1, status)
    assert.truthy(err:find("(error value of type nil)", 1, true))
  end)

  it("reports syntax errors and missing files", function()
    local status, _, err = run { script("broken.lua", "x = = 1") }
    assert.equal(1, status)
    assert.truthy(err:find("broken.lua:1: unexpected symbol near '='", 1, true))
    status, _, err = run { folder .. "/absent.lua" }
    assert.equal(1, status)
    assert.truthy(err:find("absent.lua", 1, true))
  end)

  it("suggests a global for a mistyped one", function()
    local _, _, err = run { "-e", "pritn(1)" }
    assert.truthy(err:find("did you mean 'print'?", 1, true))
    _, _, err = run { "-e", "torch.sigmiod(torch.ones(1))" }
    assert.truthy(err:find("did you mean 'sigmoid'?", 1, true))
    _, _, err = run { "-e", "torch.ones(1):reshap(1)" }
    assert.truthy(err:find("did you mean 'reshape'?", 1, true))
    _, _, err = run { "-e", "local _ = nn.Conv22d(1, 1, 3)" }
    assert.truthy(err:find("did you mean 'Conv2d'?", 1, true))
  end)

  it("tells a property from a method", function()
    local _, _, err = run { "-e", "torch.ones(2):shape()" }
    assert.truthy(err:find("hint: 'shape' is no method; write x.shape", 1, true), err)
    _, _, err = run { "-e", "local list = {} list[next({ 1 })]()" }
    assert.is_nil(err:find("hint:", 1, true), err)
  end)

  it("fails when its output cannot be written", function()
    local status, _, err = command.shell(command.quote(command.path) .. " -e 'print(1)' > /dev/full")
    assert.equal(1, status)
    assert.truthy(err:find("could not be written", 1, true))
  end)

  it("keeps the status of os.exit", function()
    assert.equal(7, (run { "-e", "os.exit(7)" }))
    assert.equal(0, (run { "-e", "os.exit(true, true)" }))
  end)

  it("defines the library's globals without a require", function()
    local status, out, err = run { "-e", "print(torch == require 'lampad', nn == torch.nn, F == nn.functional, " ..
      "optim == torch.optim, vision == torch.vision)" }
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal("true\ttrue\ttrue\ttrue\ttrue\n", out)
  end)

  it("leaves a user's own globals alone", function()
    assert.equal("5\tnil\n", select(2, run { "-e", "nn = 5 print(nn, undefined_name)" }))
  end)

  it("stops a script at Ctrl-C with status 130", function()
    local path = script("forever.lua", "while true do end\n")
    local status, _, err = run({ path }, nil, "timeout -k 10 --foreground --preserve-status -s INT 0.5")
    assert.equal(130, status)
    assert.truthy(err:find("forever.lua:1: interrupted", 1, true))
  end)

  it("stops a script inside a coroutine, and one that sleeps", function()
    local prefix = "timeout -k 10 --foreground --preserve-status -s INT 0.5"
    local status, _, err = run({ "-e", "coroutine.wrap(function() while true do end end)()" }, nil, prefix)
    assert.equal(130, status)
    assert.truthy(err:find("interrupted", 1, true))
    status = run({ "-e", "local co = coroutine.create(function() while true do coroutine.yield() end end) " ..
      "while true do coroutine.resume(co) end" }, nil, prefix)
    assert.equal(130, status)
  end)

  it("lets a script catch the interrupt and go on", function()
    local status, out = run({ "-e", "print(pcall(function() while true do end end)) print 'cleaned up'" }, nil,
      "timeout -k 10 --foreground --preserve-status -s INT 0.5")
    assert.equal(0, status)
    assert.truthy(out:find("false\t%(command line%):1: interrupted\ncleaned up\n"))
  end)

  it("keeps coroutines as Lua has them", function()
    local status, out, err = run { script("co.lua", [[
      local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) error({ b }) end)
      print(coroutine.resume(co, 1))
      local ok, value = coroutine.resume(co, 2)
      print(ok, type(value), value[1], coroutine.status(co))
      print(coroutine.resume(co))
      local w = coroutine.wrap(function(...) for i = 1, select("#", ...) do coroutine.yield((select(i, ...))) end end)
      print(w(1, 2), w(), select("#", w()))
      print(pcall(w))
      local closed
      local failing = coroutine.wrap(function()
        local c <close> = setmetatable({}, { __close = function() closed = true end })
        error("x", 0)
      end)
      local fine, message = pcall(failing)
      print(fine, message:match("x$"), closed)
    ]]) }
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal("true\t2\nfalse\ttable\t2\tdead\nfalse\tcannot resume dead coroutine\n1\t2\t0\n" ..
      "false\tcannot resume dead coroutine\nfalse\tx\ttrue\n", out)
  end)

  it("shows the help of an op and fails for a name that is none", function()
    local status, out = run { "help", "torch.add" }
    assert.equal(0, status)
    assert.truthy(out:find("add(Tensor self, ", 1, true))
    local err
    status, out, err = run { "help", "torch.sigmiod" }
    assert.equal(1, status)
    assert.equal("", out)
    assert.truthy(err:find("did you mean 'sigmoid'?", 1, true))
    status, out = run { "help" }
    assert.equal(0, status)
    assert.truthy(out:find("lampad help torch.add", 1, true))
    status, out = run { "help", "nn.Linear" }
    assert.equal(0, status)
    assert.truthy(out:find("nn.Linear(in_features, out_features, bias=true, device=nil, dtype=nil)", 1, true))
  end)

  it("reports on the machine", function()
    local status, out = run { "doctor" }
    assert.equal("everything works", out:match "([^\n]*)\n$")
    assert.equal(0, status)
  end)

  it("keeps all processors for its threads where they are bound", function()
    -- libgomp tells its places while it is loaded: of the process that the shell starts and of what that starts anew.
    for _, binding in ipairs { "OMP_PROC_BIND=true", "OMP_PROC_BIND=spread", "GOMP_CPU_AFFINITY=0-63" } do
      local line = ("env -u GOMP_SPINCOUNT OMP_DISPLAY_ENV=true %s %s -e ''"):format(binding, command.quote(command.path))
      local _, _, err = command.shell(line)
      local first
      for places in err:gmatch "OMP_PLACES = '([^']*)'" do
        first = first or places
        assert.equal(first, places)
      end
      assert.truthy(first)
    end
  end)

  it("counts the processors of the process where threads are bound", function()
    local count = "env -u OMP_NUM_THREADS %s %s -e 'print(torch.get_num_threads())'"
    local _, expected = command.shell(count:format("", command.quote(command.path)))
    for _, setting in ipairs { "OMP_PROC_BIND=true", "OMP_PROC_BIND=spread GOMP_SPINCOUNT=100", "OMP_PLACES=threads" } do
      local status, out, err = command.shell(count:format(setting, command.quote(command.path)))
      assert.equal(0, status, err)
      assert.equal(expected, out)
    end
  end)

  it("serves stock lua5.4 through require", function()
    local status, out, err = command.shell(("LUA_CPATH=%s lua5.4 -e %s"):format(
      command.quote(command.folder .. "/?.so;;"),
      command.quote("local torch = require 'lampad' print(torch.ones(2, 2):sum():item(), _G.torch)")))
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal("4.0\tnil\n", out)
  end)

  it("reads the libraries from LAMPAD_LUA_DIR when it is set", function()
    os.execute("mkdir -p " .. command.quote(folder .. "/lampad"))
    script("lampad/probe.lua", "return 'from the folder'")
    local prefix = "LAMPAD_LUA_DIR=" .. command.quote(folder)
    assert.equal("from the folder\n", select(2, run({ "-e", "print((require 'lampad.probe'))" }, nil, prefix)))
    assert.equal(1, (run { "-e", "require 'lampad.probe'" }))
  end)
end)
