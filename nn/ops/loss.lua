-- Loss functions. size_average and reduce are PyTorch's old way to say reduction.
local module = "nn.functional"
local legacy = "bool? size_average=nil, bool? reduce=nil, str reduction='mean'"
local reductions = " reduction: 'none', 'mean' or 'sum'."

local function loss(row)
  row.variants, row.module, row.kind = "function", module, "composite"
  row.doc = row.doc .. reductions
  op(row)
end

loss{ "mse_loss(Tensor input, Tensor target, " .. legacy .. ", Tensor? weight=nil) -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4)", "(3,4),(3,4),reduction='sum'", "(3,4),(3,4),reduction='none'" },
      doc = "The squared difference (input - target)^2.",
      example = "F.mse_loss(torch.tensor{1., 2.}, torch.tensor{2., 4.})" }
loss{ "l1_loss(Tensor input, Tensor target, " .. legacy .. ", Tensor? weight=nil) -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4)", "(3,4),(3,4),reduction='none'" }, doc = "The absolute difference |input - target|.",
      example = "F.l1_loss(torch.tensor{1., 2.}, torch.tensor{2., 4.})" }
loss{ "smooth_l1_loss(Tensor input, Tensor target, " .. legacy .. ", float beta=1.0) -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4)", "(3,4),(3,4),reduction='sum',beta=0.5" },
      doc = "With z = |input - target|: z^2 / (2 beta) below beta, z - beta / 2 above.",
      example = "F.smooth_l1_loss(torch.tensor{1., 2.}, torch.tensor{1.5, 4.})" }
loss{ "huber_loss(Tensor input, Tensor target, str reduction='mean', float delta=1.0, Tensor? weight=nil) -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4)", "(3,4),(3,4),'sum',0.5" },
      doc = "With z = |input - target|: z^2 / 2 below delta, delta * (z - delta / 2) above.",
      example = "F.huber_loss(torch.tensor{1., 2.}, torch.tensor{1.5, 4.}, {delta = 0.5})" }
op{ "squared_distance(Tensor input, Tensor target) -> Tensor", variants = "internal",
    grad = { input = "sum_to_size(squared_slope(input, target, grad), input.shape)",
             target = "sum_to_size(-squared_slope(input, target, grad), target.shape)" } }
op{ "squared_slope(Tensor input, Tensor target, Tensor above) -> Tensor", variants = "internal",
    grad = { input = "sum_to_size(grad * above * 2, input.shape)",
             target = "sum_to_size(-(grad * above * 2), target.shape)",
             above = "sum_to_size(squared_slope(input, target, grad), above.shape)" } }
op{ "bent_distance(Tensor input, Tensor target, float bend, float steep) -> Tensor", variants = "internal",
    grad = { input = "sum_to_size(bent_slope(input, target, grad, bend, steep), input.shape)",
             target = "sum_to_size(-bent_slope(input, target, grad, bend, steep), target.shape)" } }
op{ "bent_slope(Tensor input, Tensor target, Tensor above, float bend, float steep) -> Tensor", variants = "internal",
    grad = { input = "sum_to_size(clamp_backward(grad * above, input - target, -bend, bend) * steep, input.shape)",
             target = "sum_to_size(-(clamp_backward(grad * above, input - target, -bend, bend) * steep), target.shape)",
             above = "sum_to_size(bent_slope(input, target, grad, bend, steep), above.shape)" } }
loss{ "binary_cross_entropy(Tensor input, Tensor target, Tensor? weight=nil, " .. legacy .. ") -> Tensor",
      autocast = "fp32", cases = { "(3,4)u,(3,4)ug", "(3,4)u,(3,4)ug,(4,)ug,reduction='sum'" },
      doc = "-(target * log(input) + (1 - target) * log(1 - input)) for probabilities.",
      example = "F.binary_cross_entropy(torch.tensor{0.9, 0.2}, torch.tensor{1., 0.})" }
op{ "binary_cross_entropy_elements(Tensor input, Tensor target) -> Tensor", variants = "internal",
    grad = { input = "sum_to_size(grad * (input - target) / clamp_min(input * (1 - input), 1e-12), input.shape)",
             target = "sum_to_size(grad * (log1p(-input) - log(input)), target.shape)" } }
