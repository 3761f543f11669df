-- Random numbers. Every op draws from a generator (the default one unless `generator` is given) the
-- numbers that PyTorch's CPU generator gives for the same seed.

-- --- filling a tensor in place ------------------------------------------------------------------

op{ "uniform(Tensor self, float from=0, float to=1, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with numbers uniform in [from, to).", example = "torch.empty(3):uniform_(-1, 1)" }
op{ "normal(Tensor self, float mean=0, float std=1, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with normal numbers of the given mean and standard deviation.",
    example = "torch.empty(3):normal_(0, 0.02)" }
op{ "exponential(Tensor self, float lambd=1, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with exponential numbers of rate lambd.", example = "torch.empty(3):exponential_()" }
op{ "log_normal(Tensor self, float mean=1, float std=2, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with numbers whose logarithm is normal.", example = "torch.empty(3):log_normal_(0, 1)" }
op{ "cauchy(Tensor self, float median=0, float sigma=1, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with Cauchy numbers.", example = "torch.empty(3):cauchy_()" }
op{ "geometric(Tensor self, float p, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with the numbers of trials up to the first success of probability p.",
    example = "torch.empty(3):geometric_(0.5)" }
op{ "random.from(Tensor self, int from, int? to, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with integers uniform in [from, to); up to the dtype's largest when to is nil.",
    example = "torch.empty(3):random_(5, 10)" }
op{ "random.to(Tensor self, int to, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with integers uniform in [0, to).", example = "torch.empty(3):random_(10)" }
op{ "random(Tensor self, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with integers uniform over what its dtype holds exactly, from 0 on.",
    example = "torch.empty(3, {dtype = torch.int64}):random_()" }
op{ "bernoulli.float(Tensor self, float p=0.5, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)" },
    doc = "Fills self with 1 (with probability p) and 0.", example = "torch.empty(8):bernoulli_(0.25)" }
op{ "bernoulli.Tensor(Tensor self, Tensor p, *, Generator? generator=nil) -> Tensor",
    variants = "inplace", grad = { self = "zeros_like(grad)", p = "zeros_like(p)" },
    doc = "Fills self with 1 and 0; p, which broadcasts to self, holds the probabilities of 1.",
    example = "torch.empty(2, 3):bernoulli_(torch.tensor{0., 0.5, 1.})" }

-- --- drawing by tensors of parameters -------------------------------------------------------------

op{ "bernoulli(Tensor self, *, Generator? generator=nil) -> Tensor", variants = "function method out",
    grad = { self = "zeros_like(grad)" },
    doc = "1 with the probability that self holds at each place, else 0.",
    example = "torch.bernoulli(torch.tensor{0., 0.5, 1.})" }
op{ "bernoulli.p(Tensor self, float p, *, Generator? generator=nil) -> Tensor",
    grad = { self = "zeros_like(grad)" },
    doc = "1 with probability p, else 0, in self's shape.", example = "torch.bernoulli(torch.zeros(8), 0.25)" }
op{ "poisson(Tensor self, Generator? generator=nil) -> Tensor", variants = "function",
    grad = { self = "zeros_like(grad)" },
    doc = "Poisson numbers of the rates in self.", example = "torch.poisson(torch.tensor{0.5, 4., 100.})" }
op{ "binomial(Tensor count, Tensor prob, Generator? generator=nil) -> Tensor", variants = "function",
    grad = { count = "zeros_like(count)", prob = "zeros_like(prob)" },
    doc = "The numbers of successes in count trials of probability prob.",
    example = "torch.binomial(torch.tensor{10., 100.}, torch.tensor{0.5, 0.1})" }
op{ "multinomial(Tensor self, int num_samples, bool replacement=false, *, Generator? generator=nil) -> Tensor",
    variants = "function method out", grad = "none",
    doc = "Indices drawn with the probabilities (or weights) in each row of self.",
    example = "torch.multinomial(torch.tensor{0.1, 0.2, 0.7}, 2)" }
op{ "normal.float_float(float mean, float std, int[] size, *, Generator? generator=nil, \z
     dtype? dtype=nil, device? device=nil, bool requires_grad=false) -> Tensor", variants = "function out",
    doc = "A tensor of normal numbers of the given mean and standard deviation.",
    example = "torch.normal(0., 1., {2, 3})" }
