package.path = "tests/ops/?.lua;" .. package.path
local torch = require "lampad"
local core = require "lampad.core"
local samples = require "samples"
local golden = dofile "tests/golden/autocast.lua"
local op_db = dofile "build/gen/op_db.lua"
local kinds = { f = { torch.float32 }, b = { torch.bfloat16 }, h = { torch.float16 }, m = { torch.bfloat16, torch.float32 } }
local function function_of(row)
  if table.concat(row.variants," "):find "function" then
    local m = row.module:match "%S+"
    local mod = m == "torch" and torch or core.modules[m]
    return mod and mod[row.name] or torch[row.name]
  end
  return core.methods[row.name] or core.methods[row.name.."_"]
end
local function convert(v, dtypes, count)
  if torch.is_tensor(v) then
    if not v:is_floating_point() then return v end
    count[1] = count[1] + 1
    return v:detach():to(dtypes[math.min(count[1], #dtypes)])
  elseif type(v) == "table" and getmetatable(v) == nil then
    local r = {}
    for k, x in pairs(v) do r[k] = convert(x, dtypes, count) end
    return r
  end
  return v
end
local function names(v, out)
  if torch.is_tensor(v) then out[#out+1] = tostring(v.dtype):gsub("torch%.","")
  elseif type(v) == "table" and getmetatable(v) == nil then for _, x in ipairs(v) do names(x, out) end
  else out[#out+1] = type(v) end
  return out
end
local function run(row, case, dtypes, enabled)
  local s = samples.sample(row, case, torch.float32)
  local count = { 0 }
  local given = { n = s.args.n }
  for i = 1, s.args.n do given[i] = convert(s.args[i], dtypes, count) end
  local named = {}
  for k, v in pairs(s.named) do named[k] = convert(v, dtypes, count) end
  if next(named) then given.n = given.n + 1; given[given.n] = named end
  torch.manual_seed(0)
  local _ <close> = torch.autocast("cpu", { enabled = enabled })
  local r = table.pack(pcall(function_of(row), table.unpack(given, 1, given.n)))
  if not r[1] then return nil, r[2] end
  local out = {}
  for i = 2, r.n do names(r[i], out) end
  return table.concat(out, ","), r
end
local function equal(a,b)
  for i=2,a.n do
    local x,y=a[i],b[i]
    if torch.is_tensor(x) and torch.is_tensor(y) then
      if not torch.equal(x:isnan(),y:isnan()) or not torch.equal(x:isnan():logical_not():mul(0) , x:isnan():logical_not():mul(0)) then return false end
      if tostring(x.dtype):find "complex" then x,y=torch.view_as_real(x),torch.view_as_real(y) end
      if x:is_floating_point() then x,y=x:nan_to_num(),y:nan_to_num() end
      if not torch.equal(x,y) then return false end
    end
  end
  return true
end
local n, bad = 0, 0
for _, row in ipairs(op_db) do
  if row.variants[1] ~= "internal" or row.variants[2] then
    for _, case in ipairs(row.cases) do
      if case:find "%(" then
        local want = {}
        for k, v in (golden.dtypes[row.cname .. "|" .. case] or ""):gmatch "(%w)=(%S+)" do want[k] = v end
        for _, kind in ipairs { "f", "b", "h", "m" } do
          n = n + 1
          local on, err = run(row, case, kinds[kind], true)
          local off, err2 = run(row, case, kinds[kind], false)
          local expected = want[kind] or off
          if on and on==off and not want[kind] and not row.name:find "empty" and not equal(err,err2) then bad=bad+1
            print("VALUES", row.cname, case, kind) end
          if on ~= expected and not (expected==nil and on) then bad = bad + 1
            print(row.cname, case, kind, "on", on, "expected", expected, "off", off, (tostring(type(err)=="string" and err or ""):gsub("\n.*",""):sub(1,150))) end
        end
      end
    end
  end
end
print(n, bad)
