-- torch.hub: downloads from a server with faults (tests/server), checksums, the cache, what to do without a network.
local torch = require "lampad"
local core = require "lampad.core"
local hub = torch.hub
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local command = dofile(here .. "/command.lua")
local start_server = dofile(here .. "/test_server.lua")

local function fails(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, pattern)
  assert.truthy(tostring(message):find(pattern, 1, true), message)
  assert.truthy(message:find("hub_spec.lua:", 1, true), message)
  return message
end

local function read(path)
  local file = io.open(path, "rb")
  local bytes = file and file:read "a"
  if file then file:close() end
  return bytes
end

local server, folder, data, sha, md5
local quiet = { progress = false }

setup(function()
  server = start_server()
  folder = server.folder .. "/out"
  local parts = {}
  for i = 1, 30000 do parts[i] = ("<I4"):pack(i * 2654435761 % (1 << 32)) end
  data = table.concat(parts)
  server:write("data.bin", data)
  sha = core.file_digest(server.folder .. "/data.bin", "sha256")
  md5 = core.file_digest(server.folder .. "/data.bin", "md5")
end)
teardown(function() server:close() end)

-- A new path to download to.
local count = 0
local function target()
  count = count + 1
  return ("%s/%d/data.bin"):format(folder, count)
end

describe("checksums", function()
  it("are those of the standards", function()
    local path = os.tmpname()
    -- From RFC 1321 and FIPS 180.
    local known = {
      { "", "d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
      { "abc", "900150983cd24fb0d6963f7d28e17f72", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
      { ("1234567890"):rep(8), "57edf4a22be3c955ac49da2e2107b67a", "f371bc4a311f2b009eef952dd83ca80e2b60026c8e935592d0f9c308453c813e" },
    }
    for _, case in ipairs(known) do
      assert(core.atomic_write(path, case[1]))
      assert.equal(case[2], core.file_digest(path, "md5"))
      assert.equal(case[3], core.file_digest(path, "sha256"))
    end
    os.remove(path)
    local nothing, message = core.file_digest("/nowhere", "md5")
    assert.is_nil(nothing)
    assert.truthy(message:find "cannot open /nowhere")
  end)
end)

describe("download_url_to_file", function()
  it("writes the file", function()
    local path = target()
    hub.download_url_to_file(server.url .. "/data.bin", path, sha:sub(1, 8), quiet)
    assert.equal(data, read(path))
    assert.is_nil(read(path .. ".part"))
    hub.download_url_to_file(server.url .. "/moved/data.bin", path, nil, false)
    assert.equal(data, read(path))
  end)

  it("goes on where the connection broke, within one call", function()
    local path = target()
    hub.download_url_to_file(server.url .. "/cut/data.bin", path, nil, false)
    assert.equal(data, read(path))
    assert.equal("60000-", server:ask "/last")
    assert.is_nil(read(path .. ".part"))
    -- A connection that always breaks ends some time; the next call goes on.
    fails("transfer closed", hub.download_url_to_file, server.url .. "/half/data.bin", path, sha, false)
    assert.is_nil(read(path))
    assert.truthy(#read(path .. ".part") > 100000)
    hub.download_url_to_file(server.url .. "/data.bin", path, sha, false)
    assert.equal(data, read(path))
    assert.truthy(server:ask "/last":find "^1%d%d%d%d%d%-$")
  end)

  it("refuses a wrong checksum and leaves nothing", function()
    local path = target()
    local message = fails('expected "00ff", got "' .. sha .. '"', hub.download_url_to_file, server.url .. "/data.bin", path, "00ff", false)
    assert.truthy(message:find("data.bin", 1, true))
    assert.is_nil(read(path))
    assert.is_nil(read(path .. ".part"))
  end)

  it("continues a part, or begins again when it does not fit", function()
    local path = target()
    assert(core.make_folders(path:match "^(.*)/"))
    local function part(bytes) assert(core.atomic_write(path .. ".part", bytes)) end
    part(data:sub(1, 70000))
    hub.download_url_to_file(server.url .. "/data.bin", path, sha, quiet)
    assert.equal(data, read(path))
    assert.equal("70000-", server:ask "/last")
    -- A server without ranges.
    part(data:sub(1, 70000))
    hub.download_url_to_file(server.url .. "/norange/data.bin", path, sha, quiet)
    assert.equal(data, read(path))
    -- The part of another file.
    part(("x"):rep(5000))
    hub.download_url_to_file(server.url .. "/data.bin", path, sha, quiet)
    assert.equal(data, read(path))
    assert.equal("none", server:ask "/last")
    -- All of it, or more.
    for _, bytes in ipairs { data, data .. "more" } do
      part(bytes)
      hub.download_url_to_file(server.url .. "/data.bin", path, sha, quiet)
      assert.equal(data, read(path))
    end
    -- Without a checksum nobody can tell what the part is of.
    part(("x"):rep(5000))
    hub.download_url_to_file(server.url .. "/data.bin", path, nil, false)
    assert.equal(data, read(path))
    assert.equal("none", server:ask "/last")
  end)

  it("says what is wrong and what to do", function()
    local path = target()
    local message = fails("404", hub.download_url_to_file, server.url .. "/none.bin", path, nil, false)
    assert.truthy(message:find("Without a network: get none.bin elsewhere and put it at " .. path, 1, true), message)
    assert.truthy(message:find("LAMPAD_MIRROR", 1, true))
    assert.is_nil(read(path .. ".part"))
    fails("503", hub.download_url_to_file, server.url .. "/status/503", path, nil, false)
    fails("redirects", hub.download_url_to_file, server.url .. "/loop/data.bin", path, nil, false)
    fails('Protocol "file" not supported', hub.download_url_to_file, server.url .. "/local/etc/passwd", path, nil, false)
    fails("only http and https", hub.download_url_to_file, "file:///etc/passwd", path, nil, false)
    fails("Could", hub.download_url_to_file, "http://127.0.0.1:1/x.bin", path, nil, false)
    fails("cannot make the folder", hub.download_url_to_file, server.url .. "/data.bin", "/proc/x/data.bin", nil, false)
  end)

  it("follows proxies, but not to this machine", function()
    local path = target()
    local function run(url)
      return command.run({ "-e", ("torch.hub.download_url_to_file(%q, %q, nil, false)"):format(url, path) }, nil,
        "http_proxy=" .. server.url .. " ")
    end
    assert.equal(0, (run(server.url .. "/data.bin")))
    -- Our server is no proxy: asked for a whole address, it says that there is no such file.
    local status, _, err = run "http://files.example.org/data.bin"
    assert.equal(1, status)
    assert.truthy(err:find("404", 1, true), err)
  end)

  it("stops at Ctrl-C and keeps the part for the next call", function()
    local path = target()
    local script = ([[
      torch.hub.download_url_to_file(%q, %q, %q, false)
    ]]):format(server.url .. "/slow/data.bin", path, sha)
    command.shell("timeout -s INT 1 " .. command.path .. " -e '" .. script:gsub("'", "'\\''") .. "'")
    local part = read(path .. ".part")
    assert.truthy(part and #part > 0 and #part < 100, part and #part)
    assert.equal(data:sub(1, #part), part)
    hub.download_url_to_file(server.url .. "/data.bin", path, sha, quiet)
    assert.equal(data, read(path))
  end)

  it("happens once when two processes want the same file", function()
    local path = target()
    local script = ([[require("lampad.hub").download("x", %q, %q, {"sha256", %q}, false)]]):format(server.url .. "/data.bin", path, sha)
    local line = command.path .. " -e '" .. script .. "'"
    local before = tonumber(server:ask "/count")
    command.shell(("(%s & %s & %s & wait)"):format(line, line, line))
    assert.equal(data, read(path))
    local after = tonumber(server:ask "/count")
    assert.truthy(after - before <= 4, after - before) -- one, or those that saw no file before it was whole
  end)

  it("shows a bar on stderr", function()
    local path = target()
    local _, out, err = command.shell(command.path .. " -e '" .. ("torch.hub.download_url_to_file(%q, %q)"):format(
      server.url .. "/data.bin", path) .. "'")
    assert.equal("", out)
    assert.truthy(err:find("100%%|.*| 117k/117k %[00:0%d<.*B/s%]"), err)
    assert.equal(data, read(path))
  end)
end)

describe("load_state_dict_from_url", function()
  local name
  setup(function()
    local path = os.tmpname()
    torch.save({ weight = torch.arange(6):float() }, path)
    name = "net-" .. core.file_digest(path, "sha256"):sub(1, 8) .. ".pth"
    server:write(name, read(path))
    server:write("bad-00000000.pth", read(path))
    os.remove(path)
  end)

  it("downloads once, checks, and loads", function()
    hub.set_dir(folder .. "/hub")
    assert.equal(folder .. "/hub", hub.get_dir())
    local url = server.url .. "/" .. name
    local options = { progress = false, check_hash = true }
    local before = tonumber(server:ask "/count")
    assert.same({ 0, 1, 2, 3, 4, 5 }, hub.load_state_dict_from_url(url, options).weight:tolist())
    assert.truthy(read(folder .. "/hub/checkpoints/" .. name))
    hub.load_state_dict_from_url(url, options)
    assert.equal(before + 2, tonumber(server:ask "/count")) -- this question and one download
    assert.truthy(hub.load_state_dict_from_url(url, { model_dir = folder .. "/other", file_name = "a.pth", progress = false }))
    assert.truthy(read(folder .. "/other/a.pth"))
    fails('expected "00000000"', hub.load_state_dict_from_url, server.url .. "/bad-00000000.pth", options)
    fails("check_hash = true needs a file name as", hub.load_state_dict_from_url, server.url .. "/data.bin", options)
    local message = fails("404", hub.load_state_dict_from_url, server.url .. "/gone-12345678.pth", options)
    assert.truthy(message:find("put it at " .. folder .. "/hub/checkpoints/gone-12345678.pth", 1, true), message)
    assert.truthy(message:find("TORCH_HOME moves the cache", 1, true), message)
    -- A file of weights in a zip archive of one member, and one of two.
    assert(os.execute(("cd %s && zip -q one.zip %s && zip -q two.zip %s data.bin"):format(server.folder, name, name)))
    assert.same({ 0, 1, 2, 3, 4, 5 }, hub.load_state_dict_from_url(server.url .. "/one.zip", quiet).weight:tolist())
    fails("not of one file with weights", hub.load_state_dict_from_url, server.url .. "/two.zip", quiet)
    server:write("broken.pth", "no checkpoint")
    fails("cannot load", hub.load_state_dict_from_url, server.url .. "/broken.pth", quiet)
  end)

  it("is what networks get their weights by, also when only vision was used", function()
    local _, out = command.run({ "-e", [[print(pcall(vision.models.alexnet, {weights = "DEFAULT", progress = false}))]] }, nil,
      "TORCH_HOME=" .. folder .. "/weights LAMPAD_MIRROR=" .. server.url .. " ")
    assert.truthy(out:find("put it at " .. folder .. "/weights/hub/checkpoints/alexnet-owt-7be5be79.pth", 1, true), out)
  end)

  it("reads a mirror and knows PyTorch's variables", function()
    server:write("files.example.org/models/" .. name, read(server.folder .. "/" .. name))
    local call = ([[print(torch.hub.get_dir(), torch.hub.load_state_dict_from_url("https://files.example.org/models/%s",
      {progress = false, check_hash = true}).weight:sum():item())]]):format(name)
    local function run(variables)
      local pipe = io.popen(("env -u TORCH_HOME -u XDG_CACHE_HOME HOME=%s/home %s %s -e '%s' 2>&1"):format(folder, variables,
        command.path, call))
      local text = pipe:read "a"
      pipe:close()
      return text
    end
    assert.equal(folder .. "/home/.cache/torch/hub\t15.0\n", run("LAMPAD_MIRROR=" .. server.url))
    assert.equal(folder .. "/t/hub\t15.0\n", run("TORCH_HOME=" .. folder .. "/t LAMPAD_MIRROR=" .. server.folder .. "/"))
    assert.equal(folder .. "/c/torch/hub\t15.0\n", run("XDG_CACHE_HOME=" .. folder .. "/c LAMPAD_MIRROR=" .. server.folder))
    assert.truthy(run("TORCH_HOME=~/u LAMPAD_MIRROR=/nowhere"):find("the mirror has no /nowhere/files.example.org/models/" .. name, 1, true))
  end)
end)

describe("repositories", function()
  it("are refused with the reason", function()
    for _, name in ipairs { "load", "list", "help" } do
      fails("runs the Python code of a repository", hub[name], "pytorch/vision", "resnet18")
    end
  end)
end)

-- Used by the specs of data sets as well.
describe("an archive", function()
  it("unpacks with every packing, and only below its folder", function()
    local base = folder .. "/archives"
    assert(core.make_folders(base .. "/in/sub"))
    assert(core.atomic_write(base .. "/in/a.txt", "alpha"))
    assert(core.atomic_write(base .. "/in/sub/b.txt", data))
    local function shell(text) assert(os.execute("cd '" .. base .. "' && " .. text .. " >/dev/null 2>&1")) end
    shell "tar cf p.tar in && gzip -k p.tar && xz -k p.tar && bzip2 -k p.tar"
    for _, ending in ipairs { "tar", "tar.gz", "tar.xz", "tar.bz2" } do
      assert(core.unpack_archive(base .. "/p." .. ending, base .. "/" .. ending .. "-out"))
      assert.equal(data, read(base .. "/" .. ending .. "-out/in/sub/b.txt"), ending)
    end
    assert(core.unpack_file(base .. "/p.tar.xz", base .. "/q.tar"))
    assert.equal(read(base .. "/p.tar"), read(base .. "/q.tar"))
    assert.equal(#read(base .. "/p.tar"), core.read_packed(base .. "/p.tar.bz2"):numel())
    shell "mkdir -p evil/deep && cp in/a.txt evil/x && cd evil/deep && tar cPf ../../dots.tar ../x"
    shell "ln -s /etc evil/link && tar cf link.tar evil/link && ln evil/x evil/y && tar cf hard.tar evil/x evil/y"
    shell "tar cPf absolute.tar $PWD/in/a.txt && head -c 700 p.tar.gz > short.tar.gz"
    for name, wrong in pairs { dots = "would leave the folder", absolute = "would leave the folder", link = "is a link", hard = "is a link" } do
      local ok, message = core.unpack_archive(base .. "/" .. name .. ".tar", base .. "/" .. name .. "-out")
      assert.is_nil(ok, name)
      assert.truthy(message:find(wrong, 1, true), message)
    end
    for _, name in ipairs { "short.tar.gz", "in/a.txt", "none.tar" } do
      local ok, message = core.unpack_archive(base .. "/" .. name, base .. "/bad-out")
      assert.is_nil(ok, name)
      assert.truthy(message:find(name, 1, true), message)
    end
    local ok, message = core.read_packed(base .. "/p.tar.bz2", 1000)
    assert.is_nil(ok)
    assert.truthy(message:find("more than 1000 bytes", 1, true), message)
    assert.equal(32, #md5)
  end)
end)
