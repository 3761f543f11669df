-- nn.utils.rnn: sequences of different lengths as one tensor, padded or packed.
--
-- A PackedSequence holds the elements of all sequences without padding, step by step: the first `batch_sizes[0]` rows of
-- `data` are the first elements of the sequences, longest sequence first, and so on. When the sequences did not come in
-- that order, `sorted_indices` tells where each one was, `unsorted_indices` the way back.
local core = require "lampad.core"
local class = require "lampad.class"
local args = require "lampad.args"
local text = require "lampad.text"
local iterate = require "lampad.iterate"

local torch = core.torch
local rnn = {}

-- --- PackedSequence ---------------------------------------------------------------------------------------------------
local PackedSequence = class.extend(class.Object, "PackedSequence")
rnn.PackedSequence = PackedSequence

local fields = { [0] = "data", "batch_sizes", "sorted_indices", "unsorted_indices" }

function PackedSequence.make_index(C)
  return function(self, key)
    if key == "is_cuda" then return self.data.is_cuda end
    local field = fields[key]
    if field then return rawget(self, field) end
    return C[key]
  end
end
PackedSequence.__meta.__index = PackedSequence.make_index(PackedSequence)

function PackedSequence.__meta.__len() return 4 end

local packed_spec = args [[PackedSequence(Tensor data, Tensor batch_sizes, Tensor sorted_indices=nil,
  Tensor unsorted_indices=nil)]]

--- PackedSequence(data, batch_sizes, sorted_indices, unsorted_indices): made by pack_padded_sequence and pack_sequence,
--- seldom by hand. data: (rows, ...); batch_sizes: int64, on the CPU, one number a step.
function PackedSequence:init(...)
  local data, batch_sizes, sorted_indices, unsorted_indices = packed_spec(...)
  if batch_sizes.device.type ~= "cpu" then
    args.fail("PackedSequence", "batch_sizes should always be on CPU, got %s; a PackedSequence is made by pack_sequence "
      .. "or pack_padded_sequence", tostring(batch_sizes.device))
  end
  self.data, self.batch_sizes = data, batch_sizes
  self.sorted_indices = sorted_indices
  self.unsorted_indices = unsorted_indices or rnn.invert_permutation(sorted_indices)
end

--- True when the value is a PackedSequence.
function PackedSequence.is(value) return type(value) == "table" and class.isinstance(value, PackedSequence) end

--- data, batch_sizes, sorted_indices, unsorted_indices.
function PackedSequence:unpack() return self.data, self.batch_sizes, self.sorted_indices, self.unsorted_indices end

-- The same sequences with other data; the indices follow it to its device.
local function with_data(self, data)
  if rawequal(data, self.data) then return self end
  local function follow(indices) return indices and indices:to(data.device) end
  return PackedSequence(data, self.batch_sizes, follow(self.sorted_indices), follow(self.unsorted_indices))
end

--- Converts the data to a dtype or device, as Tensor.to; self when there is nothing to do.
function PackedSequence:to(...) return with_data(self, self.data:to(...)) end

--- The data on the CPU, or on a CUDA device.
function PackedSequence:cpu() return self:to("cpu") end
function PackedSequence:cuda(...)
  if select("#", ...) > 0 then return self:to(...) end
  return self:to("cuda")
end

for method, dtype in pairs {
  double = "float64", float = "float32", half = "float16", long = "int64", int = "int32", short = "int16", char = "int8",
  byte = "uint8",
} do
  PackedSequence[method] = function(self) return self:to(torch[dtype]) end
end

--- Nothing is pinned where there is no CUDA device.
function PackedSequence:is_pinned() return self.data:is_pinned() end
function PackedSequence:pin_memory() return with_data(self, self.data:pin_memory()) end

