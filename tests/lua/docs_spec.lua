-- The documents: their examples run and print what they say, the reference pages fit the op schema.

local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local root = here .. "/../.."
local command = dofile(here .. "/command.lua")

local function pages()
  local list = {}
  local pipe = assert(io.popen(("cd %s && find README.md docs/guide docs/reference -name '*.md' | sort"):format(command.quote(root))))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

describe("the documents", function()
  teardown(command.clean)

  for _, page in ipairs(pages()) do
    local path = root .. "/" .. page
    if command.read(path):find("\n```lua\n", 1, true) then
      it("run as they stand: " .. page, function()
        local status, out, err = command.run { here .. "/doc_examples.lua", path }
        assert.equal(0, status, out .. err)
        assert.truthy(out:match "(%d+) passed, 0 failed\n$")
      end)
    end
  end

  it("describe the ops as the schema has them", function()
    local fresh = command.new_folder()
    local status, out, err = command.shell(("cd %s && lua5.4 scripts/gen/reference.lua %s/gen/op_db.lua %s"):format(
      command.quote(root), command.quote(command.folder), command.quote(fresh)))
    assert.equal(0, status, out .. err)
    status, out = command.shell(("diff -rq %s %s"):format(command.quote(fresh), command.quote(root .. "/docs/reference")))
    assert.equal(0, status, "run scripts/dev reference and commit the result:\n" .. out)
  end)
end)
