-- Making tensors: from sizes, like others, ranges, matrices.
local options = "*, dtype? dtype=nil, device? device=nil, bool requires_grad=false) -> Tensor"
local like = "*, dtype? dtype=nil, device? device=nil, memory_format? memory_format=nil, bool requires_grad=false) -> Tensor"

-- --- from sizes -------------------------------------------------------------------------------------
op{ "empty(int[] size, " .. like, variants = "function out", grad = "none",
    doc = "Uninitialised elements.",
    example = "torch.empty(2, 3).shape" }
op{ "zeros(int[] size, " .. options, variants = "function out", grad = "none",
    cases = { "[2, 3]", "[]", "[0, 2], dtype=int64" },
    doc = "Zeros.",
    example = "torch.zeros(2, 3)" }
op{ "ones(int[] size, " .. options, variants = "function out", grad = "none",
    cases = { "[2, 3]", "[2], dtype=bool", "[2], dtype=complex64" },
    doc = "Ones.",
    example = "torch.ones(2, 3)" }
op{ "full(int[] size, Scalar fill_value, " .. options, variants = "function out", grad = "none",
    cases = { "[2, 3], 7", "[2], 1.5", "[2], true", "[], 2" },
    doc = "The value everywhere; its kind gives the dtype unless one is named.",
    example = "torch.full({2, 3}, 7)" }
op{ "empty_strided(int[] size, int[] stride, " .. options, variants = "function", grad = "none",
    doc = "Uninitialised elements laid out by the strides.",
    example = "torch.empty_strided({2, 3}, {1, 2}):stride()" }
op{ "scalar_tensor(Scalar s, " .. options, variants = "function", grad = "none",
    cases = { "3", "2.5, dtype=int64" },
    doc = "A 0-d tensor of the default float dtype unless one is named.",
    example = "torch.scalar_tensor(3)" }

-- --- like another tensor ----------------------------------------------------------------------------
op{ "empty_like(Tensor self, " .. like, variants = "function", grad = "none",
    doc = "Uninitialised elements with self's shape, dtype and order in memory.",
    example = "torch.empty_like(torch.zeros(2, 3)).shape" }
op{ "zeros_like(Tensor self, " .. like, variants = "function", grad = "none",
    cases = { "(2,3)", "(2,3)t", "(2,3)i", "(2,3), dtype=float64" },
    doc = "Zeros with self's shape, dtype and order in memory.",
    example = "torch.zeros_like(torch.ones(2, 3))" }
op{ "ones_like(Tensor self, " .. like, variants = "function", grad = "none",
    cases = { "(2,3)", "(2,3)t", "(2,3)b" },
    doc = "Ones with self's shape, dtype and order in memory.",
    example = "torch.ones_like(torch.zeros(2, 3))" }
op{ "full_like(Tensor self, Scalar fill_value, " .. like, variants = "function", grad = "none",
    cases = { "(2,3), 7", "(2,3)i, 2" },
    doc = "The value everywhere, with self's shape, dtype and order in memory.",
    example = "torch.full_like(torch.zeros(2), 7)" }
op{ "new_empty(Tensor self, int[] size, " .. options, variants = "method", grad = "none",
    doc = "Uninitialised elements of self's dtype.",
    example = "torch.ones(1):new_empty(2).shape" }
op{ "new_zeros(Tensor self, int[] size, " .. options, variants = "method", grad = "none",
    cases = { "(1), [2, 3]", "(1)i, [2]" },
    doc = "Zeros of self's dtype.",
    example = "torch.ones(1):new_zeros(2)" }
op{ "new_ones(Tensor self, int[] size, " .. options, variants = "method", grad = "none",
    cases = { "(1), [2, 3]", "(1)i, [2]" },
    doc = "Ones of self's dtype.",
    example = "torch.zeros(1):new_ones(2)" }
op{ "new_full(Tensor self, int[] size, Scalar fill_value, " .. options, variants = "method", grad = "none",
    cases = { "(1), [2, 3], 7", "(1)i, [2], 3" },
    doc = "The value everywhere, in self's dtype.",
    example = "torch.zeros(1):new_full({2}, 7)" }

