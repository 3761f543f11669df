-- Connectionist temporal classification (Graves et al. 2006).
local tail = "int blank=0, str reduction='mean', bool zero_infinity=false) -> Tensor"
local doc = "The negative log likelihood of label sequences, summed over all their alignments with the rows of "
  .. "log_probs (T, N, C) or (T, C). targets: (N, S), or (sum of target_lengths) one after the other; "
  .. "blank: the class of no label; zero_infinity: 0 where no alignment is long enough. reduction: 'none', 'mean' "
  .. "(each loss over its target's length) or 'sum'."
local example = "F.ctc_loss(torch.zeros(4, 1, 3):log_softmax(2), torch.tensor{{1, 2}}, {4}, {2})"
op{ "ctc_loss(Tensor log_probs, Tensor targets, int[] input_lengths, int[] target_lengths, " .. tail,
    autocast = "fp32", variants = "function", module = "nn.functional", kind = "composite",
    cases = { "(6,2,4),(2,3)<3,[6,5],[3,2],3", "(6,2,4),(5,)<3,[6,5],[3,2],3,'none'",
              "(6,2,4),(2,3)<3,[3,1],[3,2],3,'sum',true", "(6,4),(2,)<4,[6],[2]",
              "(5,3,4),(3,2)<3,[5,0,4],[0,0,2],blank=3,reduction='none'", "(2,2,4),(2,3)<3,[2,2],[3,1],3,'none'" },
    doc = doc, example = example }
op{ "ctc_loss.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, " .. tail,
    autocast = "fp32", variants = "function", module = "nn.functional", kind = "composite",
    cases = { "(6,2,4),(2,3)<3,(2,)<6,(2,)<3,3,'sum',true" },
    doc = "The same with the lengths as tensors of integers.", example = example:gsub("{4}, {2}", "torch.tensor{4}, torch.tensor{2}") }

local call = "Tensor targets, int[] input_lengths, int[] target_lengths, int blank, bool zero_infinity"
op{ "ctc_rows(Tensor log_probs, " .. call .. ") -> (Tensor loss, Tensor alpha)", variants = "internal", nondiff = "alpha",
    grad = { log_probs = "ctc_rows_grad(grad, log_probs, alpha, targets, input_lengths, target_lengths, blank, "
      .. "zero_infinity)" } }
op{ "ctc_rows_grad(Tensor grad_output, Tensor log_probs, Tensor alpha, " .. call .. ") -> Tensor",
    variants = "internal",
    grad = { grad_output = "no_derivative(grad, 'ctc_loss')", log_probs = "no_derivative(grad, 'ctc_loss')" } }
