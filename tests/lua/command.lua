-- Runs the `lampad` command from specs: command.run{args...} -> exit status, stdout, stderr.

local command = {}

command.folder = os.getenv "LAMPAD_BUILD" or "build"
command.path = command.folder .. "/lampad"

function command.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

function command.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

function command.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
end

-- A new empty folder, removed by command.clean().
local folders = {}
function command.new_folder()
  local pipe = assert(io.popen "mktemp -d")
  local path = pipe:read "l"
  pipe:close()
  folders[#folders + 1] = path
  return path
end

function command.clean()
  for _, path in ipairs(folders) do os.execute("rm -rf " .. command.quote(path)) end
  folders = {}
end

-- Runs a shell line; the exit status (128 + n for signal n, as shells say), stdout and stderr.
function command.shell(line, input)
  local folder = command.new_folder()
  command.write(folder .. "/in", input or "")
  local _, kind, status = os.execute(("{ %s\n} <%s/in >%s/out 2>%s/err"):format(line, folder, folder, folder))
  if kind == "signal" then status = 128 + status end
  return status, command.read(folder .. "/out"), command.read(folder .. "/err")
end

-- Runs lampad with a list of arguments; `prefix` may hold environment settings or a wrapper such as timeout.
function command.run(args, input, prefix)
  local words = { prefix or "", command.quote(command.path) }
  for _, argument in ipairs(args) do words[#words + 1] = command.quote(argument) end
  return command.shell(table.concat(words, " "), input)
end

return command
