-- nn.RNN, nn.LSTM, nn.GRU and their base: recurrent nets of several layers, in one or both directions.
--
-- Parameters of layer k are weight_ih_lk, weight_hh_lk, bias_ih_lk, bias_hh_lk, with a projection weight_hr_lk; those of
-- the backward direction end in _reverse. Calls: `output, h = rnn(x, h)`, `output, hc = lstm(x, {h, c})` with hc = {h, c}.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local init = require "lampad.nn.initializers"

local torch = core.torch
local rnn = {}

local modes = {
  LSTM = { gates = 4, run = torch.lstm },
  GRU = { gates = 3, run = torch.gru },
  RNN_TANH = { gates = 1, run = torch.rnn_tanh },
  RNN_RELU = { gates = 1, run = torch.rnn_relu },
}

local RNNBase = Module:extend "RNNBase"
rnn.RNNBase = RNNBase

local options = [[int num_layers=1, %sbool bias=true, bool batch_first=false, float dropout=0.0,
  bool bidirectional=false, int proj_size=0, device device=nil, dtype dtype=nil)]]
local base_spec = args("RNNBase(str mode, int input_size, int hidden_size, " .. options:format "")
local lstm_spec = args("LSTM(int input_size, int hidden_size, " .. options:format "")
local gru_spec = args("GRU(int input_size, int hidden_size, " .. options:format "")
local rnn_spec = args("RNN(int input_size, int hidden_size, " .. options:format "str nonlinearity='tanh', ")

local function check(self, mode, o)
  local what = self.__name
  local function need(condition, ...)
    if not condition then args.fail(what, ...) end
  end
  need(o.dropout >= 0 and o.dropout <= 1, "dropout should be a number in range [0, 1] representing the probability of "
    .. "an element being zeroed, got %s", text.repr(o.dropout))
  need(modes[mode], "Unrecognized RNN mode: %s", mode)
  need(o.input_size > 0, "input_size must be greater than zero, got %d", o.input_size)
  need(o.hidden_size > 0, "hidden_size must be greater than zero, got %d", o.hidden_size)
  need(o.num_layers > 0, "num_layers must be greater than zero, got %d", o.num_layers)
  need(o.proj_size >= 0, "proj_size should be a positive integer or zero to disable projections, got %d", o.proj_size)
  need(o.proj_size == 0 or mode == "LSTM", "proj_size argument is only supported for LSTM, not RNN or GRU")
  need(o.proj_size < o.hidden_size, "proj_size has to be smaller than hidden_size, got %d and %d", o.proj_size,
    o.hidden_size)
  if o.dropout > 0 and o.num_layers == 1 then
    io.stderr:write(("warning: dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
      .. "expects num_layers greater than 1, but got dropout=%s and num_layers=1\n"):format(text.repr(o.dropout)))
  end
end

