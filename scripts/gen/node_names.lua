-- Names of graph nodes where PyTorch's is not made of the op's own name: by the op's C name, what `y.grad_fn` shows. A row
-- of the schema may give its name itself (`node`).
--
-- A list gives conditions in C over the op's arguments, each before the name that goes with it, and last the name of all
-- other calls (none: the name the node has without this table). For a composite op it is the last node of its result.
local names = {
  -- losses
  mse_loss = "MseLossBackward0", smooth_l1_loss = "SmoothL1LossBackward0", huber_loss = "HuberLossBackward0",
  binary_cross_entropy = "BinaryCrossEntropyBackward0",
  binary_cross_entropy_with_logits = "BinaryCrossEntropyWithLogitsBackward0",
  soft_margin_loss = "SoftMarginLossBackward0", multi_margin_loss = "MultiMarginLossBackward0",
  multilabel_margin_loss = "MultilabelMarginLossBackward0",
  kl_div = { "strcmp(reduction, \"batchmean\") == 0", "DivBackward0" },
  nll_loss = { "lp_ndim(input) == 4", "NllLoss2DBackward0" },
  cross_entropy = {
    "lp_dtype_is_floating(target->dtype)", "DivBackward1",
    "lp_ndim(input) == 4 && label_smoothing == 0", "NllLoss2DBackward0",
  },
  -- arithmetic: one row here serves PyTorch's overloads
  sub = { "self->flags & LP_FLAG_WRAPPED_NUMBER", "RsubBackward1", "SubBackward0" },
  rsub = { "other->flags & LP_FLAG_WRAPPED_NUMBER", "RsubBackward1", "RsubBackward0" },
  div = { "self->flags & LP_FLAG_WRAPPED_NUMBER", "MulBackward0", "DivBackward0" },
  pow = {
    "self->flags & LP_FLAG_WRAPPED_NUMBER", "PowBackward2", "exponent->flags & LP_FLAG_WRAPPED_NUMBER", "PowBackward0",
    "PowBackward1",
  },
  max = "MaxBackward1", max_dim = "MaxBackward0", min = "MinBackward1", min_dim = "MinBackward0", clamp = "ClampBackward1",
  clamp_tensor = "ClampBackward0",
  -- layers
  linear = {
    "lp_ndim(input) == 2 && bias", "AddmmBackward0", "lp_ndim(input) == 2", "MmBackward0",
    "lp_ndim(input) == 1 && !bias", "SqueezeBackward4", "UnsafeViewBackward0",
  },
  celu = "CeluBackward0", rrelu = "RreluWithNoiseBackward0", glu = "GluBackward0",
  unfold_batch = "Im2ColBackward0", fold_batch = "Col2ImBackward0", pixel_shuffle = "PixelShuffleBackward0",
  pixel_unshuffle = "PixelUnshuffleBackward0", channel_shuffle = "ChannelShuffleBackward0",
  affine_grid = "AffineGridGeneratorBackward0",
  grid_sample_nd = { "lp_ndim(input) == 5", "GridSampler3DBackward0", "GridSampler2DBackward0" },
  scaled_dot_product_attention = {
    "lp_ndim(query) == 4 && dropout_p == 0 && lp_size(query, 3) == lp_size(value, 3) && !lp_wants_grad(attn_mask)",
    "ScaledDotProductFlashAttentionForCpuBackward0",
  },
  pdist = "PdistBackward0", cdist = "CdistBackward0", pairwise_distance = "NormBackward1",
  -- shapes and linear algebra
  rep = "RepeatBackward0", tile = "RepeatBackward0", roll = "RollBackward0", masked_select = "MaskedSelectBackward0",
  trace = "TraceBackward0", renorm = "RenormBackward0", cross = "LinalgCrossBackward0",
  linalg_cross = "LinalgCrossBackward0", linalg_inv = "LinalgInvExBackward0", linalg_solve = "LinalgSolveExBackward0",
  linalg_cholesky = "LinalgCholeskyExBackward0", cholesky = "CholeskyBackward0", fft_c2c = "FftC2CBackward0",
  fft_r2c = "FftR2CBackward0", fft_c2r = "FftC2RBackward0",
}