function PackedSequence.__meta.__tostring(self)
  local parts = {}
  for i = 0, 3 do
    local value = rawget(self, fields[i])
    parts[#parts + 1] = fields[i] .. "=" .. (value == nil and "None" or tostring(value))
  end
  return "PackedSequence(" .. table.concat(parts, ", ") .. ")"
end

local function packed_of(what, value)
  if PackedSequence.is(value) then return value end
  args.fail(what, "expected a PackedSequence, got %s", text.describe(value))
end

-- --- helpers ----------------------------------------------------------------------------------------------------------
local invert_spec = args "invert_permutation(Tensor permutation=nil)"

--- The permutation that undoes another one (int64, 1-d); nil for nil.
function rnn.invert_permutation(...)
  local permutation = invert_spec(...)
  if permutation == nil then return nil end
  local places = torch.arange(permutation:numel(), { device = permutation.device, dtype = permutation.dtype })
  return torch.empty_like(permutation):scatter_(0, permutation, places)
end

-- Where mask (2-d) is true, in order: the places in the flattened tensor.
local function places_of(mask) return mask:reshape(-1):nonzero():squeeze(1) end

-- lengths[b] > t as (steps, batch).
local function running(lengths, steps) return torch.arange(steps):unsqueeze(1):lt(lengths) end

-- An int64 vector of lengths from a list or a tensor.
local function lengths_of(what, given)
  local lengths = given
  if not torch.is_tensor(given) then
    local list = iterate.list(given)
    if not list then
      args.fail(what, "lengths must be a list or a tensor of integers, got %s", text.describe(given))
    end
    lengths = torch.tensor(list, { dtype = torch.int64 })
  end
  if lengths.ndim ~= 1 or lengths.device.type ~= "cpu" then
    args.fail(what, "'lengths' argument should be a 1D CPU int64 tensor, but got %dD %s %s tensor", lengths.ndim,
      tostring(lengths.device.type), tostring(lengths.dtype))
  end
  return lengths:to(torch.int64)
end

local function flat_rows(x) -- (a, b, ...) -> (a * b, ...)
  return x:flatten(0, 1)
end

-- --- packing ----------------------------------------------------------------------------------------------------------
local pack_spec = args "pack_padded_sequence(Tensor input, any lengths, bool batch_first=false, bool enforce_sorted=true)"

--- Packs padded sequences: input (steps, batch, ...), or (batch, steps, ...) with batch_first; lengths: a list or tensor.
--- Lengths must decrease unless enforce_sorted is false. Returns a PackedSequence.
function rnn.pack_padded_sequence(...)
  local what = "pack_padded_sequence"
  local input, given, batch_first, enforce_sorted = pack_spec(...)
  local lengths = lengths_of(what, given)
  if input.ndim < 2 then
    args.fail(what, "expected input of at least 2 dims (%s), got %s", batch_first and "batch, steps" or "steps, batch",
      tostring(input.shape))
  end
  if batch_first then input = input:transpose(0, 1) end
  local steps, batch = input:size(0), input:size(1)
  if input:numel() == 0 then args.fail(what, "Cannot pack empty tensors.") end
  if lengths:numel() ~= batch then
    args.fail(what, "Expected `len(lengths)` to be equal to batch_size, but got %d (batch_size=%d)", lengths:numel(), batch)
  end
  local sorted_indices
  if not enforce_sorted then
    lengths, sorted_indices = torch.sort(lengths, { dim = 0, descending = true, stable = true })
    input = input:index_select(1, sorted_indices:to(input.device))
    sorted_indices = sorted_indices:to(input.device)
  elseif batch > 1 and lengths:diff():gt(0):any():item() then
    args.fail(what, "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
      .. "{enforce_sorted = false} to pack_padded_sequence and/or pack_sequence to sidestep this requirement")
  end
  if lengths[-1]:item() <= 0 then
    args.fail(what, "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0")
  end
  if lengths[0]:item() > steps then
    args.fail(what, "expected lengths of at most the input's %d steps (input of shape %s), got %d", steps,
      tostring(input.shape), lengths[0]:item())
  end
  local mask = running(lengths, lengths[0]:item())
  local data = flat_rows(input):index_select(0, places_of(mask):to(input.device))
  return PackedSequence(data, mask:sum(1), sorted_indices)
end

local pad_packed_spec = args [[pad_packed_sequence(any sequence, bool batch_first=false, float padding_value=0.0,
  int total_length=nil)]]

--- The inverse: padded sequences (steps, batch, ...), or (batch, steps, ...) with batch_first, and their lengths, in the
--- order from before packing. total_length: that many steps, at least the longest sequence's.
function rnn.pad_packed_sequence(...)
  local what = "pad_packed_sequence"
  local given, batch_first, padding_value, total_length = pad_packed_spec(...)
  local packed = packed_of(what, given)
  local data, batch_sizes = packed.data, packed.batch_sizes
  local longest = batch_sizes:numel()
  local steps = total_length or longest
  if steps < longest then
    args.fail(what, "Expected total_length to be at least the length of the longest sequence in input, but got "
      .. "total_length=%d and max sequence length being %d", steps, longest)
  end
  local batch = batch_sizes[0]:item()
  local mask = torch.arange(batch):lt(batch_sizes:unsqueeze(1))
  local lengths = mask:sum(0)
  local sizes = { steps * batch, table.unpack(data.shape:tolist(), 2) }
  local padded = data:new_full(sizes, padding_value):index_copy(0, places_of(mask):to(data.device), data)
  sizes[1] = batch
  padded = padded:reshape { steps, table.unpack(sizes) }
  if packed.unsorted_indices ~= nil then
    padded = padded:index_select(1, packed.unsorted_indices)
    lengths = lengths:index_select(0, packed.unsorted_indices:cpu())
  end
  return batch_first and padded:transpose(0, 1) or padded, lengths
end

-- --- padding ----------------------------------------------------------------------------------------------------------
local function sequences_of(what, given)
  if torch.is_tensor(given) then return given:unbind(0) end
  local list = iterate.list(given)
  if not list then
    args.fail(what, "Expected iterable for input sequences, but got arg of type: %s", text.describe(given))
  end
  if #list == 0 then args.fail(what, "received an empty list of sequences") end
  for i = 1, #list do
    if not torch.is_tensor(list[i]) then
      args.fail(what, "sequence %d must be a tensor, got %s", i - 1, text.describe(list[i]))
    end
    if list[i].ndim == 0 then
      args.fail(what, "sequence %d must have at least one dim (steps), got a tensor without dims", i - 1)
    end
  end
  return list
end

local pad_spec = args [[pad_sequence(any sequences, bool batch_first=false, float padding_value=0.0,
  str padding_side='right')]]

--- One tensor (steps, batch, ...), or (batch, steps, ...) with batch_first, of sequences (steps, ...) of different lengths,
--- padded at their end, or at their beginning with padding_side = "left".
function rnn.pad_sequence(...)
  local what = "pad_sequence"
  local given, batch_first, padding_value, side = pad_spec(...)
  local list = sequences_of(what, given)
  if side ~= "left" and side ~= "right" then
    args.fail(what, "Expected padding_side to be one of left or right, but got %s.", side)
  end
  local first, lengths, longest = list[1], {}, 0
  local rest = first.shape:tolist()
  for i, sequence in ipairs(list) do
    local same = sequence.ndim == #rest
    for d = 1, #rest - 1 do same = same and sequence:size(d) == rest[d + 1] end
    if not same then
      args.fail(what, "expected sequences that differ in their length (dim 0) only, got %s and %s",
        tostring(first.shape), tostring(sequence.shape))
    end
    lengths[i] = sequence:size(0)
    longest = math.max(longest, lengths[i])
    if sequence.dtype ~= first.dtype then list = table.move(list, 1, #list, 1, {}) end
    if sequence.dtype ~= first.dtype then list[i] = sequence:to(first.dtype) end
  end
  local batch, places = #list
  local counts = torch.tensor(lengths):unsqueeze(1)
  local steps = torch.arange(longest)
  local mask = side == "right" and steps:lt(counts) or steps:ge(longest - counts) -- (batch, steps)
  if batch_first then
    places = places_of(mask)
  else
    local pairs_at = mask:nonzero()
    places = pairs_at:select(1, 1) * batch + pairs_at:select(1, 0)
  end
  local trailing = { table.unpack(rest, 2) }
  local padded = first:new_full({ batch * longest, table.unpack(trailing) }, padding_value)
    :index_copy(0, places:to(first.device), torch.cat(list, 0))
  return padded:reshape { batch_first and batch or longest, batch_first and longest or batch, table.unpack(trailing) }
end

local unpad_spec = args "unpad_sequence(Tensor padded_sequences, any lengths, bool batch_first=false)"

--- The inverse: the list of sequences without their padding.
function rnn.unpad_sequence(...)
  local padded, given, batch_first = unpad_spec(...)
  local lengths = lengths_of("unpad_sequence", torch.is_tensor(given) and given:cpu() or given)
  if padded.ndim < 2 then
    args.fail("unpad_sequence", "expected padded_sequences of at least 2 dims (%s), got %s",
      batch_first and "batch, steps" or "steps, batch", tostring(padded.shape))
  end
  if not batch_first then padded = padded:transpose(0, 1) end
  local result = {}
  for i = 1, math.min(padded:size(0), lengths:numel()) do
    local length = math.max(math.min(lengths[i - 1]:item(), padded:size(1)), 0)
    result[i] = padded:select(0, i - 1):narrow(0, 0, length):clone()
  end
  return result
end

local pack_list_spec = args "pack_sequence(any sequences, bool enforce_sorted=true)"

--- Packs a list of sequences (steps, ...), longest first unless enforce_sorted is false.
function rnn.pack_sequence(...)
  local given, enforce_sorted = pack_list_spec(...)
  local list, lengths = sequences_of("pack_sequence", given), {}
  for i, sequence in ipairs(list) do lengths[i] = sequence:size(0) end
  return rnn.pack_padded_sequence(rnn.pad_sequence(list), lengths, false, enforce_sorted)
end

--- The list of sequences of a PackedSequence.
function rnn.unpack_sequence(packed_sequences)
  local padded, lengths = rnn.pad_packed_sequence(packed_of("unpack_sequence", packed_sequences), true)
  return rnn.unpad_sequence(padded, lengths, true)
end

return rnn
