-- Windows, Fourier transforms, mel filters.
local core = require "lampad.core"
local common = require "lampad.onnx.ops.common"

local torch = core.torch
local op = {}

local function window(name, more)
  return function(node, size)
    local options = { periodic = node:flag("periodic", 1) }
    for key, v in pairs(more or {}) do options[key] = v end
    return torch[name](math.tointeger(size:item()), options):to(node:element_type(node:get("output_datatype", 1)).dtype)
  end
end

op.HannWindow = window "hann_window"
op.BlackmanWindow = window "blackman_window"
op.HammingWindow = window("hamming_window", { alpha = 25 / 46, beta = 21 / 46 })

-- Numbers whose last dim holds 1 (real) or 2 (real, imaginary) parts, and back.
local function to_complex(x)
  if x:size(-1) == 2 then return torch.view_as_complex(x:contiguous()) end
  return x:squeeze(-1)
end

local function from_complex(z) return torch.view_as_real(z) end

op.DFT = function(node, x, length, axis_input)
  local axis
  if node.opset < 20 then axis = node:get("axis", 1) else axis = axis_input and axis_input:item() or -2 end
  local dim = node:axis(axis, x.ndim)
  local options = { n = length and math.tointeger(length:item()) or nil, dim = dim }
  local z, inverse = to_complex(x), node:flag "inverse"
  if node:flag "onesided" then
    if inverse then return torch.fft.irfft(z, options):unsqueeze(-1) end
    return from_complex(torch.fft.rfft(z, options))
  end
  return from_complex((inverse and torch.fft.ifft or torch.fft.fft)(z, options))
end

op.STFT = function(node, signal, step, window_values, length)
  local frame = length and length:item() or window_values:size(0)
  local frames = to_complex(signal):unfold(1, math.tointeger(frame), math.tointeger(step:item()))
  if window_values then frames = frames * window_values end
  if node:flag("onesided", 1) then return from_complex(torch.fft.rfft(frames, { dim = -1 })) end
  return from_complex(torch.fft.fft(frames, { dim = -1 }))
end

op.MelWeightMatrix = function(node, mel_bins, dft_length, sample_rate, lower, upper)
  local count, length = mel_bins:item(), dft_length:item()
  local bins = length // 2 + 1
  common.check_count(node, bins * 1.0 * count)
  local function to_mel(hertz) return 2595 * math.log(1 + hertz / 700, 10) end
  local low, high = to_mel(lower:item()), to_mel(upper:item())
  local step = (high - low) / (count + 2)
  -- The bins of the triangles' corners.
  local corners = {}
  for i = 0, count + 1 do
    local hertz = 700 * (10 ^ ((low + i * step) / 2595) - 1)
    corners[i] = math.floor((length + 1) * hertz / sample_rate:item())
  end
  local rows = {}
  for bin = 0, bins - 1 do
    local row = {}
    for i = 0, count - 1 do
      local from, peak, to = corners[i], corners[i + 1], corners[i + 2]
      local weight = 0.0
      if bin >= peak and bin < to then
        weight = (to - bin) / (to - peak)
      elseif bin == peak then
        weight = 1.0
      elseif bin >= from and bin < peak then
        weight = (bin - from) / (peak - from)
      end
      row[i + 1] = weight
    end
    rows[bin + 1] = row
  end
  return torch.tensor(rows, { dtype = torch.float64 }):to(node:element_type(node:get("output_datatype", 1)).dtype)
end

return op
