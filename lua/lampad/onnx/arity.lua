-- How many inputs each operator takes: the fewest and the most over all versions of its definition. A graph that gives an
-- operator fewer, or leaves one of the first ones out, is refused with a message that says so.
local groups = {
  { 0, 0, [[ Constant RandomNormal RandomUniform SequenceEmpty ]] },
  { 0, math.huge, [[ Loop Scan ]] }, -- the first may be left out
  { 0, 1, [[ Optional OptionalHasElement ]] },
  { 1, 1, [[ Abs Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh AveragePool Bernoulli BitCast BitwiseNot BlackmanWindow Cast
    Ceil Celu ConcatFromSequence ConstantOfShape Cos Cosh DepthToSpace Det DynamicQuantizeLinear Elu Erf Exp EyeLike
    Flatten Floor Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool HammingWindow HannWindow HardSigmoid HardSwish
    Hardmax Identity If ImageDecoder IsInf IsNaN LRN LeakyRelu Log LogSoftmax LpNormalization LpPool MaxPool
    MeanVarianceNormalization Mish Multinomial Neg NonZero Not OptionalGetElement RandomNormalLike RandomUniformLike
    Reciprocal RegexFullMatch Relu Round Selu SequenceLength Shape Shrink Sigmoid Sign Sin Sinh Size Softmax Softplus Softsign
    SpaceToDepth Sqrt StringNormalizer StringSplit Swish Tan Tanh TfIdfVectorizer ThresholdedRelu Transpose Unique
    Binarizer LabelEncoder TreeEnsemble ]] },
  { 1, 2, [[ ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare Reshape SequenceErase Split SplitToSequence Squeeze TopK Trilu Unsqueeze Upsample ]] },
  { 1, 3, [[ Clip DFT Dropout ]] },
  { 1, 4, [[ Pad Resize ]] },
  { 1, 5, [[ Slice ]] },
  { 1, math.huge, [[ Concat Einsum Max Mean Min SequenceConstruct SequenceMap Sum ]] },
  { 2, 2, [[ MaxRoiPool Add AffineGrid And BitShift BitwiseAnd BitwiseOr BitwiseXor CastLike CenterCropPad Compress CumProd CumSum Div
    Equal Expand Gather GatherElements GatherND Greater GreaterOrEqual GridSample Less LessOrEqual MatMul Mod Mul Or
    PRelu Pow RMSNormalization ReverseSequence SequenceAt StringConcat Sub SwiGLU Xor ArrayFeatureExtractor ]] },
  { 2, 3, [[ Conv ConvTranspose DequantizeLinear Gemm LayerNormalization MaxUnpool NegativeLogLikelihoodLoss QuantizeLinear
    SequenceInsert SoftmaxCrossEntropyLoss TensorScatter Tile ]] },
  { 2, 4, [[ CausalConvWithState ConvInteger MatMulInteger STFT ]] },
  { 2, 5, [[ NonMaxSuppression ]] },
  { 3, 3, [[ Col2Im GroupNormalization InstanceNormalization OneHot Range RoiAlign Scatter ScatterElements ScatterND Where
    FlexAttention ]] },
  { 3, 4, [[ RotaryEmbedding ]] },
  { 3, 5, [[ DeformConv ]] },
  { 3, 6, [[ GRU LinearAttention RNN ]] },
  { 3, 7, [[ Attention ]] },
  { 3, 8, [[ LSTM ]] },
  { 3, math.huge, [[ Adagrad Adam Momentum ]] },
  { 5, 5, [[ BatchNormalization MelWeightMatrix ]] },
  { 8, 8, [[ QLinearMatMul ]] },
  { 8, 9, [[ QLinearConv ]] },
}

-- Operators that took an input in the place of an attribute from some version on: the version, the fewest inputs then.
local later = { Reshape = { 5, 2 }, Tile = { 1, 2 }, Upsample = { 9, 2 }, Slice = { 10, 3 }, TopK = { 10, 2 }, Pad = { 11, 2 },
  Unsqueeze = { 13, 2 } }

local least, most = {}, {}
for _, group in ipairs(groups) do
  for name in group[3]:gmatch "%S+" do least[name], most[name] = group[1], group[2] end
end

local arity = {}

--- The fewest and the most inputs of an operator in a version of the operator set.
function arity.of(name, opset)
  local change = later[name]
  local fewest = change and opset >= change[1] and change[2] or least[name]
  return fewest or 0, most[name] or math.huge
end

return arity
