-- Window functions: torch.*_window and torch.signal.windows.
local options = "dtype? dtype=nil, device? device=nil, bool requires_grad=false) -> Tensor"

local function window(name, more, doc, cases)
  op{ name .. "_window(int window_length, bool periodic=true, " .. more .. "*, " .. options, variants = "function",
      grad = "none", cases = cases or { "8", "7, false", "1", "0", "6, dtype=float64" },
      doc = doc .. " periodic: one period of a window that repeats, as transforms want it; false: symmetric.",
      example = ("torch.%s_window(5)"):format(name) }
end
window("bartlett", "", "The triangular window.")
window("blackman", "", "0.42 - 0.5 cos + 0.08 cos of the double angle.")
window("hann", "", "0.5 - 0.5 cos: the raised cosine.")
window("hamming", "float alpha=0.54, float beta=0.46, ", "alpha - beta * cos.",
  { "8", "7, false", "1", "0", "6, true, 0.4", "6, true, 0.4, 0.3, dtype=float64" })
window("kaiser", "float beta=12.0, ", "The Kaiser window: the Bessel function I0 over a half ellipse.",
  { "8", "7, false", "1", "0", "6, true, 3.0, dtype=float64" })

local function signal(name, more, doc, cases)
  op{ name .. "(int M, *, " .. more .. "bool sym=true, " .. options, module = "signal.windows", variants = "function",
      grad = "none", cases = cases or { "8", "7", "1", "0", "6, sym=false", "5, dtype=float64" },
      doc = doc .. " M samples; sym = false: one period of a window that repeats.",
      example = ("torch.signal.windows.%s(5%s)"):format(name, more:find("float%[%] a,") and ", {a = {0.5, 0.5}}" or "") }
end
signal("bartlett", "", "The triangular window.")
signal("blackman", "", "0.42 - 0.5 cos + 0.08 cos of the double angle.")
signal("cosine", "", "Half a period of the sine.")
signal("exponential", "float? center=nil, float tau=1.0, ", "exp(-|k - center| / tau); another center needs sym = false.",
  { "8", "7", "1", "6, sym=false", "5, tau=0.5", "5, center=1.5, sym=false, dtype=float64" })
signal("gaussian", "float std=1.0, ", "The bell curve with standard deviation std, in samples.",
  { "8", "7", "1", "6, sym=false", "5, std=0.7, dtype=float64" })
signal("general_cosine", "float[] a, ", "The sum of a[i] cos(i x), of alternating signs.",
  { "8, a=[0.5, 0.4, 0.1]", "7, a=[0.3]", "1, a=[0.2, 0.3]", "6, a=[0.5, 0.5], sym=false, dtype=float64" })
signal("general_hamming", "float alpha=0.54, ", "alpha - (1 - alpha) * cos.",
  { "8", "7, alpha=0.3", "1", "6, sym=false", "5, alpha=0.75, dtype=float64" })
signal("hamming", "", "0.54 - 0.46 cos.")
signal("hann", "", "0.5 - 0.5 cos: the raised cosine.")
signal("kaiser", "float beta=12.0, ", "The Kaiser window: the Bessel function I0 over a half ellipse.",
  { "8", "7", "1", "2", "6, sym=false", "5, beta=3.0, dtype=float64" })
signal("nuttall", "", "Four terms of cosines with small side lobes.")
