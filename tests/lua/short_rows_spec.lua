-- Short rows go many at a time: triangles of small matrices, indexing and scans along short dims. Each result is compared with
-- its definition, spelled out by other operations.
local torch = require "lampad"

local dtypes = { "uint8", "bfloat16", "float32", "float64", "complex128" } -- elements of 1, 2, 4, 8, 16 bytes

local function same(a, b)
  assert.equal(tostring(a.shape), tostring(b.shape))
  assert.equal(a.dtype, b.dtype)
  assert.is_true(torch.equal(a, b))
end

describe("short rows", function()
  local threads = torch.get_num_threads()
  before_each(function() torch.manual_seed(4) end)
  after_each(function() torch.set_num_threads(threads) end)

  it("have triangles on every diagonal", function()
    local shapes = { { 1, 1 }, { 5, 1 }, { 1, 5 }, { 9, 4 }, { 40, 70 }, { 30000, 3 }, { 3, 30000 }, { 700, 1, 1 }, { 700, 2, 3 },
      { 301, 7, 7 }, { 50, 3, 40 }, { 3, 40, 3 }, { 2, 5, 33, 65 }, { 0, 3, 3 }, { 3, 0 } }
    for number, s in ipairs(shapes) do
      torch.set_num_threads(1 + number % 3)
      local rows, cols = s[#s - 1], s[#s]
      local distance = torch.arange(cols):unsqueeze(0) - torch.arange(rows):unsqueeze(1)
      for i, name in ipairs(dtypes) do
        local x = torch.randint(1, 9, s):to(torch[name])
        local zero = torch.zeros(s, { dtype = torch[name] })
        local turned = x:transpose(-1, -2):contiguous():transpose(-1, -2)
        for _, k in ipairs { -rows - cols - 7, -rows, 1 - rows, -2, -1, 0, 1, 2, cols - 1, cols, rows + cols + 7, math.mininteger,
          math.maxinteger } do
          local upper, lower = torch.where(distance:ge(k), x, zero), torch.where(distance:le(k), x, zero)
          same(x:triu(k), upper)
          same(x:tril(k), lower)
          same(turned:triu(k), upper)
          same(turned:tril(k), lower)
          if i == 1 + number % 5 then
            same(x:clone():triu_(k), upper)
            same(x:clone():tril_(k), lower)
            same(turned:clone():tril_(k), lower)
            local wide = torch.cat({ x, x }, -1)
            same(wide:narrow(-1, 0, cols):triu_(k), upper)
            same(wide:narrow(-1, 0, cols), upper)
            same(wide:narrow(-1, cols, cols), x)
          end
        end
      end
    end
  end)
end)
