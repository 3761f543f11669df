-- The rules that no compiler checks. Run from the project's root: lua5.4 scripts/lint.lua
-- Each rule counts as one test; the last line is "N passed, N failed".

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  local ok, _, status = pipe:close()
  return lines, ok and 0 or status
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- Every file of the project: what git tracks or would track.
local files = lines_of("git ls-files --cached --others --exclude-standard")
do
  local present = {}
  for _, path in ipairs(files) do
    if exists(path) then present[#present + 1] = path end
  end
  files = present
end

local function matching(pattern)
  local index = 0
  return function()
    repeat index = index + 1 until not files[index] or files[index]:match(pattern)
    return files[index]
  end
end

local passed, failed = 0, 0
local function rule(name, check)
  local faults = {}
  check(function(format, ...) faults[#faults + 1] = format:format(...) end)
  if #faults == 0 then
    passed = passed + 1
    print("ok      " .. name)
  else
    failed = failed + 1
    print("failed  " .. name)
    for i, fault in ipairs(faults) do
      if i > 40 then
        print(("        ... and %d more"):format(#faults - 40))
        break
      end
      print("        " .. fault)
    end
  end
end

-- Calls visit(path, line_number, header, quoted) for each #include.
local function each_include(visit)
  for path in matching("%.[ch]u?h?$") do
    local number = 0
    for line in (read(path) .. "\n"):gmatch("(.-)\n") do
      number = number + 1
      local quote, header = line:match('^%s*#%s*include%s*(["<])([^">]+)')
      if header then visit(path, number, header, quote == '"') end
    end
  end
end

rule("lua.h only under vm/ and repl/", function(fault)
  each_include(function(path, number, header)
    if (header:match("^lua[%w.]*/?lua[%w]*%.h$") or header:match("^lua%.h$") or header:match("^lauxlib%.h$") or
        header:match("^lualib%.h$") or header:match("^luaconf%.h$"))
      and not (path:match("^vm/") or path:match("^repl/") or path:match("^tests/")) then
      fault("%s:%d includes %s", path, number, header)
    end
  end)
end)

rule("CUDA headers only under cuda/", function(fault)
  each_include(function(path, number, header)
    local name = header:match("[^/]*$")
    if (name:match("^cuda") or name:match("^cublas") or name:match("^cudnn") or name:match("^curand")
        or name:match("^cufft") or name:match("^cusolver") or name:match("^cusparse") or name:match("^nvrtc")
        or name:match("^nccl")) and not path:match("/cuda/") then
      fault("%s:%d includes %s", path, number, header)
    end
  end)
end)

-- repl -> vm -> nn -> tensor: a folder may include its own headers and those further right. A quoted
-- header is looked for beside the file and then in the include folders of the build.
rule("includes point one way: repl, vm, nn, tensor", function(fault)
  local order = { tensor = 1, nn = 2, vm = 3, repl = 4 }
  local folders = { "tensor", "tensor/include", "nn", "vm", "repl" }
  each_include(function(path, number, header, quoted)
    local own = order[path:match("^(%w+)/")]
    if not own or not quoted then return end
    if exists(path:match("^(.*)/") .. "/" .. header) and not header:match("^%.%./") then return end
    for _, folder in ipairs(folders) do
      if exists(folder .. "/" .. header) then
        local theirs = order[folder:match("^%w+")]
        if theirs > own then fault("%s:%d includes %s of %s/", path, number, header, folder) end
        return
      end
    end
    local up = header:match("^%.%./.*")
    if up then fault("%s:%d climbs out of its folder: %s", path, number, header) end
  end)
end)

rule("the Lua libraries do not reach into the executable", function(fault)
  for path in matching("^lua/.*%.lua$") do
    local number = 0
    for line in (read(path) .. "\n"):gmatch("(.-)\n") do
      number = number + 1
      if line:match("require%s*%(?%s*[\"']repl") then fault("%s:%d", path, number) end
    end
  end
end)

rule("the engine never prints, exits or aborts", function(fault)
  for _, pattern in ipairs { "^tensor/.*%.[ch]$", "^nn/.*%.[ch]$" } do
    for path in matching(pattern) do
      if path == "tensor/core/check.h" then goto continue end -- the assertions of debug builds
      local number, code = 0, read(path):gsub("/%*.-%*/", function(comment) return comment:gsub("[^\n]", "") end)
      for line in (code .. "\n"):gmatch("(.-)\n") do
        number = number + 1
        line = line:gsub('"[^"]*"', '""'):gsub("//.*", "")
        for _, name in ipairs { "printf", "puts", "exit", "abort", "assert", "longjmp", "perror" } do
          -- libjpeg is led out of its errors in no other way; the jump ends in the same file.
          local led_out = name == "longjmp" and path == "tensor/image/jpeg.c"
          if line:find("%f[%w_]" .. name .. "%s*%(") and not led_out then fault("%s:%d calls %s", path, number, name) end
        end
      end
      ::continue::
    end
  end
end)

rule("no tabs, trailing blanks or lines over 160 columns", function(fault)
  for _, pattern in ipairs { "%.[ch]$", "%.lua$", "%.sh$", "%.cuh?$" } do
    for path in matching(pattern) do
      local number = 0
      local text = path:match("^tests/golden/") and "" or read(path) -- recorded values are as they came
      for line in (text .. "\n"):gmatch("(.-)\n") do
        number = number + 1
        if line:find("\t", 1, true) then fault("%s:%d: tab", path, number) end
        if line:find("%s$") then fault("%s:%d: blanks at the end", path, number) end
        if (utf8.len(line) or #line) > 160 then fault("%s:%d: %d columns", path, number, utf8.len(line) or #line) end
      end
    end
  end
end)

rule("files stay readable: at most 1000 lines", function(fault)
  for _, pattern in ipairs { "%.[ch]$", "%.lua$" } do
    for path in matching(pattern) do
      local _, count = read(path):gsub("\n", "\n")
      if count > 1000 and not path:match("^tests/golden/") then fault("%s: %d lines", path, count) end
    end
  end
end)

rule("source files begin with a comment that says what they hold", function(fault)
  for path in matching("%.[ch]$") do
    if not read(path):match("^%s*/[/*]") then fault("%s", path) end
  end
  for path in matching("^[lst][uce].*%.lua$") do
    if not read(path):match("^%s*%-%-") and not read(path):match("^#!") then fault("%s", path) end
  end
end)

rule("no unfinished marks", function(fault)
  for _, pattern in ipairs { "%.[ch]$", "%.lua$", "%.sh$", "%.md$" } do
    for path in matching(pattern) do
      if path ~= "scripts/lint.lua" then
        local number = 0
        for line in (read(path) .. "\n"):gmatch("(.-)\n") do
          number = number + 1
          for _, mark in ipairs { "TODO", "FIXME", "XXX", "HACK" } do
            if line:find("%f[%w]" .. mark .. "%f[%W]") then fault("%s:%d: %s", path, number, mark) end
          end
        end
      end
    end
  end
end)

rule("links and file names in the documents lead somewhere", function(fault)
  for path in matching("%.md$") do
    local folder = path:match("^(.*/)") or ""
    local number, fenced = 0, false
    for line in (read(path) .. "\n"):gmatch("(.-)\n") do
      number = number + 1
      if line:match("^%s*```") then fenced = not fenced end
      for target in line:gsub("`[^`]*`", ""):gmatch("%]%(([^)#]+)[^)]*%)") do
        if not target:match("^%a+:") and not fenced then
          local plain = folder .. target
          repeat
            local shorter, count = plain:gsub("[^/]+/%.%./", "", 1)
            plain = shorter
          until count == 0
          if not exists(plain) then fault("%s:%d links to %s", path, number, target) end
        end
      end
      for name in line:gmatch("`([%w_/.-]+%.[%w]+)`") do
        local root = name:match("^(%w+)/")
        local known = { vm = 1, tensor = 1, nn = 1, lua = 1, repl = 1, scripts = 1, tests = 1, docs = 1 }
        if known[root] and name:match("%.[ch]$") or known[root] and name:match("%.lua$") or
           known[root] and name:match("%.sh$") or known[root] and name:match("%.md$") then
          if not exists(name) then fault("%s:%d names %s", path, number, name) end
        end
      end
    end
  end
end)

rule("luacheck", function(fault)
  if lines_of("command -v luacheck")[1] == nil then
    fault("luacheck is not installed (Debian package lua-check)")
    return
  end
  local folders = {}
  for _, folder in ipairs { "lua", "scripts", "tests", "tensor/ops", "nn/ops" } do
    for path in matching("^" .. folder .. "/.*%.lua$") do
      if path then
        folders[#folders + 1] = folder
        break
      end
    end
  end
  local command = "luacheck --no-color --quiet --formatter plain %s 2>&1"
  local lines, status = lines_of(command:format(table.concat(folders, " ")))
  if status ~= 0 then
    for _, line in ipairs(lines) do
      if line ~= "" then fault("%s", line) end
    end
    if #lines == 0 then fault("luacheck ended with status %d", status) end
  end
end)

print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