-- --- ranges ------------------------------------------------------------------------------------------
op{ "arange(Scalar end, " .. options, variants = "function out", grad = "none",
    cases = { "5", "2.5", "0", "4, dtype=float32" },
    doc = "0, 1, ... up to but without end. int64 when all numbers are integers, else the default float.",
    example = "torch.arange(5)" }
op{ "arange.start(Scalar start, Scalar end, " .. options, variants = "function out", grad = "none",
    cases = { "1, 5", "-1.5, 2", "3, 3" },
    doc = "start, start + 1, ... up to but without end.",
    example = "torch.arange(1, 4)" }
op{ "arange.start_step(Scalar start, Scalar end, Scalar step, " .. options, variants = "function out", grad = "none",
    cases = { "1, 10, 3", "1, 0, -0.25", "0, 1, 0.1", "5, 0, -2" },
    doc = "start, start + step, ... up to but without end.",
    example = "torch.arange(1, 2.5, 0.5)" }
op{ "linspace(Scalar start, Scalar end, int steps, " .. options, variants = "function out", grad = "none",
    cases = { "0, 1, 5", "-10, 10, 7", "3, 4, 1", "0, 1, 0", "0, 10, 4, dtype=int64" },
    doc = "steps numbers from start to end, both included, evenly apart.",
    example = "torch.linspace(3, 10, 5)" }
op{ "logspace(Scalar start, Scalar end, int steps, float base=10.0, " .. options, variants = "function out", grad = "none",
    cases = { "0, 2, 5", "-1, 1, 4, 2.0", "1, 1, 1" },
    doc = "base to the powers linspace(start, end, steps).",
    example = "torch.logspace(0, 2, 3)" }

op{ "linspace.Tensor_Tensor(Tensor start, Tensor end, int steps, " .. options, variants = "function out", grad = "none",
    doc = "linspace between numbers in 0-d tensors; no gradient flows through.",
    example = "torch.linspace(torch.tensor(0.), torch.tensor(1.), 3)" }
op{ "logspace.Tensor_Tensor(Tensor start, Tensor end, int steps, float base=10.0, " .. options,
    variants = "function out", grad = "none",
    doc = "logspace between numbers in 0-d tensors; no gradient flows through.",
    example = "torch.logspace(torch.tensor(0.), torch.tensor(2.), 3)" }

-- --- matrices ----------------------------------------------------------------------------------------
op{ "eye(int n, " .. options, variants = "function out", grad = "none",
    cases = { "3", "0", "2, dtype=int64" },
    doc = "The n x n identity matrix.",
    example = "torch.eye(3)" }
op{ "eye.m(int n, int m, " .. options, variants = "function out", grad = "none",
    cases = { "2, 3", "3, 2" },
    doc = "n rows and m columns with ones on the main diagonal.",
    example = "torch.eye(2, 3)" }
op{ "tril_indices(int row, int col, int offset=0, *, dtype? dtype=int64, device? device=nil) -> Tensor", variants = "function", grad = "none",
    cases = { "3, 3", "3, 4, 1", "4, 3, -1", "2, 5, -3" },
    doc = "Row and column indices of the lower triangle of a row x col matrix.",
    example = "torch.tril_indices(3, 3)" }
op{ "triu_indices(int row, int col, int offset=0, *, dtype? dtype=int64, device? device=nil) -> Tensor", variants = "function", grad = "none",
    cases = { "3, 3", "3, 4, 1", "4, 3, -1", "2, 2, 5" },
    doc = "Row and column indices of the upper triangle of a row x col matrix.",
    example = "torch.triu_indices(3, 3)" }

-- --- from parts --------------------------------------------------------------------------------------
op{ "complex(Tensor real, Tensor imag) -> Tensor", variants = "function out", grad = { real = "sum_to_size(real(grad), real.shape)",
      imag = "sum_to_size(imag(grad), imag.shape)" },
    cases = { "(2,3), (2,3)", "(2,3), (3)" },
    doc = "The complex tensor of two real ones (float32 or float64) of broadcastable shapes.",
    example = "torch.complex(torch.ones(2), torch.zeros(2))" }
