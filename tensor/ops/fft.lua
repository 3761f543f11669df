-- Fourier transforms: torch.fft, stft and istft. float32, float64, complex64 and complex128; integers
-- count as the default float dtype. Lengths of every kind cost n log n.
local module = "fft"
local both = "function out"

-- --- transforms over dims, in place of each other as derivatives ---------------------------------------
-- normalization: 0 none, 1 by 1 / sqrt(n), 2 by 1 / n. The last of dim is the one that is real or halved.

op{ "fft_c2c(Tensor self, int[] dim, int normalization, bool forward) -> Tensor", variants = "internal",
    grad = { self = "fft_c2c_backward(grad, dim, normalization, forward)" } }
op{ "fft_r2c(Tensor self, int[] dim, int normalization, bool onesided, bool forward) -> Tensor", variants = "internal",
    grad = { self = "fft_r2c_backward(grad, self.shape, dim, normalization, onesided, forward)" } }
op{ "fft_c2r(Tensor self, int[] dim, int normalization, int last_dim_size, bool forward) -> Tensor",
    variants = "internal", grad = { self = "fft_c2r_backward(grad, dim, normalization, forward)" } }
op{ "fft_c2c_backward(Tensor grad, int[] dim, int normalization, bool forward) -> Tensor", variants = "internal",
    kind = "composite" }
op{ "fft_r2c_backward(Tensor grad, int[] sizes, int[] dim, int normalization, bool onesided, bool forward) -> Tensor",
    variants = "internal", kind = "composite" }
op{ "fft_c2r_backward(Tensor grad, int[] dim, int normalization, bool forward) -> Tensor", variants = "internal",
    kind = "composite" }

-- --- one dim ---------------------------------------------------------------------------------------------
local one = "(Tensor self, int? n=nil, int dim=-1, str? norm=nil) -> Tensor"
local norms = " norm 'backward' (the default) scales the inverse by 1 / n, 'forward' the forward transform, 'ortho' both by \z
  1 / sqrt(n)."

op{ "fft" .. one, module = module, autocast = "fp32", variants = both, kind = "composite",
    cases = { "(3,8)", "(3,5), 7", "(3,5), 3, 0, 'ortho'", "(4,3)t, nil, 0, 'forward'", "(2,6)i", "(0,4)" },
    doc = "The discrete Fourier transform along dim, which is cut or filled with zeros to length n." .. norms,
    example = "torch.fft.fft(torch.tensor{1., 2., 3., 4.})" }
op{ "ifft" .. one, module = module, autocast = "fp32", variants = both, kind = "composite",
    cases = { "(3,8)", "(3,5), 7", "(3,5), 3, 0, 'ortho'", "(4,3)t, nil, 0, 'forward'" },
    doc = "The inverse of fft." .. norms,
    example = "torch.fft.ifft(torch.fft.fft(torch.tensor{1., 2., 3.}))" }
op{ "rfft" .. one, module = module, autocast = "fp32", variants = both, kind = "composite",
    cases = { "(3,8)", "(3,5), 7", "(3,5), 4, 0, 'ortho'", "(4,3)t, nil, 0, 'forward'", "(2,6)i", "(2,1)", "(2,2)" },
    doc = "The Fourier transform of real numbers: the first n / 2 + 1 entries, which determine the others." .. norms,
    example = "torch.fft.rfft(torch.tensor{1., 2., 3., 4.})" }
op{ "irfft" .. one, module = module, autocast = "fp32", variants = both, kind = "composite",
    cases = { "(3,5)", "(3,5), 7", "(3,5), 4, 0, 'ortho'", "(4,3)t, nil, 0, 'forward'", "(2,4), 1", "(2,4), 2" },
    doc = "The inverse of rfft, of length n (by default 2 * (size - 1)): real." .. norms,
    example = "torch.fft.irfft(torch.fft.rfft(torch.tensor{1., 2., 3., 4.}))" }
op{ "hfft" .. one, module = module, autocast = "fp32", variants = both, kind = "composite",
    cases = { "(3,5)", "(3,5), 7", "(3,5), 4, 0, 'ortho'", "(4,3)t, nil, 0, 'forward'" },
    doc = "The Fourier transform of a Hermitian signal given by its first n / 2 + 1 entries: real." .. norms,
    example = "torch.fft.hfft(torch.tensor{4., 2., 1.})" }
op{ "ihfft" .. one, module = module, autocast = "fp32", variants = both, kind = "composite",
    cases = { "(3,8)", "(3,5), 7", "(3,5), 4, 0, 'ortho'", "(4,3)t, nil, 0, 'forward'" },
    doc = "The inverse of hfft: the first n / 2 + 1 entries." .. norms,
    example = "torch.fft.ihfft(torch.tensor{1., 2., 3., 4.})" }

