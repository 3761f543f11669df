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
