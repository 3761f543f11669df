-- torch.save when it is stopped: killed in the middle, at a file size limit, at a full disk, beside another writer. The old
-- file is as it was, what a killed process left goes with the next save.
local torch = require "lampad"
local command = require "command"

local function run(script)
  local out <close> = assert(io.popen(script .. " 2>&1"))
  return out:read "a"
end

local function temporaries(dir) return select(2, run(("ls -A '%s'"):format(dir)):gsub("%.lampad%-[^\n]*", "")) end

local large = [[local t = {} for i = 1, 40 do t[i] = torch.ones(500000) end torch.save(t, PATH)]]

-- Starts to save a large file and stops the process as soon as its temporary file is there, with the signal.
local function stop_in_the_middle(dir, signal)
  local code = large:gsub("PATH", ("%q"):format(dir .. "/a.pt"))
  return run(([[
    '%s' -e '%s' > /dev/null 2>&1 & pid=$!
    tries=0
    until set -- '%s'/.lampad-*; [ -s "$1" ] || [ $((tries += 1)) -gt 100000 ]; do :; done
    kill -%s $pid; echo $pid
    [ %s = STOP ] || wait $pid 2>/dev/null]]):format(command.path, code, dir, signal, signal))
end

describe("torch.save that is stopped", function()
  after_each(command.clean)

  it("leaves the old file when it is killed, and the next save removes what was left", function()
    local dir = command.new_folder()
    local path = dir .. "/a.pt"
    torch.save({ epoch = 1 }, path)
    local left = 0
    for _ = 1, 5 do
      if left > 0 then break end
      stop_in_the_middle(dir, "KILL")
      left = temporaries(dir)
      local value = torch.load(path) -- one or the other, and whole
      assert.is_true(value.epoch == 1 or #value == 40)
    end
    assert.equals(1, left)
    torch.save({ epoch = 2 }, path)
    assert.equals(0, temporaries(dir))
    assert.equals(2, torch.load(path).epoch)
  end)

  it("leaves alone what another process is writing", function()
    local dir = command.new_folder()
    local path = dir .. "/a.pt"
    local pid
    for _ = 1, 5 do
      pid = stop_in_the_middle(dir, "STOP"):match "%d+"
      if temporaries(dir) == 1 then break end
      run(("kill -KILL %s"):format(pid))
    end
    torch.save({ epoch = 2 }, path)
    assert.equals(1, temporaries(dir))
    assert.equals(2, torch.load(path).epoch)
    run(("kill -CONT %s; while kill -0 %s 2>/dev/null; do sleep 0.02; done"):format(pid, pid))
    assert.equals(0, temporaries(dir))
    assert.equals(40, #torch.load(path))
  end)

  it("leaves what is no plain file of the temporary's name", function()
    local dir = command.new_folder()
    local path = dir .. "/a.pt"
    stop_in_the_middle(dir, "KILL")
    local name = run(("ls -A '%s' | grep lampad"):format(dir)):gsub("%s+$", "")
    if name ~= "" then
      run(("cd '%s' && rm '%s' && echo secret > other && ln -s other '%s'"):format(dir, name, name))
      torch.save({ epoch = 2 }, path)
      assert.equals("secret\n", run(("cat '%s/other'"):format(dir)))
      assert.equals(2, torch.load(path).epoch)
    end
  end)

  it("leaves the old file when the new one grows too large", function()
    local dir = command.new_folder()
    local path = dir .. "/a.pt"
    torch.save({ epoch = 1 }, path)
    local code = large:gsub("PATH", ("%q"):format(path))
    local text = run(("ulimit -f 1000; '%s' -e '%s'"):format(command.path, code))
    assert.matches("cannot write .*File too large; the file was left as it was", text)
    assert.equals(1, torch.load(path).epoch)
    assert.equals(0, temporaries(dir))
  end)

  it("leaves the old file when the disk is full", function()
    local dir = command.new_folder()
    if run(("mount -t tmpfs -o size=4m tmpfs '%s'"):format(dir)) ~= "" then return end -- not allowed here
    local path = dir .. "/a.pt"
    torch.save({ epoch = 1 }, path)
    local ok, message = pcall(torch.save, torch.ones(4 << 20), path)
    local epoch, left = torch.load(path).epoch, temporaries(dir)
    run(("umount '%s'"):format(dir))
    assert.is_false(ok)
    assert.matches("No space left on device; the file was left as it was", message)
    assert.same({ 1, 0 }, { epoch, left })
  end)
end)