op{ "normal.float_Tensor(float mean, Tensor std, *, Generator? generator=nil) -> Tensor",
    variants = "function out", grad = { std = "zeros_like(std)" },
    doc = "Normal numbers of one mean, with the standard deviations in std.",
    example = "torch.normal(0., torch.tensor{1., 10.})" }
op{ "normal.Tensor_float(Tensor mean, float std=1, *, Generator? generator=nil) -> Tensor",
    variants = "function out", grad = { mean = "zeros_like(mean)" },
    doc = "Normal numbers of one standard deviation round the means in mean.",
    example = "torch.normal(torch.tensor{0., 100.}, 0.1)" }
op{ "normal.Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=nil) -> Tensor",
    variants = "function out", grad = { mean = "zeros_like(mean)", std = "zeros_like(std)" },
    doc = "Normal numbers of the means and standard deviations given, which broadcast.",
    example = "torch.normal(torch.tensor{0., 100.}, torch.tensor{1., 0.1})" }

-- --- new tensors ----------------------------------------------------------------------------------

op{ "rand(int[] size, *, Generator? generator=nil, dtype? dtype=nil, device? device=nil, \z
     bool requires_grad=false) -> Tensor", variants = "function out",
    doc = "A tensor of numbers uniform in [0, 1).", example = "torch.rand(2, 3)" }
op{ "randn(int[] size, *, Generator? generator=nil, dtype? dtype=nil, device? device=nil, \z
     bool requires_grad=false) -> Tensor", variants = "function out",
    doc = "A tensor of standard normal numbers.", example = "torch.randn(2, 3)" }
op{ "randint.low(int low, int high, int[] size, *, Generator? generator=nil, dtype? dtype=nil, \z
     device? device=nil, bool requires_grad=false) -> Tensor", variants = "function out",
    doc = "A tensor (int64 unless dtype is given) of integers uniform in [low, high).",
    example = "torch.randint(3, 10, {4})" }
op{ "randint(int high, int[] size, *, Generator? generator=nil, dtype? dtype=nil, \z
     device? device=nil, bool requires_grad=false) -> Tensor", variants = "function out",
    doc = "A tensor (int64 unless dtype is given) of integers uniform in [0, high).",
    example = "torch.randint(10, {4})" }
op{ "randperm(int n, *, Generator? generator=nil, dtype? dtype=nil, device? device=nil, \z
     bool requires_grad=false) -> Tensor", variants = "function out",
    doc = "A random permutation of the integers 0 .. n-1 (int64 unless dtype is given).",
    example = "torch.randperm(6)" }
op{ "rand_like(Tensor self, *, Generator? generator=nil, dtype? dtype=nil, device? device=nil, \z
     memory_format? memory_format=nil, bool requires_grad=false) -> Tensor", variants = "function", grad = "none",
    doc = "Numbers uniform in [0, 1), in self's shape and dtype.", example = "torch.rand_like(torch.zeros(2, 3))" }
op{ "randn_like(Tensor self, *, Generator? generator=nil, dtype? dtype=nil, device? device=nil, \z
     memory_format? memory_format=nil, bool requires_grad=false) -> Tensor", variants = "function", grad = "none",
    doc = "Standard normal numbers, in self's shape and dtype.", example = "torch.randn_like(torch.zeros(2, 3))" }
op{ "randint_like.low_dtype(Tensor self, int low, int high, *, Generator? generator=nil, dtype? dtype=nil, \z
     device? device=nil, memory_format? memory_format=nil, bool requires_grad=false) -> Tensor",
    variants = "function", grad = "none",
    doc = "Integers uniform in [low, high), in self's shape and dtype.",
    example = "torch.randint_like(torch.zeros(2, 3), 3, 10)" }
op{ "randint_like(Tensor self, int high, *, Generator? generator=nil, dtype? dtype=nil, \z
     device? device=nil, memory_format? memory_format=nil, bool requires_grad=false) -> Tensor",
    variants = "function", grad = "none",
    doc = "Integers uniform in [0, high), in self's shape and dtype.",
    example = "torch.randint_like(torch.zeros(2, 3), 10)" }