-- The set-up of every kind: o has the options by name.
local function set_up(self, mode, o)
  check(self, mode, o)
  self:_set {
    mode = mode, input_size = o.input_size, hidden_size = o.hidden_size, num_layers = o.num_layers, bias = o.bias,
    batch_first = o.batch_first, dropout = o.dropout, bidirectional = o.bidirectional, proj_size = o.proj_size,
  }
  local rows = modes[mode].gates * o.hidden_size
  local out = o.proj_size > 0 and o.proj_size or o.hidden_size
  local making = args.making(o.device, o.dtype)
  local names = {} -- of each layer and direction
  for layer = 0, o.num_layers - 1 do
    for direction = 1, o.bidirectional and 2 or 1 do
      local inputs = layer == 0 and o.input_size or out * (o.bidirectional and 2 or 1)
      local own = {}
      names[#names + 1] = own
      local function parameter(kind, sizes)
        local name = kind .. "_l" .. layer .. (direction == 2 and "_reverse" or "")
        own[#own + 1] = name
        self[name] = Parameter(torch.empty(sizes, making))
      end
      parameter("weight_ih", { rows, inputs })
      parameter("weight_hh", { rows, out })
      if o.bias then
        parameter("bias_ih", { rows })
        parameter("bias_hh", { rows })
      end
      if o.proj_size > 0 then parameter("weight_hr", { out, o.hidden_size }) end
    end
  end
  rawset(self, "_all_weights", names)
  self:reset_parameters()
end

--- RNNBase(mode, input_size, hidden_size, num_layers = 1, bias = true, batch_first = false, dropout = 0.0,
--- bidirectional = false, proj_size = 0, device, dtype); mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
function RNNBase:init(...)
  local o = base_spec:collect(...)
  set_up(self, o.mode, o)
end

--- All from U(-k, k), k = 1 / sqrt(hidden_size).
function RNNBase:reset_parameters()
  local bound = self.hidden_size > 0 and 1 / math.sqrt(self.hidden_size) or 0
  for weight in self:parameters() do init.uniform_(weight, -bound, bound) end
end

--- Nothing to do: the kernels arrange the weights themselves.
function RNNBase.flatten_parameters() end

--- The parameters as a list for each layer and direction.
function RNNBase:_weights()
  local result = {}
  for i, names in ipairs(self._all_weights) do
    result[i] = {}
    for j, name in ipairs(names) do result[i][j] = self[name] end
  end
  return result
end

-- all_weights is read like an attribute.
function RNNBase.make_index(C)
  return function(self, key)
    if key == "all_weights" then return self:_weights() end
    return C[key]
  end
end
RNNBase.__meta.__index = RNNBase.make_index(RNNBase)

-- The parameters in the order of torch.lstm's `params`.
local function flat_weights(self)
  local result, n = {}, 0
  for _, names in ipairs(self._all_weights) do
    for _, name in ipairs(names) do
      n = n + 1
      result[n] = self[name]
      if result[n] == nil then args.fail(self.__name, "the parameter '%s' is missing", name) end
    end
  end
  return result
end

local function check_input(self, input, dims, first)
  if input.dtype ~= first.dtype and not torch.is_autocast_enabled "cpu" then
    args.fail(self.__name, "RNN input dtype (%s) does not match weight dtype (%s). Convert input: input:to(%s), or "
      .. "convert model: model:to(%s)", tostring(input.dtype), tostring(first.dtype), tostring(first.dtype),
      tostring(input.dtype))
  end
  if input.ndim ~= dims then
    args.fail(self.__name, "input must have %d dimensions, got %d", dims, input.ndim)
  end
  if input:size(-1) ~= self.input_size then
    args.fail(self.__name, "input.size(-1) must be equal to input_size. Expected %d, got %d", self.input_size,
      input:size(-1))
  end
end

-- A state for `batch` sequences: (layers * directions, batch, size).
local function check_state(self, name, state, batch, size)
  local layers = self.num_layers * (self.bidirectional and 2 or 1)
  if state.ndim ~= 3 or state:size(0) ~= layers or state:size(1) ~= batch or state:size(2) ~= size then
    args.fail(self.__name, "Expected %s size (%d, %d, %d), got %s", name, layers, batch, size,
      "[" .. table.concat(state.shape:tolist(), ", ") .. "]")
  end
end

local function outputs_of(self) return self.proj_size > 0 and self.proj_size or self.hidden_size end

local function zero_state(self, input, batch, size)
  return torch.zeros(self.num_layers * (self.bidirectional and 2 or 1), batch, size,
    { dtype = input.dtype, device = input.device })
end

-- What a forward got as its state: a list of as many tensors as the kind has, or nil.
local function states_of(self, hx)
  if hx == nil then return nil end
  if self.mode ~= "LSTM" then
    if not torch.is_tensor(hx) then args.fail(self.__name, "hx must be a tensor, got %s", text.describe(hx)) end
    return { hx }
  end
  if type(hx) ~= "table" or #hx ~= 2 or not torch.is_tensor(hx[1]) or not torch.is_tensor(hx[2]) then
    args.fail(self.__name, "hx must be a list of two tensors {h, c}, got %s", text.describe(hx))
  end
  return { hx[1], hx[2] }
end

-- The states brought to 3 dims for a batched input, or checked to have 2 for a single sequence.
local function match_dims(self, states, batched)
  local wanted = batched and 3 or 2
  local lstm = #states == 2
  local fits = states[1].ndim == wanted and (not lstm or states[2].ndim == wanted)
  if not fits then
    local got = lstm and ("(%d-D, %d-D) tensors"):format(states[1].ndim, states[2].ndim)
      or ("%d-D tensor"):format(states[1].ndim)
    args.fail(self.__name, "For %s %d-D input, %s should also be %d-D but got %s", batched and "batched" or "unbatched",
      wanted, lstm and "hx and cx" or "hx", wanted, got)
  end
  if not batched then
    for i, state in ipairs(states) do states[i] = state:unsqueeze(1) end
  end
end

local function permuted(states, indices)
  if indices == nil then return states end
  local result = {}
  for i, state in ipairs(states) do result[i] = state:index_select(1, indices) end
  return result
end

local function check_states(self, states, batch)
  if #states == 2 then
    check_state(self, "hidden[0]", states[1], batch, outputs_of(self))
    check_state(self, "hidden[1]", states[2], batch, self.hidden_size)
  else
    check_state(self, "hidden", states[1], batch, self.hidden_size)
  end
end

local function initial_states(self, input, batch)
  local h = zero_state(self, input, batch, outputs_of(self))
  return self.mode == "LSTM" and { h, zero_state(self, input, batch, self.hidden_size) } or { h }
end

local PackedSequence -- loaded when a table comes

local function forward_packed(self, packed, hx)
  local data, batch_sizes = packed.data, packed.batch_sizes
  local weights = flat_weights(self)
  check_input(self, data, 2, weights[1])
  local batch = batch_sizes[0]:item()
  local states = states_of(self, hx)
  if states then
    check_states(self, states, batch)
    states = permuted(states, packed.sorted_indices)
  else
    states = initial_states(self, data, batch)
  end
  local lstm = #states == 2
  local output, h, c = modes[self.mode].run(data, batch_sizes, lstm and states or states[1], weights, self.bias,
    self.num_layers, self.dropout, self.training, self.bidirectional)
  local last = permuted({ h, c }, packed.unsorted_indices)
  local result = PackedSequence(output, batch_sizes, packed.sorted_indices, packed.unsorted_indices)
  return result, lstm and last or last[1]
end

local function forward_padded(self, input, hx)
  if input.ndim ~= 2 and input.ndim ~= 3 then
    args.fail(self.__name, "Expected input to be 2D or 3D, got %dD instead", input.ndim)
  end
  local batched = input.ndim == 3
  local batch_dim = self.batch_first and 0 or 1
  if not batched then input = input:unsqueeze(batch_dim) end
  local weights = flat_weights(self)
  check_input(self, input, 3, weights[1])
  local batch = input:size(batch_dim)
  local states = states_of(self, hx)
  if states then
    match_dims(self, states, batched)
    check_states(self, states, batch)
  else
    states = initial_states(self, input, batch)
  end
  local lstm = #states == 2
  local output, h, c = modes[self.mode].run(input, lstm and states or states[1], weights, self.bias, self.num_layers,
    self.dropout, self.training, self.bidirectional, self.batch_first)
  if not batched then
    output, h, c = output:squeeze(batch_dim), h:squeeze(1), c and c:squeeze(1)
  end
  if lstm then return output, { h, c } end
  return output, h
end

--- input: (steps, batch, input_size), (batch, steps, input_size) with batch_first, (steps, input_size) for a single
--- sequence, or a PackedSequence. hx: the states to begin with, (layers * directions, batch, hidden_size), for an LSTM
--- {h, c}; zeros when left out. Returns the outputs of the last layer, and the last states of every layer.
function RNNBase:forward(input, hx)
  if type(input) == "table" then
    if args.is_named(input) and hx == nil then
      args.check_names(self.__name .. ".forward", input, { "input", "hx" })
      return self:forward(input.input, input.hx)
    end
    PackedSequence = PackedSequence or require("lampad.nn.utils.rnn").PackedSequence
    if PackedSequence.is(input) then
      if type(hx) == "table" and hx.hx ~= nil then hx = hx.hx end
      return forward_packed(self, input, hx)
    end
  end
  if not torch.is_tensor(input) then
    args.fail(self.__name, "input must be a tensor or a PackedSequence, got %s", text.describe(input))
  end
  if type(hx) == "table" and args.is_named(hx) then
    args.check_names(self.__name .. ".forward", hx, { "hx" })
    hx = hx.hx
  end
  return forward_padded(self, input, hx)
end

function RNNBase:extra_repr()
  local parts = { ("%d, %d"):format(self.input_size, self.hidden_size) }
  local function note(condition, name)
    if condition then parts[#parts + 1] = name .. "=" .. text.repr(self[name]) end
  end
  note(self.proj_size ~= 0, "proj_size")
  note(self.num_layers ~= 1, "num_layers")
  note(not self.bias, "bias")
  note(self.batch_first, "batch_first")
  note(self.dropout ~= 0, "dropout")
  note(self.bidirectional, "bidirectional")
  return table.concat(parts, ", ")
end

-- --- kinds ------------------------------------------------------------------------------------------------------------
local nonlinearities = { tanh = "RNN_TANH", relu = "RNN_RELU" }

--- h' = tanh(W x + b + R h + d), or relu with nonlinearity = "relu".
rnn.RNN = RNNBase:extend "RNN"
function rnn.RNN:init(...)
  local o = rnn_spec:collect(...)
  local mode = nonlinearities[o.nonlinearity]
  if not mode then
    args.fail("RNN", "Unknown nonlinearity '%s'. Select from 'tanh' or 'relu'.", o.nonlinearity)
  end
  set_up(self, mode, o)
end

--- Long short-term memory; with proj_size > 0 its h is projected to that size.
rnn.LSTM = RNNBase:extend "LSTM"
function rnn.LSTM:init(...) set_up(self, "LSTM", lstm_spec:collect(...)) end

--- Gated recurrent unit.
rnn.GRU = RNNBase:extend "GRU"
function rnn.GRU:init(...) set_up(self, "GRU", gru_spec:collect(...)) end

return rnn
