-- busted's output for tests/lua/run.lua: one line a file, every failure in full, and the closing line
-- "N passed, N failed" that scripts/test.sh adds up.

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local file_passed, file_failed = 0, 0
  local total_passed, total_failed, total_skipped = 0, 0, 0
  local slow = {}

  local function text_of(message)
    if type(message) == "string" then return message end
    if message == nil then return "nil error" end
    local ok, text = pcall(require("pl.pretty").write, message)
    return ok and text or tostring(message)
  end

  local function show(kind, record)
    local trace = record.trace or record.element.trace or {}
    print(("%s: %s"):format(kind, record.name))
    print(("  at %s:%s"):format(trace.short_src or "?", trace.currentline or "?"))
    print("  " .. text_of(record.message):gsub("\n", "\n  "))
    if kind == "error" and trace.traceback then print("  " .. trace.traceback:gsub("\n", "\n  ")) end
  end

  handler.fileStart = function()
    file_passed, file_failed = 0, 0
    return nil, true
  end

  handler.fileEnd = function(file)
    print(("%s: %d passed, %d failed"):format(file.name, file_passed, file_failed))
    io.flush()
    return nil, true
  end

  handler.testEnd = function(element, _, status)
    if status == "success" then
      file_passed, total_passed = file_passed + 1, total_passed + 1
    elseif status == "pending" then
      local record = handler.pendings[#handler.pendings]
      total_skipped = total_skipped + 1
      print(("skipped: %s%s"):format(record.name, record.message and " (" .. text_of(record.message) .. ")" or ""))
    elseif status == "failure" then
      file_failed, total_failed = file_failed + 1, total_failed + 1
      show("failed", handler.failures[#handler.failures])
    end
    if element.duration and element.duration > 2 then
      slow[#slow + 1] = ("%.1f s  %s"):format(element.duration, handler.getFullName(element))
    end
    io.flush()
    return nil, true
  end

  -- Errors inside and outside of tests.
  handler.error = function()
    file_failed, total_failed = file_failed + 1, total_failed + 1
    show("error", handler.errors[#handler.errors])
    io.flush()
    return nil, true
  end

  handler.suiteEnd = function()
    if #slow > 0 then print("slow tests:\n  " .. table.concat(slow, "\n  ")) end
    print(("%d passed, %d failed%s"):format(total_passed, total_failed,
      total_skipped > 0 and (", %d skipped"):format(total_skipped) or ""))
    io.flush()
    return nil, true
  end

  busted.subscribe({ "file", "start" }, handler.fileStart)
  busted.subscribe({ "file", "end" }, handler.fileEnd)
  busted.subscribe({ "test", "end" }, handler.testEnd)
  busted.subscribe({ "error" }, handler.error)
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
