-- Recurrent nets. A layer in one direction is one native op over packed rows (nn/cpu/rnn.h); the public ops put layers
-- together (nn/composite/rnn.c). Second derivatives: nn/composite/rnn_unrolled.c.
-- kind: 0 relu, 1 tanh, 3 gru (LpRnnKind).
local weights = "Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh"

op{ "lstm_layer(Tensor input, int[] batch_sizes, Tensor hx, Tensor cx, " .. weights .. ", Tensor? w_hr, bool reverse) "
      .. "-> (Tensor output, Tensor hy, Tensor cy, Tensor gates, Tensor cells)",
    autocast = "lower_precision_fp", variants = "internal", nondiff = "gates cells", tells_recording = true,
    grad = { ["input, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr"] = "lstm_layer_backward(grad_output, grad_hy, grad_cy, input, "
      .. "batch_sizes, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr, reverse, output, gates, cells, grad_mask)" } }
op{ "lstm_layer_backward(Tensor? grad_output, Tensor? grad_hy, Tensor? grad_cy, Tensor input, int[] batch_sizes, "
      .. "Tensor hx, Tensor cx, " .. weights .. ", Tensor? w_hr, bool reverse, Tensor output, Tensor gates, Tensor cells, "
      .. "mask wanted) -> (Tensor d_input, Tensor d_hx, Tensor d_cx, Tensor d_w_ih, Tensor d_w_hh, Tensor d_b_ih, "
      .. "Tensor d_b_hh, Tensor d_w_hr)",
    variants = "internal", kind = "composite" }
op{ "lstm_layer_grads(Tensor? grad_output, Tensor? grad_hy, Tensor? grad_cy, Tensor input, int[] batch_sizes, "
      .. "Tensor hx, Tensor cx, " .. weights .. ", Tensor? w_hr, bool reverse, Tensor output, Tensor gates, Tensor cells, "
      .. "mask wanted) -> (Tensor d_input, Tensor d_hx, Tensor d_cx, Tensor d_w_ih, Tensor d_w_hh, Tensor d_b_ih, "
      .. "Tensor d_b_hh, Tensor d_w_hr)",
    variants = "internal", grad = "none" }

op{ "rnn_layer(Tensor input, int[] batch_sizes, Tensor hx, " .. weights .. ", int kind, bool reverse) "
      .. "-> (Tensor output, Tensor hy, Tensor gates)",
    variants = "internal", nondiff = "gates", tells_recording = true,
    grad = { ["input, hx, w_ih, w_hh, b_ih, b_hh"] = "rnn_layer_backward(grad_output, grad_hy, input, batch_sizes, hx, "
      .. "w_ih, w_hh, b_ih, b_hh, kind, reverse, output, gates, grad_mask)" } }
op{ "rnn_layer_backward(Tensor? grad_output, Tensor? grad_hy, Tensor input, int[] batch_sizes, Tensor hx, " .. weights
      .. ", int kind, bool reverse, Tensor output, Tensor gates, mask wanted) -> (Tensor d_input, Tensor d_hx, "
      .. "Tensor d_w_ih, Tensor d_w_hh, Tensor d_b_ih, Tensor d_b_hh)",
    variants = "internal", kind = "composite" }
op{ "rnn_layer_grads(Tensor? grad_output, Tensor? grad_hy, Tensor input, int[] batch_sizes, Tensor hx, " .. weights
      .. ", int kind, bool reverse, Tensor output, Tensor gates, mask wanted) -> (Tensor d_input, Tensor d_hx, "
      .. "Tensor d_w_ih, Tensor d_w_hh, Tensor d_b_ih, Tensor d_b_hh)",
    variants = "internal", grad = "none" }

-- --- public ----------------------------------------------------------------------------------------------------------
local options = "Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional"

op{ "lstm.input(Tensor input, Tensor[] hx, " .. options .. ", bool batch_first) -> (Tensor output, Tensor hy, Tensor cy)",
    variants = "function", kind = "composite",
    cases = {
      "(3,2,4),[(1,2,3),(1,2,3)],[(12,4),(12,3),(12,),(12,)],true,1,0.0,false,false,false",
      "(2,3,4)t,[(1,2,2),(1,2,3)],[(12,4),(12,2),(12,),(12,),(2,3)],true,1,0.0,true,false,true",
      "(5,2,2),[(4,2,3),(4,2,3)],[(12,2),(12,3),(12,2),(12,3),(12,6),(12,3),(12,6),(12,3)],false,2,0.0,true,true,false" },
    doc = "A long short-term memory over a batch of sequences (steps, batch, features): hx = {h, c} of shape (layers, batch, "
      .. "hidden), params the weights and biases of each layer and direction, as nn.LSTM holds them.",
    example = "torch.lstm(torch.ones(2, 1, 1), {torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)}, "
      .. "{torch.ones(4, 1), torch.ones(4, 1)}, false, 1, 0.0, false, false, false)" }
