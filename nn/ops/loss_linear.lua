-- The loss of a language model's head.
op{ "linear_cross_entropy(Tensor input, Tensor linear_weight, Tensor target, *, Tensor? linear_bias=nil, "
      .. "Tensor? weight=nil, str reduction='mean', int? ignore_index=nil, float label_smoothing=0.0) -> Tensor",
    variants = "function", module = "nn.functional", kind = "composite",
    cases = { "(4,3),(5,3),(4,)<5", "(4,3),(5,3),(4,)<5,linear_bias=(5,),weight=(5,)pg,reduction='sum',label_smoothing=0.2",
              "(3,),(4,3),()<4", "(4,3),(2,3,3),(4,3)<2,reduction='none',ignore_index=1", "(4,3),(5,3),(4,5)ug" },
    doc = "cross_entropy(linear(input, linear_weight, linear_bias), target): input (N, features) or (features), "
      .. "linear_weight (classes, ..., features). reduction: 'none', 'mean' or 'sum'.",
    example = "F.linear_cross_entropy(torch.ones(2, 3), torch.ones(4, 3), torch.tensor{0, 3})" }
