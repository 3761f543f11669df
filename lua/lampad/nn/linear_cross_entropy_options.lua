-- nn.LinearCrossEntropyOptions: how PyTorch divides the work of nn.LinearCrossEntropyLoss. The values are checked and kept;
-- the results do not depend on them.
local core = require "lampad.core"
local args = require "lampad.args"
local class = require "lampad.class"
local text = require "lampad.text"

local torch = core.torch
local Options = class.extend(class.Object, "LinearCrossEntropyOptions")
local spec = args [[LinearCrossEntropyOptions(bool allow_retain_graph=false, int batch_chunk_size=nil,
  str? chunking_method='auto', str acc_policy='auto', dtype acc_dtype=nil)]]

local policies = { accurate = true, compact = true, auto = true }
local dtypes = { "float16", "bfloat16", "float32", "float64" }

function Options:init(...)
  local o = spec:collect(...)
  if not policies[o.acc_policy] then
    args.fail("LinearCrossEntropyOptions", "invalid acc_policy: '%s'; expected one of 'accurate', 'compact', 'auto'", o.acc_policy)
  end
  local method = o.chunking_method
  if method and method ~= "auto" and method ~= "aspect_ratio" then
    local factor = method:match "^aspect_ratio:(%d+)$"
    if not factor or tonumber(factor) == 0 then
      args.fail("LinearCrossEntropyOptions", "invalid chunking_method: '%s'", method)
    end
  end
  if o.batch_chunk_size and o.batch_chunk_size <= 0 then
    args.fail("LinearCrossEntropyOptions", "batch_chunk_size must be positive int or None, got %d", o.batch_chunk_size)
  end
  local known = o.acc_dtype == nil
  for _, name in ipairs(dtypes) do known = known or o.acc_dtype == torch[name] end
  if not known then
    args.fail("LinearCrossEntropyOptions", "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, "
      .. "torch.float64}, got %s", tostring(o.acc_dtype))
  end
  for key, value in pairs(o) do self[key] = value end
end

function Options.__tostring(self)
  return ("LinearCrossEntropyOptions(allow_retain_graph=%s, batch_chunk_size=%s, chunking_method=%s, acc_policy=%s, "
    .. "acc_dtype=%s)"):format(text.repr(self.allow_retain_graph), text.repr(self.batch_chunk_size),
    text.repr(self.chunking_method), text.repr(self.acc_policy), text.repr(self.acc_dtype))
end

return Options