loss{ "binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=nil, " .. legacy
        .. ", Tensor? pos_weight=nil) -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4)ug", "(3,4),(3,4)u,(4,)ug,reduction='sum',pos_weight=(4,)p" },
      doc = "binary_cross_entropy of sigmoid(input), computed without overflow; pos_weight weighs the positive part.",
      example = "F.binary_cross_entropy_with_logits(torch.tensor{2., -1.}, torch.tensor{1., 0.})" }
op{ "binary_cross_entropy_with_logits_elements(Tensor input, Tensor target, Tensor? pos_weight) -> Tensor",
    variants = "internal",
    grad = { input = "sum_to_size(grad * binary_cross_entropy_with_logits_slope(input, target, pos_weight), input.shape)",
             target = "sum_to_size(grad * binary_cross_entropy_with_logits_by_target(input, pos_weight), target.shape)",
             pos_weight = "sum_to_size(-(grad * target * logsigmoid(input)), pos_weight.shape)" } }
op{ "binary_cross_entropy_with_logits_slope(Tensor input, Tensor target, Tensor? pos_weight) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "binary_cross_entropy_with_logits_by_target(Tensor input, Tensor? pos_weight) -> Tensor", variants = "internal",
    kind = "composite" }
loss{ "kl_div(Tensor input, Tensor target, " .. legacy .. ", bool log_target=false) -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4)u", "(3,4),(3,4),reduction='batchmean',log_target=true" },
      doc = "The divergence target * (log(target) - input) of log-probabilities; 'batchmean' divides by the batch size.",
      example = 'F.kl_div(torch.tensor{0.5, 0.5}:log(), torch.tensor{0.9, 0.1}, {reduction = "sum"})' }
loss{ "hinge_embedding_loss(Tensor input, Tensor target, float margin=1.0, " .. legacy .. ") -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4)<2,reduction='none'", "(3,4),(3,4)<2" },
      doc = "input where target is 1, max(0, margin - input) where it is -1.",
      example = "F.hinge_embedding_loss(torch.tensor{0.3, 0.4}, torch.tensor{1, -1})" }
op{ "cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-8) -> Tensor", variants = "function",
    module = "nn.functional torch", kind = "composite", cases = { "(3,4),(3,4)", "(3,4),(4,),0" },
    doc = "The cosine of the angle between x1 and x2 along dim; norms count as at least eps.",
    example = "F.cosine_similarity(torch.tensor{{1., 0.}}, torch.tensor{{1., 1.}})" }
loss{ "cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0, " .. legacy .. ") -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4),(3,)<2" }, doc = "1 - cos where target is 1, max(0, cos - margin) where it is -1.",
      example = "F.cosine_embedding_loss(torch.tensor{{1., 0.}}, torch.tensor{{1., 1.}}, torch.tensor{1})" }
loss{ "margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0, " .. legacy .. ") -> Tensor",
      autocast = "fp32", cases = { "(5,),(5,),(5,)g", "(5,),(5,),(5,)g,0.5" }, doc = "max(0, -target * (input1 - input2) + margin).",
      example = "F.margin_ranking_loss(torch.tensor{1.}, torch.tensor{2.}, torch.tensor{1.})" }
op{ "pairwise_distance(Tensor x1, Tensor x2, float p=2.0, float eps=1e-6, bool keepdim=false) -> Tensor",
    variants = "function", module = "nn.functional torch", kind = "composite",
    cases = { "(3,4),(3,4)", "(3,4),(3,4),1.0,keepdim=true" },
    doc = "The p-norm of x1 - x2 + eps along the last dim.",
    example = "F.pairwise_distance(torch.tensor{{0., 0.}}, torch.tensor{{3., 4.}})" }
loss{ "triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2.0, "
        .. "float eps=1e-6, bool swap=false, " .. legacy .. ") -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4),(3,4)", "(3,4),(3,4),(3,4),0.5,swap=true,reduction='none'" },
      doc = "max(0, distance(anchor, positive) - distance(anchor, negative) + margin).",
      example = "F.triplet_margin_loss(torch.zeros(1, 2), torch.ones(1, 2), torch.full({1, 2}, 3.))" }
loss{ "poisson_nll_loss(Tensor input, Tensor target, bool log_input=true, bool full=false, bool? size_average=nil, "
        .. "float eps=1e-8, bool? reduce=nil, str reduction='mean') -> Tensor",
      autocast = "fp32", cases = { "(3,4),(3,4)pg", "(3,4)p,(3,4)pg,false,true" },
      doc = "exp(input) - target * input (log_input), of a Poisson target.",
      example = "F.poisson_nll_loss(torch.tensor{0., 1.}, torch.tensor{1., 3.})" }
