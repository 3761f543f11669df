-- Dropout and embedding.
local tail = "float p=0.5, bool training=true, bool inplace=false) -> Tensor"
local function dropout(name, doc, cases)
  op{ name .. "(Tensor input, " .. tail, variants = "function",
      module = name == "dropout" and "nn.functional torch" or "nn.functional", kind = "composite", doc = doc, cases = cases,
      example = ("F.%s(torch.ones(2, 3, 2), 0.5, true)"):format(name) }
end
dropout("dropout", "Zeroes each element with probability p when training and scales the rest by 1 / (1 - p).",
  { "(3,4),0.5,false", "(3,4),0.0,true", "(),1.0,true" })
dropout("dropout1d", "Zeroes whole channels of (N, C, L) or (C, L) with probability p.", { "(2,3,4),0.5,false" })
dropout("dropout2d", "Zeroes whole channels of (N, C, H, W) with probability p.", { "(2,3,4,4),0.5,false" })
dropout("dropout3d", "Zeroes whole channels of (N, C, D, H, W) or (C, D, H, W) with probability p.",
  { "(2,3,2,2,2),0.5,false" })
tail = "float p=0.5, bool training=false, bool inplace=false) -> Tensor"
dropout("alpha_dropout", "Dropout that keeps mean 0 and variance 1, for nets of selu.", { "(3,4),0.5,false" })
dropout("feature_alpha_dropout", "alpha_dropout of whole channels.", { "(2,3,4),0.5,false", "(3,),0.5,false" })

op{ "embedding(Tensor input, Tensor weight, int? padding_idx=nil, float? max_norm=nil, float norm_type=2.0, "
      .. "bool scale_grad_by_freq=false, bool sparse=false) -> Tensor",
    variants = "function", module = "nn.functional", kind = "composite",
    cases = { "(3,)<5,(5,4)", "(2,3)<5,(5,4),2", "(6,)<3,(3,2),nil,nil,2.0,true" },
    doc = "The rows of weight at the indices in input. The row padding_idx gets no gradient; max_norm first shrinks the "
      .. "rows used, in place.",
    example = "F.embedding(torch.tensor{1, 0, 1}, torch.tensor{{1., 2.}, {3., 4.}})" }
op{ "embedding_rows(Tensor weight, Tensor indices, int padding_idx, bool scale_grad_by_freq) -> Tensor",
    variants = "internal", node = "EmbeddingBackward0",
    grad = { weight = "embedding_rows_grad(grad, indices, weight.shape, padding_idx, scale_grad_by_freq)" } }
op{ "embedding_rows_grad(Tensor grad_output, Tensor indices, int[] size, int padding_idx, bool scale_grad_by_freq) -> Tensor",
    variants = "internal",
    grad = { grad_output = "embedding_rows_adjoint(grad, indices, padding_idx, scale_grad_by_freq)" } }
op{ "embedding_rows_adjoint(Tensor self, Tensor indices, int padding_idx, bool scale_grad_by_freq) -> Tensor",
    variants = "internal",
    grad = { self = "embedding_rows_grad(grad, indices, self.shape, padding_idx, scale_grad_by_freq)" } }
op{ "embedding_renorm_(Tensor self, Tensor indices, float max_norm, float norm_type) -> ()", variants = "internal" }
