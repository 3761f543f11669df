-- Integrals, histograms, segments: measures of samples; and norms bounded, numbers taken apart.

op{ "cumulative_trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor", variants = "function", kind = "composite",
    cases = { "(5,), (5,)", "(3,4), (4,)", "(3,4), (3,4), dim=0", "(1,), (1,)" },
    doc = "The running integral of y over x along a dim by the trapezoid rule: one element fewer than y.",
    example = "torch.cumulative_trapezoid(torch.tensor{1., 2., 3.}, torch.tensor{0., 1., 3.})" }
op{ "cumulative_trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", variants = "function", kind = "composite",
    cases = { "(5,)", "(3,4), dx=0.5, dim=0", "(3,4)i" },
    doc = "The running integral of equally spaced samples along a dim by the trapezoid rule.",
    example = "torch.cumulative_trapezoid(torch.tensor{1., 2., 3.})" }
op{ "frexp(Tensor self) -> (Tensor mantissa, Tensor exponent)", variants = "function method out", nondiff = "exponent",
    grad = { self = "ldexp(grad, neg(exponent))" }, cases = { "(3,4)", "(3,4)t", "()", "(0,)" },
    doc = "Mantissas in [0.5, 1) (or 0) and int32 exponents with self = mantissa * 2^exponent.",
    example = "torch.frexp(torch.tensor{0.75, 8., -3.})" }
op{ "renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor", variants = "function method inplace out",
    kind = "composite", cases = { "(3,4), 2, 0, 1.5", "(3,4), 1, 1, 2", "(2,3,4)t, 3, -1, 1", "(3,4), 2, 0, 100" },
    doc = "Scales down each slice of a dim whose p-norm exceeds maxnorm to that norm.",
    example = "torch.renorm(torch.tensor{{3., 4.}, {0.3, 0.4}}, 2, 0, 1)" }
op{ "nonzero_static(Tensor self, *, int size, int fill_value=-1) -> Tensor", variants = "function method out",
    kind = "composite", cases = { "(3,4)i, size=5", "(3,4)b, size=20, fill_value=7", "(5,)<2, size=0" },
    doc = "nonzero with exactly size rows: the first ones, filled up with rows of fill_value.",
    example = "torch.nonzero_static(torch.tensor{0, 5, 0, 7}, {size = 3})" }
op{ "isin.Scalar_Tensor(Scalar element, Tensor test_elements, *, bool assume_unique=false, bool invert=false) -> Tensor",
    variants = "function out", kind = "composite", cases = { "2, (5,)i", "9, (5,)i, invert=true" },
    doc = "Whether a number occurs among test_elements.", example = "torch.isin(2, torch.tensor{1, 2})" }

-- --- histograms -------------------------------------------------------------------------------------

op{ "histogram.bins_tensor(Tensor self, Tensor bins, *, Tensor? weight=nil, bool density=false) -> \z
     (Tensor hist, Tensor bin_edges)", variants = "function method out", grad = "none",
    cases = { "(30,)g, (4,)dg", "(3,5)g, (3,)dg, density=true", "(6,)g, (3,)dg, weight=(6,)g" },
    doc = "Counts (or sums of weights) of elements between neighbouring edges in bins, the last edge included; density \z
           divides by the total and the widths.",
    example = "torch.histogram(torch.tensor{1., 2., 1.}, torch.tensor{0., 1.5, 3.})" }
op{ "histogram.bin_ct(Tensor self, int bins=100, *, float[]? range=nil, Tensor? weight=nil, bool density=false) -> \z
     (Tensor hist, Tensor bin_edges)", variants = "function method out", grad = "none",
    cases = { "(30,)g, 5", "(3,5)g, 4, range=[-1, 1]", "(6,)g, 3, weight=(6,)g, density=true", "(0,)g, 3" },
    doc = "The histogram over equal bins from the smallest to the largest element, or over range, and the bins' edges.",
    example = "torch.histogram(torch.tensor{1., 2., 1.}, {bins = 4, range = {0., 3.}})" }
op{ "_histogramdd_bin_edges(Tensor self, int[] bins, *, float[]? range=nil, Tensor? weight=nil, bool density=false) -> \z
     Tensor[]", variants = "function", grad = "none",
    doc = "The edges that histogramdd takes for numbers of bins: one tensor for each column of self.",
    example = "torch._histogramdd_bin_edges(torch.rand(5, 2), {3, 3})" }
op{ "_histogramdd_from_bin_tensors(Tensor self, Tensor[] bins, *, Tensor? weight=nil, bool density=false) -> Tensor",
    variants = "function", grad = "none",
    doc = "The counts of histogramdd for edges that are given.",
    example = "torch._histogramdd_from_bin_tensors(torch.rand(5, 1), {torch.tensor{0., 0.5, 1.}})" }

-- --- segments ---------------------------------------------------------------------------------------

op{ "segment_reduce(Tensor data, str reduce, *, Tensor? lengths=nil, Tensor? indices=nil, Tensor? offsets=nil, \z
     int axis=0, bool unsafe=false, Scalar? initial=nil) -> Tensor", variants = "function out", kind = "composite",
    aliases = "_segment_reduce",
    doc = "Reduces ('sum', 'mean', 'max', 'min', 'prod') runs of data along axis, whose lengths or offsets are given. \z
           lengths has the shape of data's dims before axis and one size more: the number of runs.",
    example = "torch.segment_reduce(torch.tensor{1., 2., 3.}, 'sum', {lengths = torch.tensor{2, 1}})" }

-- --- simulated quantisation ---------------------------------------------------------------------------

op{ "fake_quantize(Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, int quant_max) -> \z
     (Tensor output, Tensor mask)", variants = "internal", nondiff = "mask", grad = { self = "grad * mask" } }
op{ "fake_quantize_per_tensor_affine(Tensor self, float scale, int zero_point, int quant_min, int quant_max) -> Tensor",
    autocast = "fp32", variants = "function", kind = "composite", cases = { "(3,4), 0.25, 3, 0, 15", "(3,4)t, 0.1, 0, -8, 7" },
    doc = "Rounds to multiples of scale within the integers quant_min .. quant_max (shifted by zero_point), as \z
           quantising and dequantising would. The gradient passes where nothing was cut off.",
    example = "torch.fake_quantize_per_tensor_affine(torch.tensor{0.12, 0.9}, 0.1, 0, 0, 7)" }
op{ "fake_quantize_per_tensor_affine.tensor_qparams(Tensor self, Tensor scale, Tensor zero_point, int quant_min, \z
     int quant_max) -> Tensor", variants = "function", kind = "composite",
    doc = "fake_quantize_per_tensor_affine with scale and zero_point as tensors of one element.",
    example = "torch.fake_quantize_per_tensor_affine(torch.tensor{0.12}, torch.tensor(0.1), torch.tensor(0, {dtype = torch.int32}), 0, 7)" }
op{ "fake_quantize_per_channel_affine(Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, \z
     int quant_max) -> Tensor", variants = "function", kind = "composite",
    doc = "fake_quantize_per_tensor_affine with a scale and a zero_point for each index of a dim.",
    example = "torch.fake_quantize_per_channel_affine(torch.ones(2, 2), torch.tensor{0.3, 0.7}, torch.tensor({0, 0}, {dtype = torch.int32}), 0, 0, 7)" }
