-- The interactive session: through a pipe, and on a pseudo-terminal driven by tests/repl/*.exp.

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local command = dofile(here .. "/command.lua")

-- What the session prints for the lines piped into it, without colours.
local function session(lines, args)
  return command.run(args or {}, lines)
end

describe("a session on a pipe", function()
  teardown(command.clean)

  it("shows the values of expressions and runs statements", function()
    local status, out, err = session "1 + 41\nx = 5\nx * 2\n= x\nprint(x)\n"
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal("42\n10\n5\n5\n", out)
  end)

  it("shows strings quoted, nil, several values and nothing", function()
    local _, out = session "'a\\n\"b\"'\nnil\n1, 'two', nil\n(function() end)()\n"
    assert.equal('"a\\n\\"b\\""\nnil\n1\t"two"\tnil\n', out)
  end)

  it("keeps quiet after a semicolon and remembers the last values", function()
    local _, out = session "6 * 7;\n_\n1\n_ + 1, __\n"
    assert.equal("42\n1\n2\t42\n", out)
  end)

  it("joins lines until they make sense", function()
    local _, out = session "for i = 1, 2 do\n  print(i)\nend\nf = function(a,\n  b)\n  return a + b end\nf(1,\n2)\n"
    assert.equal("1\n2\n3\n", out)
  end)

  it("joins the lines of long strings and comments", function()
    local _, out = session "s = [[a\nb]]\n#s\n--[[ x\ny ]] 7\n"
    assert.equal("3\n7\n", out)
  end)

  it("keeps top-level locals for the next entries", function()
    local _, out, err = session(table.concat({
      "local a, b = 1, 2", "local c <const> = 3", "local function f(n) return n < 2 and 1 or n * f(n - 1) end",
      "a + b + c, f(5)", "local d", "d", "do local hidden = 1 end", "hidden", "local s = 'local x = 1' -- local y",
      "s", "local t = { f = function() local z = 9 return z end }", "t.f(), z", "" }, "\n"))
    assert.equal("", err)
    assert.equal('6\t120\nnil\nnil\n"local x = 1"\n9\tnil\n', out)
  end)

  it("goes on after errors and ends with status 1", function()
    local status, out, err = session "error('boom')\n1 + 1\nx = = 2\nlocal function f() nothing.here = 1 end f()\n"
    assert.equal(1, status)
    assert.equal("2\n", out)
    assert.truthy(err:find("error: stdin:1: boom\n", 1, true))
    assert.truthy(err:find("unexpected symbol near '='", 1, true))
    assert.truthy(err:find("in function 'f'", 1, true))
  end)

  it("reports an entry that ends too early", function()
    local status, _, err = session "for i = 1, 2 do\n"
    assert.equal(1, status)
    assert.truthy(err:find("'end' expected", 1, true))
  end)

  it("runs code given before going on interactively", function()
    local status, out = session("x + 1\n", { "-q", "-i", "-e", "x = 1" })
    assert.equal(0, status)
    assert.equal("> 2\n> ", out)
  end)

  it("shows help for a question mark", function()
    local _, out = session "?torch.add\n??sigmoid\n"
    assert.truthy(out:find("add(Tensor self, ", 1, true))
    assert.truthy(out:find("sigmoid ", 1, true))
  end)

  it("shows tensors as PyTorch does", function()
    local _, out = session "torch.tensor{1, 2, 3}\n{torch.zeros(2), n = 1}\nlocal x = torch.ones(2)\nx:sum():item()\n"
    assert.equal("tensor([1, 2, 3])\n{tensor([0., 0.]), n = 1}\n2.0\n", out)
  end)
end)

describe("completion", function()
  local complete = require "lampad.console.complete"

  local function has(text, ...)
    local list, start = complete(text)
    local known = {}
    for _, name in ipairs(list) do known[name] = true end
    for _, name in ipairs { ... } do assert(known[name], text .. " lacks " .. name) end
    return list, start
  end

  it("knows the library's names before they are loaded", function()
    has("torch.", "nn", "optim", "linalg", "zeros", "utils")
    has("nn.Conv", "Conv1d", "Conv2d", "Conv3d")
    has("nn.functional.cross", "cross_entropy")
    has("optim.", "SGD", "Adam", "lr_scheduler")
    has("vision.", "datasets", "transforms")
  end)

  it("knows tensors, modules and strings", function()
    rawset(_G, "spec_x", torch.ones(2))
    rawset(_G, "spec_net", nn.Sequential(nn.Linear(2, 3)))
    local Net = nn.Module:extend "Net"
    function Net:init() self.fc1 = nn.Linear(1, 1) end
    rawset(_G, "spec_own", Net())
    local _, start = has("y = spec_x:sig", "sigmoid", "sigmoid_")
    assert.equal(#"y = spec_x:", start)
    has("spec_x.sh", "shape")
    has("spec_net:named_p", "named_parameters")
    has("spec_own.f", "fc1")
    has("spec_own.fc1.", "weight", "bias")
    has("io.stdout:", "write", "close")
    rawset(_G, "spec_x", nil)
    rawset(_G, "spec_net", nil)
    rawset(_G, "spec_own", nil)
  end)

  it("offers nothing where nothing is known", function()
    assert.same({}, (complete "no_such_thing."))
    assert.same({}, (complete "f(x):"))
    assert.same({}, (complete "a..b"))
  end)

  it("completes modules in require", function()
    has("local m = require 'lampad.nn.func", "functional")
    has("require(\"str", "string")
  end)
end)

describe("inspect", function()
  local inspect = require "lampad.inspect"

  it("shows plain values as Lua writes them", function()
    assert.equal('"a\\tb\\\\ \\"c\\" ü"', inspect "a\tb\\ \"c\" ü")
    assert.equal('"\\xff\\x01"', inspect "\xff\1")
    assert.equal("1.0", inspect(1.0))
    assert.equal("nil", inspect(nil))
    assert.truthy(inspect(print):match "^function")
  end)

  it("shows tables in one line when they fit, names cycles, stops at depth and length", function()
    assert.equal("{}", inspect {})
    assert.equal('{1, "two", {3}, [-1] = 9, a = true, ["b c"] = false, ["end"] = 0}',
      inspect { 1, "two", { 3 }, a = true, ["b c"] = false, ["end"] = 0, [-1] = 9 })
    local cycle = { 1 }
    cycle.self = cycle
    assert.equal("{1, self = <cycle>}", inspect(cycle))
    assert.equal("{{{{{...}}}}}", inspect { { { { { { 1 } } } } } })
    local long = {}
    for i = 1, 500 do long[i] = i end
    local text = inspect(long)
    assert.truthy(text:find("... 400 more", 1, true))
    for line in text:gmatch "[^\n]+" do assert.truthy(#line <= 80) end
  end)

  it("shows objects by their own text, also one that fails", function()
    assert.equal("{own}", inspect { setmetatable({}, { __tostring = function() return "own" end }) })
    local bad = setmetatable({}, { __tostring = function() error("no", 0) end })
    assert.truthy(inspect(bad):find("__tostring failed: no", 1, true))
    assert.equal("Point {x = 1}", inspect(setmetatable({ x = 1 }, { __name = "Point" })))
  end)

  it("reads no field through a metamethod", function()
    local touched = 0
    local t = setmetatable({ a = 1 }, { __index = function() touched = touched + 1 end, __pairs = error, __len = error })
    assert.equal("{a = 1}", inspect(t))
    assert.equal(0, touched)
  end)
end)

describe("a session on a terminal", function()
  teardown(command.clean)

  for _, name in ipairs { "edit", "interrupt", "complete" } do
    it(name .. "s as a person expects", function()
      local home = command.new_folder()
      local status, out, err = command.shell(("HOME=%s XDG_STATE_HOME= XDG_CONFIG_HOME= TERM=xterm NO_COLOR= " ..
        "LC_ALL=C.UTF-8 timeout -k 5 120 expect -f %s/../repl/%s.exp %s"):format(command.quote(home),
        command.quote(here), name, command.quote(command.path)))
      assert.equal(0, status, out .. err)
      assert.equal("ok", out:match "([^\r\n]*)[\r\n]*$", out)
      if name == "edit" then
        local history = home .. "/.local/state/lampad/history"
        local _, mode = command.shell("stat -c %a " .. command.quote(history))
        assert.equal("600\n", mode)
        local text = command.read(history)
        assert.truthy(text:find("for i = 1, 2 do\n", 1, true), "entries of several lines are kept whole")
        assert.truthy(text:match "^#%d+\n")
      end
    end)
  end
end)
