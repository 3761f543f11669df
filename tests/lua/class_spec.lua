-- Classes, ordered maps, the argument matcher, texts: the pure Lua ground of the libraries.
require "lampad"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"
local OrderedDict = require "lampad.ordered_dict"

describe("class", function()
  it("makes instances, inherits and reaches the parent", function()
    local Animal = class.extend(class.Object, "Animal")
    function Animal:init(name) self.name = name end
    function Animal:speak() return self.name .. " makes a sound" end
    local Dog = Animal:extend "Dog"
    function Dog:speak() return Dog.super.speak(self) .. ": woof" end
    function Dog.__tostring(self) return "Dog " .. self.name end
    local rex = Dog "Rex"
    assert.equal("Rex makes a sound: woof", rex:speak())
    assert.equal("Dog Rex", tostring(rex))
    assert.is_true(class.isinstance(rex, Animal))
    assert.is_true(rex:isinstance(Dog))
    assert.is_false(class.isinstance(Animal "x", Dog))
    assert.is_false(class.isinstance(3, Dog))
    assert.equal("class Dog", tostring(Dog))
  end)

  it("inherits metamethods", function()
    local A = class.extend(class.Object, "A")
    function A.__len() return 7 end
    local B = A:extend "B"
    assert.equal(7, #B())
  end)

  it("refuses a class without a name", function()
    assert.error_matches(function() class.Object:extend() end, "class name must be a string")
  end)
end)

describe("OrderedDict", function()
  it("keeps the order of its keys", function()
    local d = OrderedDict()
    d.b = 1
    d.a = 2
    d["c.d"] = 3
    d.b = 10
    local seen = {}
    for k, v in d:items() do seen[#seen + 1] = k .. "=" .. v end
    assert.same({ "b=10", "a=2", "c.d=3" }, seen)
    assert.equal(3, #d)
    assert.equal(3, d["c.d"])
    d.a = nil
    assert.equal(2, d:len())
    assert.is_nil(d.a)
    local keys = {}
    for k in d:keys() do keys[#keys + 1] = k end
    assert.same({ "b", "c.d" }, keys)
    local copy = d:copy()
    copy.b = 5
    assert.equal(10, d.b)
    assert.equal(10, d:pop("b"))
    assert.equal("none", d:pop("b", "none"))
    assert.equal("OrderedDict([('c.d', 3)])", tostring(d))
  end)

  it("lets a key hide a method", function()
    local d = OrderedDict()
    d.items = "value"
    assert.equal("value", d.items)
    local k, v = OrderedDict.items(d)()
    assert.equal("items", k)
    assert.equal("value", v)
  end)
end)

describe("args", function()
  local spec = args "f(int n, ints size=1, bool flag=true, str mode='a', float? rate=0.5, *, any extra=nil)"

  it("matches positions, names and defaults", function()
    assert.same({ 3, 1, true, "a", 0.5 }, { spec(3) })
    local n, size, flag, mode, rate, extra = spec(3, { 2, 3 }, { mode = "b", extra = 9 })
    assert.same({ 3, { 2, 3 }, true, "b", 0.5, 9 }, { n, size, flag, mode, rate, extra })
    assert.equal(4, (spec { n = 4 }))
    assert.equal(4, (spec(4.0)))
    assert.is_nil((select(5, spec(1, { rate = false }))))
    assert.equal(3, (spec(3, {})))
  end)

  it("says what is wrong, at the caller's line", function()
    local function message(...)
      local ok, err = pcall(function(...) return spec(...) end, ...)
      assert.is_false(ok)
      return err
    end
    assert.matches("class_spec.lua:%d+: f: argument 'n' %(an integer%) is missing", message())
    assert.matches("argument 'n' must be an integer, got string %('x'%)", message("x"))
    assert.matches("unknown argument 'mod'; did you mean 'mode'%?", message(1, { mod = "b" }))
    assert.matches("argument 'size' is given twice", message(1, 2, { size = 3 }))
    assert.matches("takes at most 5 positional arguments, got 6", message(1, 1, true, "a", 1.0, 2))
  end)
end)

describe("text", function()
  it("spells values as Python does", function()
    local expected = {
      { 1e-5, "1e-05" }, { 0.1, "0.1" }, { 2.0, "2.0" }, { 1 / 3, "0.3333333333333333" }, { 1e16, "1e+16" },
      { 123456789.0, "123456789.0" }, { 3, "3" }, { true, "True" }, { "x", "'x'" }, { { 2, 3 }, "(2, 3)" },
      { { 3 }, "(3,)" }, { math.huge, "inf" }, { 0.0001, "0.0001" },
    }
    for _, row in ipairs(expected) do assert.equal(row[2], text.repr(row[1])) end
    assert.equal("None", text.repr(nil))
  end)

  it("finds the nearest name", function()
    assert.equal("keepdim", (text.nearest("keepdims", { "dim", "keepdim", "dtype" })))
  end)
end)

describe("iterate", function()
  it("takes lists, iterators and objects", function()
    assert.same({ 1, 2 }, iterate.list { 1, 2 })
    local i = 0
    assert.same({ 1, 2, 3 }, iterate.list(function()
      i = i + 1
      if i <= 3 then return i end
    end))
    assert.is_nil(iterate.list(5))
  end)
end)