-- --- several dims ----------------------------------------------------------------------------------------
local several = {
  { "fft", "The discrete Fourier transform over %s." }, { "ifft", "The inverse Fourier transform over %s." },
  { "rfft", "The Fourier transform of real numbers over %s; the last of them has n / 2 + 1 entries." },
  { "irfft", "The inverse of rfft%d over %s: real. s is the shape of the result." },
  { "hfft", "The Fourier transform over %s of a signal that is Hermitian in the last of them: real." },
  { "ihfft", "The inverse of hfft%d over %s." },
}
for _, row in ipairs(several) do
  local name, text = row[1], row[2]
  local nd = { n = { "all dims, or those listed", "(2,3,4)" }, ["2"] = { "two dims, by default the last", "(2,3,4)" } }
  for _, suffix in ipairs { "2", "n" } do
    local doc = text:gsub("%%d", suffix):gsub("%%s", nd[suffix][1])
    local dims = suffix == "2" and "int[1] dim=[-2, -1]" or "int[1]? dim=nil"
    local cases = { "(2,3,4)", "(3,4)t", "(3,4), [5, 3]", "(2,3,4), [3, 4], [0, 2], 'ortho'",
      "(3,5), nil, [1, 0], 'forward'", "(3,4), [-1, 3]" }
    if suffix == "n" then cases[#cases + 1] = "(2,3,4), nil, [1]" end
    op{ name .. suffix .. "(Tensor self, int[1]? s=nil, " .. dims .. ", str? norm=nil) -> Tensor", module = module,
        autocast = not name:find "^i?hfft" and "fp32" or nil, variants = both, kind = "composite", cases = cases, doc = doc .. norms,
        example = ("torch.fft.%s%s(torch.ones(2, 3))"):format(name, suffix) }
  end
end

-- --- frequencies and order -----------------------------------------------------------------------------------
local options = "*, dtype? dtype=nil, device? device=nil, bool requires_grad=false) -> Tensor"
op{ "fftfreq(int n, float d=1.0, " .. options, module = module, variants = both, grad = "none",
    cases = { "5", "6, 0.25", "0", "1", "7, dtype=float64" },
    doc = "The frequency of each entry of fft of length n, for samples d apart: 0, 1, ..., -2, -1, over n * d.",
    example = "torch.fft.fftfreq(5)" }
op{ "rfftfreq(int n, float d=1.0, " .. options, module = module, variants = both, grad = "none",
    cases = { "5", "6, 0.25", "1", "7, dtype=float64" },
    doc = "The frequency of each entry of rfft of length n, for samples d apart.",
    example = "torch.fft.rfftfreq(5)" }
op{ "fftshift(Tensor self, int[1]? dim=nil) -> Tensor", module = module, variants = "function", kind = "composite",
    cases = { "(5)", "(4,3)", "(4,3), 1", "(2,3,4), [0, 2]", "(4,3)i" },
    doc = "Moves the frequency 0 to the middle of all dims, or of those listed.",
    example = "torch.fft.fftshift(torch.fft.fftfreq(4))" }
op{ "ifftshift(Tensor self, int[1]? dim=nil) -> Tensor", module = module, variants = "function", kind = "composite",
    cases = { "(5)", "(4,3)", "(4,3), 1", "(2,3,4), [0, 2]", "(4,3)i" },
    doc = "The inverse of fftshift.",
    example = "torch.fft.ifftshift(torch.fft.fftshift(torch.fft.fftfreq(5)))" }

-- --- short times ---------------------------------------------------------------------------------------------
op{ "stft(Tensor self, int n_fft, int? hop_length=nil, int? win_length=nil, Tensor? window=nil, bool center=true, \z
     str pad_mode='reflect', bool normalized=false, bool? onesided=nil, bool? return_complex=nil, \z
     bool? align_to_window=nil) -> Tensor", autocast = "fp32", kind = "composite",
    cases = { "(2,30), 8, return_complex=true", "(30), 8, 2, 6, (6), return_complex=true",
      "(2,30), 8, 3, 8, (8), false, 'reflect', true, return_complex=true", "(2,30), 8, return_complex=false",
      "(2,30), 8, 4, 8, (8), true, 'constant', false, false, true",
      "(2,30), 7, 3, 4, center=false, align_to_window=true, return_complex=true" },
    doc = "Short-time Fourier transform of signals (time) or (batch, time): overlapping frames of n_fft samples, hop_length \z
      (n_fft / 4) apart, times the window, transformed: (batch, frequency, frame). center pads the signal by n_fft / 2 \z
      at both ends. Real signals need return_complex; false gives the parts in a last dim of size 2.",
    example = "torch.stft(torch.ones(32), 8, {window = torch.hann_window(8), return_complex = true}).shape" }
op{ "istft(Tensor self, int n_fft, int? hop_length=nil, int? win_length=nil, Tensor? window=nil, bool center=true, \z
     bool normalized=false, bool? onesided=nil, int? length=nil, bool return_complex=false) -> Tensor",
    kind = "composite",
    doc = "The inverse of stft by overlap and add: (batch, frequency, frame) to (batch, time). The windows' squares must \z
      not add up to 0 anywhere.",
    example = "local w = torch.hann_window(8)\n\z
      torch.istft(torch.stft(torch.ones(32), 8, {window = w, return_complex = true}), 8, {window = w}).shape" }
