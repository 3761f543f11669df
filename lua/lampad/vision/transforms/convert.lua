-- Transforms between images, tensors and dtypes: ToTensor, PILToTensor, ToPILImage, ConvertImageDtype, Normalize,
-- LinearTransformation. Those that treat every image alike have batch(images), DataLoader's fast path.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"
local base = require "lampad.vision.transforms.base"
local common = require "lampad.vision.transforms.functional.common"
local F = require "lampad.vision.transforms.functional.convert"

local torch = core.torch
local fail = args.fail
local convert = {}

-- --- ToTensor -----------------------------------------------------------------------------------------
--- An Image, or a tensor (H, W), (H, W, C) or (C, H, W) -> a float tensor (C, H, W), uint8 values divided by 255.
local ToTensor = base.class "ToTensor"
convert.ToTensor = ToTensor

function ToTensor:forward(pic) return F.to_tensor(pic) end

--- (N, H, W), (N, H, W, C) or (N, C, H, W) -> (N, C, H, W).
function ToTensor:batch(images)
  if images.ndim == 3 then
    images = images:unsqueeze(1)
  elseif not F.is_planar(images:size(1)) then
    images = images:permute(0, 3, 1, 2):contiguous()
  end
  if images.dtype == torch.uint8 then return images:to(torch.get_default_dtype()):div_(255) end
  return images
end

-- --- PILToTensor, ToPILImage ----------------------------------------------------------------------------
--- An Image -> uint8 (C, H, W), not scaled.
local PILToTensor = base.class "PILToTensor"
convert.PILToTensor = PILToTensor

function PILToTensor:forward(pic) return F.pil_to_tensor(pic) end

local to_pil_spec = args "ToPILImage(str mode=nil)"

--- A tensor (C, H, W) or (H, W) -> Image.
local ToPILImage = base.class "ToPILImage"
convert.ToPILImage = ToPILImage

function ToPILImage:init(...) self.mode = to_pil_spec(...) end
function ToPILImage:forward(pic) return F.to_pil_image(pic, self.mode) end
function ToPILImage.__tostring(self) return "ToPILImage(" .. (self.mode and "mode=" .. self.mode or "") .. ")" end

-- --- ConvertImageDtype ----------------------------------------------------------------------------------
local dtype_spec = args "ConvertImageDtype(dtype dtype)"

--- Converts a tensor to the dtype and scales its values: white stays white.
local ConvertImageDtype = base.class "ConvertImageDtype"
convert.ConvertImageDtype = ConvertImageDtype

function ConvertImageDtype:init(...)
  self.dtype = dtype_spec(...)
  if not F.is_dtype(self.dtype) then
    fail("ConvertImageDtype", "dtype must be a dtype such as torch.float32, got %s", text.describe(self.dtype))
  end
end

function ConvertImageDtype:forward(image) return F.convert_image_dtype(image, self.dtype) end
ConvertImageDtype.batch = ConvertImageDtype.forward

-- --- Normalize ------------------------------------------------------------------------------------------
local normalize_spec = args "Normalize(any mean, any std, bool inplace=false)"

--- (x - mean) / std, channel by channel, of float tensors (..., C, H, W): Normalize({0.5}, {0.25}).
local Normalize = base.class "Normalize"
convert.Normalize = Normalize

function Normalize:init(...)
  self.mean, self.std, self.inplace = normalize_spec(...)
  for _, name in ipairs { "mean", "std" } do
    local value = self[name]
    if type(value) == "number" then
      self[name] = { value }
    elseif not common.list(value) and not common.is_tensor(value) then
      fail("Normalize", "argument '%s' must be a number or a list of numbers, got %s", name, text.describe(value))
    end
  end
  for i, s in ipairs(common.list(self.std) or {}) do
    if type(s) ~= "number" then fail("Normalize", "argument 'std' must be a number or a list of numbers") end
    if s == 0 then fail("Normalize", "std at index %d is zero, leading to division by zero", i - 1) end
  end
end

function Normalize:forward(tensor) return F.normalize_checked("Normalize", tensor, self.mean, self.std, self.inplace) end
Normalize.batch = Normalize.forward

local function fits(list, channels)
  if type(list) ~= "table" or (#list ~= 1 and #list ~= channels) then return false end
  for _, v in ipairs(list) do
    if type(v) ~= "number" then return false end
  end
  return true
end

--- Whether mean and std are plain numbers for an image of so many channels, none of which would divide by zero.
function Normalize:is_plain(channels)
  if not fits(self.mean, channels) or not fits(self.std, channels) then return false end
  for _, s in ipairs(self.std) do
    if math.abs(s) < 1e-30 then return false end
  end
  return true
end

function Normalize.__tostring(self) return base.describe(self, "mean", "std") end

-- --- LinearTransformation -------------------------------------------------------------------------------
local linear_spec = args "LinearTransformation(Tensor transformation_matrix, Tensor mean_vector)"

--- Flattens tensors (..., C, H, W), subtracts mean_vector (D), multiplies by transformation_matrix (D, D): whitening.
local LinearTransformation = base.class "LinearTransformation"
convert.LinearTransformation = LinearTransformation

function LinearTransformation:init(...)
  local matrix, mean = linear_spec(...)
  if matrix:size(0) ~= matrix:size(1) then
    fail("LinearTransformation", "transformation_matrix should be square. Got %s rectangular matrix.",
      text.repr { matrix.shape:unpack() })
  end
  if mean:size(0) ~= matrix:size(0) then
    fail("LinearTransformation", "mean_vector should have the same length %d as any one of the dimensions of the "
      .. "transformation_matrix [%s]", mean:size(0), text.repr { matrix.shape:unpack() })
  end
  if mean.dtype ~= matrix.dtype then
    fail("LinearTransformation", "Input tensors should have the same dtype. Got %s and %s", tostring(matrix.dtype),
      tostring(mean.dtype))
  end
  self.transformation_matrix, self.mean_vector = matrix, mean
end

function LinearTransformation:forward(tensor)
  if not common.is_tensor(tensor) or tensor.ndim < 3 then
    fail("LinearTransformation", "expected a tensor (..., C, H, W), got %s", text.describe(tensor))
  end
  local c, h, w = tensor:size(-3), tensor:size(-2), tensor:size(-1)
  local n = c * h * w
  if n ~= self.transformation_matrix:size(0) then
    fail("LinearTransformation", "Input tensor and transformation matrix have incompatible shape.[%d x %d x %d] != %d", c, h,
      w, self.transformation_matrix:size(0))
  end
  local flat = tensor:reshape(-1, n) - self.mean_vector
  return torch.mm(flat, self.transformation_matrix:to(flat.dtype)):view(tensor.shape)
end

function LinearTransformation.__tostring(self)
  return ("LinearTransformation(transformation_matrix=%s, mean_vector=%s)"):format(
    base.list_text(self.transformation_matrix:tolist()), base.list_text(self.mean_vector:tolist()))
end

return convert