-- --- recurrent nets: the names of their outputs, the first results -------------------------------------------------
names.lstm_input = {
  "batch_first", "TransposeBackward0", "bidirectional", "CatBackward0", "input->dtype == LP_FLOAT32",
  "MkldnnRnnLayerBackward0", "StackBackward0",
}
names.lstm_data, names.lstm_cell = "CatBackward0", "MulBackward0"
for op, step in pairs { gru = "AddBackward0", rnn_tanh = "TanhBackward0", rnn_relu = "ReluBackward0" } do
  names[op .. "_input"] = { "batch_first", "TransposeBackward1", "bidirectional", "CatBackward0", "StackBackward0" }
  names[op .. "_data"], names[op .. "_cell"] = "CatBackward0", step
end

-- --- pooling -------------------------------------------------------------------------------------------------
for _, op in ipairs { "max_pool1d", "max_pool1d_with_indices", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d",
  "adaptive_max_pool1d_with_indices", "max_unpool1d" } do
  names[op] = "SqueezeBackward1" -- of a dim that was added for the 2-d op
end
for d = 2, 3 do
  for op, name in pairs { max_pool = "MaxPool%dDWithIndices", adaptive_max_pool = "AdaptiveMaxPool%dD",
    fractional_max_pool = "FractionalMaxPool%dD" } do
    names[("%s%dd"):format(op, d)] = name:format(d) .. "Backward0"
    names[("%s%dd_with_indices"):format(op, d)] = name:format(d) .. "Backward0"
  end
  names[("avg_pool%dd"):format(d)] = ("AvgPool%dDBackward0"):format(d)
  names[("max_unpool%dd"):format(d)] = ("MaxUnpool%dDBackward0"):format(d)
  local ones = "output_size.data[0] == 1"
  for i = 1, d - 1 do ones = ones .. (" && output_size.data[output_size.count > %d ? %d : 0] == 1"):format(i, i) end
  names[("adaptive_avg_pool%dd"):format(d)] = { ones, "MeanBackward1", ("AdaptiveAvgPool%dDBackward0"):format(d) }
end

-- --- padding and resizing ---------------------------------------------------------------------------------------
local function mode_is(mode) return ('strcmp(mode, "%s") == 0'):format(mode) end

names.constant_pad_nd = "ConstantPadNdBackward0"
local pad = { mode_is "constant", "ConstantPadNdBackward0", mode_is "circular", "CopySlices" }
for d = 1, 3 do
  for mode, name in pairs { reflect = "Reflection", replicate = "Replication" } do
    pad[#pad + 1] = ("pad.count == %d && %s"):format(2 * d, mode_is(mode))
    pad[#pad + 1] = ("%sPad%dDBackward0"):format(name, d)
  end
end
names.pad = pad

local resized = {}
for d = 1, 3 do
  local linear = ({ "Linear", "Bilinear", "Trilinear" })[d]
  for _, case in ipairs {
    { "nearest", "UpsampleNearest%dDBackward0" }, { "nearest-exact", "UpsampleNearestExact%dDBackward0" },
    { linear:lower(), "Upsample" .. linear .. "%dDBackward0" }, { "area", "AdaptiveAvgPool%dDBackward0" },
  } do
    local condition = ("lp_ndim(input) == %d && %s"):format(d + 2, mode_is(case[1]))
    if case[1] == "bilinear" then
      table.move({ condition .. " && antialias", "UpsampleBilinear2DAaBackward0" }, 1, 2, #resized + 1, resized)
    end
    local name = case[1] == "area" and d == 1 and "SqueezeBackward1" or case[2]:format(d)
    table.move({ condition, name }, 1, 2, #resized + 1, resized)
  end
end
table.move({
  mode_is "bicubic" .. " && antialias", "UpsampleBicubic2DAaBackward0", mode_is "bicubic", "UpsampleBicubic2DBackward0",
  mode_is "lanczos", "UpsampleLanczos2DAaBackward0",
}, 1, 6, #resized + 1, resized)
names.interpolate = resized

return names