op{ "lstm.data(Tensor data, Tensor batch_sizes, Tensor[] hx, " .. options .. ") -> (Tensor output, Tensor hy, Tensor cy)",
    variants = "function", kind = "composite",
    doc = "The same over packed sequences: data (rows, features) and batch_sizes of a PackedSequence.",
    example = "torch.lstm(torch.ones(3, 1), torch.tensor{2, 1}, {torch.zeros(1, 2, 1), torch.zeros(1, 2, 1)}, "
      .. "{torch.ones(4, 1), torch.ones(4, 1)}, false, 1, 0.0, false, false)" }

local others = {
  { "gru", "gated recurrent unit", 3, 9 },
  { "rnn_tanh", "recurrent net with tanh", 1, 3 },
  { "rnn_relu", "recurrent net with relu", 1, 3 },
}
for _, row in ipairs(others) do
  local name, what, gates, g = table.unpack(row)
  local ones = ("{torch.ones(%d, 1), torch.ones(%d, 1)}"):format(gates, gates)
  op{ name .. ".input(Tensor input, Tensor hx, " .. options .. ", bool batch_first) -> (Tensor output, Tensor hy)",
      variants = "function", kind = "composite",
      cases = {
        ("(3,2,4),(1,2,3),[(%d,4),(%d,3),(%d,),(%d,)],true,1,0.0,false,false,false"):format(g, g, g, g),
        ("(2,3,2),(4,2,3),[(%d,2),(%d,3),(%d,2),(%d,3),(%d,6),(%d,3),(%d,6),(%d,3)],false,2,0.0,true,true,true"):format(
          g, g, g, g, g, g, g, g) },
      doc = "A " .. what .. " over a batch of sequences (steps, batch, features): hx of shape (layers, batch, hidden), "
        .. "params the weights and biases of each layer and direction, as nn." .. (g == 9 and "GRU" or "RNN") .. " holds them.",
      example = ("torch.%s(torch.ones(2, 1, 1), torch.zeros(1, 1, 1), %s, false, 1, 0.0, false, false, false)"):format(
        name, ones) }
  op{ name .. ".data(Tensor data, Tensor batch_sizes, Tensor hx, " .. options .. ") -> (Tensor output, Tensor hy)",
      variants = "function", kind = "composite",
      doc = "The same over packed sequences: data (rows, features) and batch_sizes of a PackedSequence.",
      example = ("torch.%s(torch.ones(3, 1), torch.tensor{2, 1}, torch.zeros(1, 2, 1), %s, false, 1, 0.0, false, false)")
        :format(name, ones) }
end

local biases = "Tensor w_ih, Tensor w_hh, Tensor? b_ih=nil, Tensor? b_hh=nil"
op{ "lstm_cell(Tensor input, Tensor[] hx, " .. biases .. ") -> (Tensor hy, Tensor cy)",
    variants = "function", kind = "composite",
    cases = { "(2,4),[(2,3),(2,3)],(12,4),(12,3),(12,),(12,)", "(2,4)t,[(2,3),(2,3)],(12,4)t,(12,3)t" },
    doc = "One step of an LSTM: input (batch, features), hx = {h, c} of shape (batch, hidden).",
    example = "torch.lstm_cell(torch.ones(1, 1), {torch.zeros(1, 1), torch.zeros(1, 1)}, torch.ones(4, 1), torch.ones(4, 1))" }
for _, row in ipairs(others) do
  local name, what, gates, g = table.unpack(row)
  op{ name .. "_cell(Tensor input, Tensor hx, " .. biases .. ") -> Tensor",
      variants = "function", kind = "composite",
      cases = { ("(2,4),(2,3),(%d,4),(%d,3),(%d,),(%d,)"):format(g, g, g, g), ("(2,4)t,(2,3),(%d,4)t,(%d,3)t"):format(g, g) },
      doc = "One step of a " .. what .. ": input (batch, features), hx (batch, hidden).",
      example = ("torch.%s_cell(torch.ones(1, 1), torch.zeros(1, 1), torch.ones(%d, 1), torch.ones(%d, 1))"):format(
        name, gates, gates) }
end
