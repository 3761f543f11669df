-- nn.RNNCell, nn.LSTMCell, nn.GRUCell and their base: one step of a recurrent net.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local Module = require "lampad.nn.module"
local Parameter = require "lampad.nn.parameter"
local init = require "lampad.nn.initializers"

local torch = core.torch
local cells = {}

local RNNCellBase = Module:extend "RNNCellBase"
cells.RNNCellBase = RNNCellBase

local base_spec = args [[RNNCellBase(int input_size, int hidden_size, bool bias, int num_chunks, device device=nil,
  dtype dtype=nil)]]
local rnn_spec = args [[RNNCell(int input_size, int hidden_size, bool bias=true, str nonlinearity='tanh',
  device device=nil, dtype dtype=nil)]]
local lstm_spec = args "LSTMCell(int input_size, int hidden_size, bool bias=true, device device=nil, dtype dtype=nil)"
local gru_spec = args "GRUCell(int input_size, int hidden_size, bool bias=true, device device=nil, dtype dtype=nil)"

-- weight_ih: (chunks * hidden_size, input_size), weight_hh: (chunks * hidden_size, hidden_size), two biases.
local function set_up(self, input_size, hidden_size, bias, chunks, device, dtype)
  self:_set { input_size = input_size, hidden_size = hidden_size, bias = bias }
  local making = args.making(device, dtype)
  self.weight_ih = Parameter(torch.empty({ chunks * hidden_size, input_size }, making))
  self.weight_hh = Parameter(torch.empty({ chunks * hidden_size, hidden_size }, making))
  self:register_parameter("bias_ih", bias and Parameter(torch.empty({ chunks * hidden_size }, making)) or nil)
  self:register_parameter("bias_hh", bias and Parameter(torch.empty({ chunks * hidden_size }, making)) or nil)
  self:reset_parameters()
end

--- RNNCellBase(input_size, hidden_size, bias, num_chunks, device, dtype): the weights of `num_chunks` gates.
function RNNCellBase:init(...)
  set_up(self, base_spec(...))
end

--- All from U(-k, k), k = 1 / sqrt(hidden_size).
function RNNCellBase:reset_parameters()
  local bound = self.hidden_size > 0 and 1 / math.sqrt(self.hidden_size) or 0
  for weight in self:parameters() do init.uniform_(weight, -bound, bound) end
end

function RNNCellBase:extra_repr()
  local parts = { ("%d, %d"):format(self.input_size, self.hidden_size) }
  if not self.bias then parts[#parts + 1] = "bias=False" end
  if self.nonlinearity ~= nil and self.nonlinearity ~= "tanh" then
    parts[#parts + 1] = "nonlinearity=" .. self.nonlinearity
  end
  return table.concat(parts, ", ")
end

local function check_state(self, name, state, batch)
  if state:size(0) ~= batch then
    args.fail(self.__name, "Input batch size %d doesn't match %s batch size %d", batch, name, state:size(0))
  end
  if state:size(1) ~= self.hidden_size then
    args.fail(self.__name, "%s has inconsistent hidden_size: got %d, expected %d", name, state:size(1), self.hidden_size)
  end
end

-- Arguments of forward as (batch, features) tensors: input, the list of `count` states, whether it was one example.
local function prepare(self, input, hx, count)
  local what = self.__name
  if args.is_named(input) and hx == nil then
    args.check_names(what .. ".forward", input, { "input", "hx" })
    input, hx = input.input, input.hx
  elseif type(hx) == "table" and args.is_named(hx) then
    args.check_names(what .. ".forward", hx, { "hx" })
    hx = hx.hx
  end
  if not torch.is_tensor(input) then args.fail(what, "input must be a tensor, got %s", text.describe(input)) end
  if input.ndim ~= 1 and input.ndim ~= 2 then
    args.fail(what, "Expected input to be 1D or 2D, got %dD instead", input.ndim)
  end
  local states = hx
  if count == 1 then states = hx ~= nil and { hx } or nil end
  if states ~= nil then
    if type(states) ~= "table" or #states ~= count then
      args.fail(what, "hx must be a list of two tensors {h, c}, got %s", text.describe(hx))
    end
    for i = 1, count do
      local state = states[i]
      if not torch.is_tensor(state) then args.fail(what, "hx must be a tensor, got %s", text.describe(state)) end
      if state.ndim ~= 1 and state.ndim ~= 2 then
        args.fail(what, "Expected %s to be 1D or 2D, got %dD instead", count == 1 and "hidden" or ("hx[%d]"):format(i - 1),
          state.ndim)
      end
    end
  end
  local single = input.ndim == 1
  if single then input = input:unsqueeze(0) end
  if input:size(1) ~= self.input_size then
    args.fail(what, "input has inconsistent input_size: got %d expected %d", input:size(1), self.input_size)
  end
  local batch, used = input:size(0), {}
  for i = 1, count do
    local state = states and states[i]
    if state == nil then
      state = torch.zeros(batch, self.hidden_size, { dtype = input.dtype, device = input.device })
    elseif (state.ndim == 1) ~= single then
      args.fail(what, "expected hx of %d dims, as the input, got %s", single and 1 or 2, tostring(state.shape))
    elseif single then
      state = state:unsqueeze(0)
    end
    check_state(self, "hidden" .. i - 1, state, batch)
    used[i] = state
  end
  return input, used, single
end

local rnn_ops = { tanh = torch.rnn_tanh_cell, relu = torch.rnn_relu_cell }

--- h' = tanh(W x + b + R h + d), or relu with nonlinearity = "relu". cell(input, h): input (batch, input_size) or
--- (input_size), h (batch, hidden_size) or (hidden_size), zeros when left out; returns h'.
cells.RNNCell = RNNCellBase:extend "RNNCell"
function cells.RNNCell:init(...)
  local input_size, hidden_size, bias, nonlinearity, device, dtype = rnn_spec(...)
  set_up(self, input_size, hidden_size, bias, 1, device, dtype)
  self:_set { nonlinearity = nonlinearity }
end

function cells.RNNCell:forward(input, hx)
  local run = rnn_ops[self.nonlinearity]
  if not run then args.fail("RNNCell", "Unknown nonlinearity: %s", tostring(self.nonlinearity)) end
  local x, states, single = prepare(self, input, hx, 1)
  local h = run(x, states[1], self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
  return single and h:squeeze(0) or h
end

--- Long short-term memory: `h, c = cell(input, {h, c})`.
cells.LSTMCell = RNNCellBase:extend "LSTMCell"
function cells.LSTMCell:init(...)
  local input_size, hidden_size, bias, device, dtype = lstm_spec(...)
  set_up(self, input_size, hidden_size, bias, 4, device, dtype)
end

function cells.LSTMCell:forward(input, hx)
  local x, states, single = prepare(self, input, hx, 2)
  local h, c = torch.lstm_cell(x, states, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
  if single then return h:squeeze(0), c:squeeze(0) end
  return h, c
end

--- Gated recurrent unit: `h = cell(input, h)`.
cells.GRUCell = RNNCellBase:extend "GRUCell"
function cells.GRUCell:init(...)
  local input_size, hidden_size, bias, device, dtype = gru_spec(...)
  set_up(self, input_size, hidden_size, bias, 3, device, dtype)
end

function cells.GRUCell:forward(input, hx)
  local x, states, single = prepare(self, input, hx, 1)
  local h = torch.gru_cell(x, states[1], self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
  return single and h:squeeze(0) or h
end

return cells
