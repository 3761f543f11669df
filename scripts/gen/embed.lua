-- Writes the Lua libraries into a C file, so that the binaries carry them (vm/embed.h says how they
-- are found again).
--   lua5.4 embed.lua LUA_DIR OUT.c FILE...
-- A file LUA_DIR/lampad/nn/init.lua or LUA_DIR/lampad/nn.lua becomes the module "lampad.nn".

local lua_dir, out_path = arg[1], arg[2]
if not out_path then
  io.stderr:write("usage: lua5.4 embed.lua LUA_DIR OUT.c FILE...\n")
  os.exit(2)
end

local function fail(format, ...)
  io.stderr:write("embed.lua: ", format:format(...), "\n")
  os.exit(1)
end

-- "lampad/nn/init.lua" -> "lampad.nn"
local function module_name(path)
  local name = path:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  return name
end

local escapes = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\", ["?"] = "\\?" }

-- The text as C string literals, one a source line. Octal escapes take at most three digits, so a
-- digit that follows one is safe.
local function c_literals(source)
  local lines = {}
  for line in source:gmatch("[^\n]*\n?") do
    if line ~= "" then
      lines[#lines + 1] = '  "' .. line:gsub('[%c"\\?\127-\255]', function(c)
        return escapes[c] or ("\\%03o"):format(c:byte())
      end) .. '"'
    end
  end
  if #lines == 0 then lines[1] = '  ""' end
  return table.concat(lines, "\n")
end

local entries, by_name = {}, {}
for i = 3, #arg do
  local path = arg[i]
  if path:sub(1, #lua_dir + 1) ~= lua_dir .. "/" then fail("%s is not under %s", path, lua_dir) end
  local relative = path:sub(#lua_dir + 2)
  local name = module_name(relative)
  if by_name[name] then fail("%s and %s both are module %s", by_name[name], relative, name) end
  by_name[name] = relative
  local file, message = io.open(path, "rb")
  if not file then fail("%s", message) end
  local source = file:read("a")
  file:close()
  local chunk, syntax = load(source, "@" .. relative, "t")
  if not chunk then fail("%s", syntax) end
  entries[#entries + 1] = { name = name, path = relative, source = source }
end
table.sort(entries, function(a, b) return a.name < b.name end)

local out = {
  "/* The Lua libraries as data, sorted by module name. Written by scripts/gen/embed.lua. */",
  '#include "embed.h"\n',
}
for i, e in ipairs(entries) do
  out[#out + 1] = ("/* %s */\nstatic const char source_%d[] =\n%s;\n"):format(e.path, i, c_literals(e.source))
end
out[#out + 1] = "const LpEmbedded lp_embedded[] = {"
for i, e in ipairs(entries) do
  out[#out + 1] = ('  {"%s", source_%d, %d, "@%s"},'):format(e.name, i, #e.source, e.path)
end
out[#out + 1] = "  {0, 0, 0, 0}};"
out[#out + 1] = ("const size_t lp_embedded_count = %d;\n"):format(#entries)

local file, message = io.open(out_path, "wb")
if not file then fail("%s", message) end
assert(file:write(table.concat(out, "\n")))
assert(file:close())