loss{ "gaussian_nll_loss(Tensor input, Tensor target, Tensor var, bool full=false, float eps=1e-6, "
        .. "str reduction='mean') -> Tensor",
      cases = { "(3,4),(3,4),(3,4)p", "(3,4),(3,4),(3,)p,true" }, doc = "(log(var) + (input - target)^2 / var) / 2.",
      example = "F.gaussian_nll_loss(torch.tensor{0., 1.}, torch.tensor{1., 1.}, torch.tensor{1., 2.})" }
loss{ "soft_margin_loss(Tensor input, Tensor target, " .. legacy .. ") -> Tensor", autocast = "fp32", cases = { "(3,4),(3,4)g" },
      doc = "log(1 + exp(-target * input)) for targets 1 and -1.",
      example = "F.soft_margin_loss(torch.tensor{0.5, -1.}, torch.tensor{1., -1.})" }
loss{ "multilabel_soft_margin_loss(Tensor input, Tensor target, Tensor? weight=nil, " .. legacy .. ") -> Tensor",
      cases = { "(3,4),(3,4)ug" }, doc = "binary_cross_entropy_with_logits, averaged over the classes (last dim).",
      example = "F.multilabel_soft_margin_loss(torch.tensor{{0.5, -1.}}, torch.tensor{{1., 0.}})" }

loss{ "multi_margin_loss(Tensor input, Tensor target, int p=1, float margin=1.0, Tensor? weight=nil, " .. legacy
        .. ") -> Tensor",
      autocast = "fp32", cases = { "(4,5),(4,)<5", "(4,5),(4,)<5,2,0.5,(5,)pg,reduction='none'", "(5,),()<5",
                "(5,),(1,)<5,2", "(),()<1", "(5,),(1,)<5,reduction='none'", "(1,5),()<5,reduction='none'" },
      doc = "The mean over the classes of max(0, margin - input[target] + input[i])^p, the target left out.",
      example = "F.multi_margin_loss(torch.tensor{{0.1, 0.2, 0.7}}, torch.tensor{2})" }
loss{ "cross_entropy(Tensor input, Tensor target, Tensor? weight=nil, bool? size_average=nil, int ignore_index=-100, "
        .. "bool? reduce=nil, str reduction='mean', float label_smoothing=0.0) -> Tensor",
      autocast = "fp32", cases = { "(4,5),(4,)<5", "(4,5),(4,)<5,reduction='none'", "(4,5),(4,)<5,(5,)pg,reduction='sum'",
                "(2,5,3),(2,3)<5,label_smoothing=0.1", "(4,5),(4,5)ug", "(4,5),(4,)<5,ignore_index=2" },
      doc = "The negative log likelihood of softmax(input): input (N, C, ...) of raw scores; target of class indices "
        .. "(N, ...) or of class probabilities of the input's shape.",
      example = "F.cross_entropy(torch.tensor{{2., 0., 0.}}, torch.tensor{0})" }
loss{ "nll_loss(Tensor input, Tensor target, Tensor? weight=nil, bool? size_average=nil, int ignore_index=-100, "
        .. "bool? reduce=nil, str reduction='mean') -> Tensor",
      autocast = "fp32", cases = { "(4,5),(4,)<5", "(2,5,3),(2,3)<5,(5,)pg", "(4,5),(4,)<5,reduction='none',ignore_index=1" },
      doc = "The negative log likelihood: minus the target's entry of the log-probabilities input (N, C, ...).",
      example = "F.nll_loss(torch.tensor{{-0.1, -2.4}}, torch.tensor{0})" }
op{ "nll_loss_nd(Tensor input, Tensor target, Tensor? weight, str reduction, int ignore_index) "
      .. "-> (Tensor output, Tensor total_weight)",
    variants = "internal", nondiff = "total_weight", node = "NllLossBackward0",
    grad = { input = "nll_loss_nd_grad(grad, input.shape, target, weight, total_weight, reduction, ignore_index)" } }
op{ "nll_loss_nd_grad(Tensor grad_output, int[] size, Tensor target, Tensor? weight, Tensor total_weight, str reduction, "
      .. "int ignore_index) -> Tensor", variants = "internal",
    grad = { grad_output = "nll_loss_nd(grad, target, weight, reduction, ignore_index)[0]" } }
