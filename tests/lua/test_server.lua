-- The web server of the specs (tests/server/server.c): local server = dofile(...)(); server.url, server.folder,
-- server:write(name, bytes), server:ask(path), server:close().
local core = require "lampad.core"
local build = os.getenv "LAMPAD_BUILD" or "build"

local Server = {}
Server.__index = Server

local function start()
  local folder = os.tmpname()
  os.remove(folder)
  assert(core.make_folders(folder))
  local pipe = assert(io.popen(build .. "/lampad_test_server " .. folder, "r"))
  local port = assert(pipe:read "n", "the test server did not start")
  return setmetatable({ folder = folder, pipe = pipe, host = "127.0.0.1:" .. port, url = "http://127.0.0.1:" .. port }, Server)
end

function Server:write(name, bytes)
  local path = self.folder .. "/" .. name
  assert(core.make_folders(path:match "^(.*)/"))
  assert(core.atomic_write(path, bytes))
end

--- The answer to a path as text.
function Server:ask(path)
  local file = os.tmpname()
  os.remove(file)
  assert(core.fetch(self.url .. path, file))
  local handle = io.open(file, "rb")
  local text = handle and handle:read "a" or ""
  if handle then handle:close() end
  os.remove(file)
  return text
end

function Server:close()
  self:ask "/quit"
  self.pipe:close()
  os.execute("rm -rf '" .. self.folder .. "'")
end

return start
