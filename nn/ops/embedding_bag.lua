-- Sums, means and maxima of rows of a table.
op{ "embedding_bag(Tensor input, Tensor weight, Tensor? offsets=nil, float? max_norm=nil, float norm_type=2.0, "
      .. "bool scale_grad_by_freq=false, str mode='mean', bool sparse=false, Tensor? per_sample_weights=nil, "
      .. "bool include_last_offset=false, int? padding_idx=nil) -> Tensor",
    variants = "function", module = "nn.functional", kind = "composite",
    cases = { "(2,3)<5,(5,4)", "(6,)<5,(5,3),(1,)<1,mode='sum'", "(2,4)<5,(5,3),mode='max'",
              "(2,4)<5,(5,3),mode='sum',per_sample_weights=(2,4)", "(3,4)<4,(4,3),mode='mean',padding_idx=2",
              "(2,4)<3,(4,3),mode='sum',scale_grad_by_freq=true", "(2,4)<4,(4,3),mode='max',padding_idx=-1" },
    doc = "For each bag the sum, mean or max (mode) of the rows of weight at its indices. input (bags, n), or (n) with "
      .. "offsets, where each bag begins (include_last_offset: and the last ends). per_sample_weights multiply the "
      .. "rows of a sum; the row padding_idx does not count; max_norm first shrinks the rows used, in place.",
    example = "F.embedding_bag(torch.tensor{0, 1, 1}, torch.tensor{{1., 2.}, {3., 4.}}, torch.tensor{0, 2})" }
op{ "embedding_bag_rows(Tensor weight, Tensor indices, Tensor offsets, Tensor? per_sample_weights, str mode, "
      .. "bool scale_grad_by_freq, int padding_idx) -> (Tensor output, Tensor winners)", variants = "internal",
    nondiff = "winners", node = "EmbeddingBagBackward0",
    grad = { ["weight, per_sample_weights"] = "embedding_bag_rows_backward(grad, weight, indices, offsets, "
      .. "per_sample_weights, winners, mode, scale_grad_by_freq, padding_idx, grad_mask)" } }
op{ "embedding_bag_rows_backward(Tensor grad_output, Tensor weight, Tensor indices, Tensor offsets, "
      .. "Tensor? per_sample_weights, Tensor winners, str mode, bool scale_grad_by_freq, int padding_idx, "
      .. "mask grad_mask) -> (Tensor weight_grad, Tensor sample_grad)", variants = "internal",
    grad = { grad_output = "no_derivative(grad_weight_grad, 'embedding_bag')",
             weight = "no_derivative(grad_weight_grad, 'embedding_bag')",
             per_sample_weights = "no_derivative(grad_weight_grad, 'embedding_bag')" } }
