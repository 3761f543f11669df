-- What the commands that compare two builds share: executables, processes, options. They run under lua5.4, not in a build.
local builds = {}

function builds.fail(format, ...)
  io.stderr:write("error: ", format:format(...), "\n")
  os.exit(2)
end

--- The executable that is meant by a build folder or its own path.
function builds.executable(path)
  for _, candidate in ipairs { path .. "/lampad", path } do
    local file = io.open(candidate, "rb")
    local is_file = file and file:read(1)
    if file then file:close() end
    if is_file then return candidate:find("/", 1, true) and candidate or "./" .. candidate end
  end
  builds.fail("there is no executable '%s', and no lampad in a folder of that name", path)
end

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- What a command prints; words: strings. environment: "A=1 B=2". Ends with an error when the command fails.
function builds.output(words, environment)
  local parts = {}
  for i, word in ipairs(words) do parts[i] = quoted(tostring(word)) end
  local command = ("env %s %s"):format(environment or "", table.concat(parts, " "))
  local pipe = assert(io.popen(command))
  local output = pipe:read("a")
  local ok = pipe:close()
  if not ok then builds.fail("this failed: %s\n%s", command, output) end
  return output
end

--- Splits arguments into positional ones and the options of `defaults`, whose values are numbers or strings.
function builds.arguments(arguments, defaults)
  local positional, options, i = {}, setmetatable({}, { __index = defaults }), 1
  while arguments[i] do
    local name = arguments[i]:match "^%-%-([%a-]+)$"
    if name then
      local default, value = defaults[name], arguments[i + 1]
      if default == nil then builds.fail("there is no option --%s", name) end
      if type(default) == "number" then value = tonumber(value) end
      if value == nil then builds.fail("--%s takes a %s", name, type(default)) end
      options[name] = value
      i = i + 1
    else
      positional[#positional + 1] = arguments[i]
    end
    i = i + 1
  end
  return positional, options
end

return builds
