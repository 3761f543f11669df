"""Writes tests/golden/transforms.lua and transforms.bin.gz: torchvision's results (Pillow's for images) for
tests/lua/transforms_spec.lua. Run by hand, with the data beside the checkout:

  python3 scripts/gen/golden_transforms.py [folder of the data]

A case is a function or a transform, its arguments, an image by name, and what came out: the CRC of exact results, the
values (in transforms.bin.gz) of those that may differ by rounding. Small pictures are kept in the same file; noise is
drawn by torch.randint, which both sides have.
"""
import gzip
import os
import sys
import warnings
import zlib

import numpy as np
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as F
import torchvision.transforms.v2 as V2
from PIL import Image

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../..")
DATA = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "../shared/data")
OUT = os.path.join(ROOT, "tests/golden/transforms")
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

blob = bytearray()


def keep(array):
    """The place of an array's bytes in the binary file."""
    at = len(blob)
    blob.extend(np.ascontiguousarray(array).tobytes())
    return at


# --- pictures: name -> (uint8 array (H, W, C), mode) ----------------------------------------------------------------
pictures, sources = {}, []


def add_noise(name, height, width, channels, mode=None):
    seed = len(pictures)
    torch.manual_seed(seed)
    pixels = torch.randint(0, 256, (height, width, channels), dtype=torch.uint8).numpy()
    pictures[name] = (pixels, mode or MODES[channels])
    sources.append(dict(name=name, mode=mode or MODES[channels], size=[height, width, channels], seed=seed))


def add_picture(name, pixels, mode):
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    pictures[name] = (np.ascontiguousarray(pixels), mode)
    sources.append(dict(name=name, mode=mode, size=list(pixels.shape), at=keep(pixels)))


def hymenoptera(kind, index, width, height):
    folder = os.path.join(DATA, "hymenoptera_data/val", kind)
    path = os.path.join(folder, sorted(os.listdir(folder))[index])
    return np.asarray(Image.open(path).convert("RGB").resize((width, height), Image.LANCZOS))


add_picture("ant", hymenoptera("ants", 3, 96, 72), "RGB")
add_picture("bee", hymenoptera("bees", 5, 45, 60), "RGB")
with gzip.open(os.path.join(DATA, "mnist/t10k-images-idx3-ubyte.gz")) as f:
    digits = np.frombuffer(f.read()[16:16 + 784 * 3], dtype=np.uint8).reshape(3, 28, 28)
add_picture("digit", digits[2], "L")
add_picture("flat", np.full((9, 14, 3), (10, 200, 30), dtype=np.uint8), "RGB")
ramp = np.add.outer(np.arange(24) * 5, np.arange(40) * 3).astype(np.uint8)
add_picture("ramp", np.dstack([ramp, ramp[::-1], np.roll(ramp, 7, 1)]), "RGB")
add_noise("noise", 17, 23, 3)
add_noise("dot", 1, 1, 3)
add_noise("line", 1, 19, 3)
add_noise("grey", 33, 20, 1)
add_noise("la", 13, 18, 2)
add_noise("rgba", 21, 16, 4)
add_noise("cmyk", 12, 15, 4, "CMYK")
add_noise("square", 16, 16, 3)
add_noise("tiny", 2, 3, 3)


def image(name):
    pixels, mode = pictures[name]
    return Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels, mode)


def tensor(name):
    return torch.from_numpy(pictures[name][0].copy()).permute(2, 0, 1).contiguous()


def as_input(name, kind):
    if kind == "image":
        return image(name)
    t = tensor(name)
    if kind == "uint8":
        return t
    if kind == "float":
        return t.float() / 255
    if kind == "double":
        return t.double() / 255
    if kind == "batch":
        return torch.stack([t, t.flip(-1)])
    raise ValueError(kind)


# --- Lua text -------------------------------------------------------------------------------------------------------
class Tensor:
    """An argument that is a tensor: values * scale + shift of torch.rand after a seed."""

    def __init__(self, shape, seed, scale=1.0, shift=0.0):
        self.shape, self.seed, self.scale, self.shift = shape, seed, scale, shift

    def make(self):
        torch.manual_seed(self.seed)
        return torch.rand(self.shape) * self.scale + self.shift


class Step:
    """An argument that is a transform."""

    def __init__(self, name, *args, **kw):
        self.name, self.args, self.kw = name, args, kw

    def make(self):
        return make(T, self.name, self.args, self.kw)


def lua(v):
    if v is None:
        return "nil"
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, str):
        return '"' + v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(v, int):
        return str(v)
    if isinstance(v, float):
        return repr(v)
    if isinstance(v, dict):
        return "{ " + ", ".join(f"{k} = {lua(x)}" for k, x in v.items() if x is not None) + " }"
    if isinstance(v, (list, tuple)):
        return "{ " + ", ".join(lua(x) for x in v) + " }" if v else "{}"
    if isinstance(v, Tensor):
        return f"random({lua(v.shape)}, {v.seed}, {v.scale!r}, {v.shift!r})"
    if isinstance(v, Step):
        return f"step({lua(v.name)}, {call(v.args, v.kw)})"
    if isinstance(v, torch.dtype):
        return "torch." + str(v).split(".")[1]
    raise TypeError(type(v))


def call(args, kw):
    """The arguments of a call: {n = 2, 1, 2, {name = 3}}"""
    parts = [lua(a) for a in args] + ([lua(kw)] if kw else [])
    return "{ " + ", ".join([f"n = {len(parts)}"] + parts) + " }"


ENUM = {m.value: m for m in T.InterpolationMode}


POLICIES = {p.value: p for p in T.AutoAugmentPolicy}


def python(v, key=None):
    if isinstance(v, str) and v in POLICIES:
        return POLICIES[v]
    if v == "bilinear":
        return T.InterpolationMode.BILINEAR
    if isinstance(v, (Tensor, Step)):
        return v.make()
    if key == "interpolation" and isinstance(v, str):
        return ENUM[v]
    if isinstance(v, (list, tuple)):
        return type(v)(python(x) for x in v)
    return v


def make(module, name, args, kw):
    return getattr(module, name)(*[python(a) for a in args], **{k: python(v, k) for k, v in kw.items()})


# --- results --------------------------------------------------------------------------------------------------------
def describe(result, how):
    if isinstance(result, (tuple, list)) and not (result and isinstance(result[0], (int, float))):
        return [x for r in result for x in describe(r, how)]
    if isinstance(result, Image.Image):
        pixels = np.asarray(result)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        entry = dict(mode=result.mode, size=list(pixels.shape))
    elif isinstance(result, torch.Tensor):
        pixels = result.detach().contiguous().numpy()
        entry = dict(dtype=str(result.dtype).split(".")[1], size=list(pixels.shape))
    else:
        return [dict(value=list(result) if isinstance(result, (tuple, list)) else result)]
    if how == "exact":
        entry["crc"] = zlib.crc32(np.ascontiguousarray(pixels).tobytes())
    else:
        entry["at"] = keep(pixels)
    return [entry]


lines, counts = [], {}


def add(kind, name, args, kw, picture, form, how, results, text=None, after=None):
    counts[kind] = counts.get(kind, 0) + 1
    fields = [f"{kind} = {lua(name)}", f"args = {call(args, kw)}", f"picture = {lua(picture)}", f"form = {lua(form)}",
              f"how = {lua(how)}", "out = " + lua(results)]
    if text is not None:
        fields.append("text = " + lua(text))
    if after is not None:
        fields.append(f"after = {after!r}")
    lines.append("  { " + ", ".join(fields) + " },")


def function(name, picture, *args, form="image", how=None, **kw):
    """F.name(picture, ...)."""
    how = how or ("exact" if form == "image" else "level" if form in ("uint8", "batch") else "close")
    result = make(F, name, [as_input(picture, form)] + list(args), kw)
    add("call", name, args, kw, picture, form, how, describe(result, how))


def transform(name, picture, *args, form="image", how=None, seeds=(0, 1), module=T, **kw):
    """T.name(...)(picture) after a seed; the generator's next value shows how much was drawn."""
    how = how or ("exact" if form == "image" else "level" if form in ("uint8", "batch") else "close")
    for seed in seeds:
        t = make(module, name, args, kw)
        torch.manual_seed(seed)
        result = t(as_input(picture, form))
        after = torch.rand(1).item()
        text = repr(t) if module is T else None
        fields = dict(kw)
        counts["transform"] = counts.get("transform", 0) + 1
        parts = [f"make = {lua(name)}", f"args = {call(args, fields)}", f"picture = {lua(picture)}", f"form = {lua(form)}",
                 f"how = {lua(how)}", f"seed = {seed}", f"after = {after!r}", "out = " + lua(describe(result, how))]
        if text is not None:
            parts.append("text = " + lua(text))
        lines.append("  { " + ", ".join(parts) + " },")


# --- cases: functions on images -----------------------------------------------------------------------------------
FILTERS = ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
for f in FILTERS:
    for name, size in [("ant", [31, 40]), ("bee", [90, 50]), ("noise", [5, 60]), ("grey", [20, 33]), ("rgba", [10, 30]),
                       ("la", [20, 9]), ("cmyk", [7, 30]), ("dot", [4, 5]), ("line", [3, 7])]:
        function("resize", name, size, interpolation=f)
function("resize", "ant", 33)
function("resize", "bee", 33)
function("resize", "bee", [200])
function("resize", "bee", 60, max_size=70)
function("resize", "ant", [72, 96])
function("resize", "ant", [72, 40])
function("resize", "ant", [40, 96])
function("resize", "ant", 40, interpolation="nearest-exact")
for f in (0, 1, 2, 3, 4, 5):
    function("resize", "ramp", [50, 17], interpolation=f)
function("resized_crop", "ant", 5, 7, 50, 60, [32, 32])
function("resized_crop", "ant", 5, 7, 50, 60, [50, 60])
function("resized_crop", "ant", -5, -7, 50, 60, [32, 20], interpolation="bicubic")
function("resized_crop", "rgba", 2, 3, 10, 9, [12, 5], interpolation="bilinear")
for name in ("noise", "grey", "rgba", "dot", "tiny"):
    function("hflip", name)
    function("vflip", name)
    function("crop", name, 0, 0, 1, 1)
    function("crop", name, -2, 1, 9, 30)
    function("center_crop", name, 7)
    function("center_crop", name, [30, 4])
function("five_crop", "noise", 8)
function("five_crop", "grey", [10, 20])
function("ten_crop", "noise", [9, 8])
function("ten_crop", "noise", [9, 8], vertical_flip=True)
for mode in ("constant", "edge", "reflect", "symmetric"):
    function("pad", "noise", 3, padding_mode=mode)
    function("pad", "noise", [2, 5], padding_mode=mode)
    function("pad", "grey", [1, 2, 3, 4], padding_mode=mode)
    function("pad", "tiny", [4, 1, 7, 9], padding_mode=mode)
    function("pad", "noise", [-3, 2, 4, -5], padding_mode=mode)
    function("pad", "rgba", [1, 0, 0, 2], padding_mode=mode)
function("pad", "noise", 2, fill=7)
function("pad", "noise", 2, fill=(255, 3, 80))
function("pad", "rgba", 2, fill=(255, 3, 80, 9))
function("pad", "grey", 2, fill=200)
for f in ("nearest", "bilinear", "bicubic"):
    for name in ("noise", "grey", "rgba", "la", "square"):
        function("rotate", name, 30.0, interpolation=f)
        function("rotate", name, -100.5, interpolation=f, expand=True, fill=50)
    function("rotate", "ant", 12, interpolation=f, center=[3, 50], fill=(9, 99, 199))
    function("affine", "ant", 20.0, [5, -3], 1.2, [10.0, 4.0], interpolation=f, fill=11)
    function("affine", "bee", -33.0, [0, 0], 0.6, 15.0, interpolation=f, center=[10, 7])
    function("affine", "grey", 0.0, [3, 2], 1.0, [0.0, 0.0], interpolation=f)
    function("affine", "rgba", 5.0, [1, 2], 0.9, [0.0, -8.0], interpolation=f, fill=(1, 2, 3, 200))
    function("affine", "noise", 0.0, [0, 0], 1.7, [0.0, 0.0], interpolation=f)
    function("perspective", "ant", [[0, 0], [95, 0], [95, 71], [0, 71]], [[9, 4], [80, 7], [90, 60], [3, 66]],
             interpolation=f, fill=77)
    function("perspective", "grey", [[0, 0], [19, 0], [19, 32], [0, 32]], [[2, 1], [17, 3], [19, 30], [0, 29]],
             interpolation=f)
for angle in (0, 90, 180, 270, 360, -90, 450):
    function("rotate", "square", angle)
    function("rotate", "noise", angle, expand=True)
    function("rotate", "noise", angle)
for factor in (0.0, 0.4, 1.0, 1.6, 3.5):
    for name in ("ant", "grey", "rgba", "la", "flat"):
        function("adjust_brightness", name, factor)
        function("adjust_contrast", name, factor)
        function("adjust_saturation", name, factor)
        function("adjust_sharpness", name, factor)
for factor in (-0.5, -0.17, 0.0, 0.08, 0.5):
    for name in ("ant", "grey", "noise"):
        function("adjust_hue", name, factor)
for name in ("rgba", "la"):
    function("adjust_hue", name, 0.2)
for gamma, gain in ((0.5, 1.0), (2.2, 1.0), (1.0, 1.7), (0.0, 0.5)):
    function("adjust_gamma", "bee", gamma, gain)
    function("adjust_gamma", "digit", gamma, gain)
for name in ("ant", "digit", "flat", "ramp", "dot"):
    function("invert", name)
    function("equalize", name)
    function("autocontrast", name)
    for bits in (1, 3, 8):
        function("posterize", name, bits)
    for threshold in (0, 100.5, 256):
        function("solarize", name, threshold)
for name in ("ant", "grey", "rgba", "la", "dot"):
    function("rgb_to_grayscale", name)
    function("rgb_to_grayscale", name, 3)
    function("to_grayscale", name, num_output_channels=1)
for name in ("bee", "digit", "rgba"):
    function("gaussian_blur", name, 3, how="level")
    function("gaussian_blur", name, [5, 7], sigma=[0.6, 2.5], how="level")
for name in ("noise", "grey", "rgba", "la", "dot"):
    function("to_tensor", name, how="close")
    function("pil_to_tensor", name, how="exact")
    function("get_dimensions", name)
    function("get_image_size", name)
    function("get_image_num_channels", name)
function("elastic_transform", "noise", Tensor([1, 17, 23, 2], 3, 0.4, -0.2), how="level")
function("elastic_transform", "grey", Tensor([1, 33, 20, 2], 3, 0.4, -0.2), interpolation="nearest", fill=9, how="level")

# --- functions on tensors -------------------------------------------------------------------------------------------
for form in ("uint8", "float", "batch"):
    for f in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        function("resize", "noise", [11, 31], interpolation=f, form=form)
    function("resize", "bee", [20, 15], antialias=False, form=form)
    function("resize", "bee", 20, form=form)
    function("resized_crop", "noise", 2, 3, 11, 12, [7, 9], form=form)
    function("hflip", "noise", form=form)
    function("vflip", "noise", form=form)
    function("crop", "noise", -2, 15, 9, 30, form=form)
    function("crop", "noise", 2, 3, 9, 8, form=form)
    function("center_crop", "noise", [30, 4], form=form)
    function("five_crop", "noise", 8, form=form)
    for mode in ("constant", "edge", "reflect", "symmetric"):
        function("pad", "noise", [2, 1, 4, 3], padding_mode=mode, form=form)
    function("pad", "noise", 2, fill=1, form=form)
    for f in ("nearest", "bilinear"):
        function("rotate", "noise", 30.0, interpolation=f, form=form)
        function("rotate", "noise", 100.0, interpolation=f, expand=True, fill=[0.5, 1.0, 0.25], form=form)
        function("rotate", "noise", 41.0, interpolation=f, center=[3, 4], fill=1.0, form=form)
        function("affine", "noise", 20.0, [2, -3], 1.2, [10.0, 4.0], interpolation=f, fill=[0.5], form=form)
        function("perspective", "noise", [[0, 0], [22, 0], [22, 16], [0, 16]], [[2, 1], [20, 3], [19, 15], [1, 14]],
                 interpolation=f, fill=[0.5, 1.0, 0.0], form=form)
    for factor in (0.0, 0.4, 1.7):
        function("adjust_brightness", "noise", factor, form=form)
        function("adjust_contrast", "noise", factor, form=form)
        function("adjust_saturation", "noise", factor, form=form)
        function("adjust_sharpness", "noise", factor, form=form)
        function("adjust_contrast", "digit", factor, form=form)
    for factor in (-0.3, 0.0, 0.5):
        function("adjust_hue", "noise", factor, form=form)
    function("adjust_gamma", "noise", 0.7, 1.2, form=form)
    function("rgb_to_grayscale", "noise", form=form)
    function("rgb_to_grayscale", "noise", 3, form=form)
    function("invert", "noise", form=form)
    function("solarize", "noise", 0.4, form=form)
    function("autocontrast", "ramp", form=form)
    function("autocontrast", "flat", form=form)
    function("gaussian_blur", "noise", [3, 5], form=form)
    function("gaussian_blur", "noise", 5, 1.3, form=form)
    function("elastic_transform", "noise", Tensor([1, 17, 23, 2], 3, 0.4, -0.2), fill=[0.5], form=form)
    function("erase", "noise", 2, 3, 5, 6, Tensor([3, 5, 6], 7), form=form)
for form in ("uint8", "batch"):
    function("equalize", "ramp", form=form)
    function("equalize", "digit", form=form)
    function("posterize", "noise", 3, form=form)
function("solarize", "noise", 100, form="uint8")
function("resize", "noise", [11, 31], form="double")
function("normalize", "noise", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], form="float")
function("normalize", "noise", [0.5], [0.25], form="float")
for dtype in (torch.uint8, torch.int16, torch.int32, torch.int64, torch.float32, torch.float64):
    function("convert_image_dtype", "noise", dtype, form="uint8", how="exact")
for dtype in (torch.uint8, torch.int16, torch.float64):
    function("convert_image_dtype", "noise", dtype, form="float", how="exact")
for name, mode in (("noise", None), ("grey", None), ("la", None), ("rgba", "RGBA"), ("cmyk", "CMYK")):
    function("to_pil_image", name, mode, form="uint8", how="exact")
function("to_pil_image", "noise", form="float", how="exact")

# --- transforms -------------------------------------------------------------------------------------------------------
for form in ("image", "uint8", "float"):
    transform("Resize", "bee", 20, form=form, seeds=(0,))
    transform("Resize", "bee", (30, 20), "bicubic" and 3, form=form, seeds=(0,))
    transform("CenterCrop", "noise", 10, form=form, seeds=(0,))
    transform("Pad", "noise", (1, 2), 0, "reflect", form=form, seeds=(0,))
    transform("Pad", "noise", 3, form=form, seeds=(0,))
    transform("FiveCrop", "noise", 8, form=form, seeds=(0,))
    transform("TenCrop", "noise", (8, 9), True, form=form, seeds=(0,))
    transform("RandomCrop", "noise", 8, form=form)
    transform("RandomCrop", "noise", (20, 40), padding=4, pad_if_needed=True, form=form)
    transform("RandomHorizontalFlip", "noise", form=form, seeds=(0, 1, 2))
    transform("RandomVerticalFlip", "noise", 0.7, form=form, seeds=(0, 1, 2))
    transform("RandomResizedCrop", "ant", 32, form=form, seeds=(0, 1, 2))
    transform("RandomResizedCrop", "ant", (12, 20), scale=(0.5, 2.5), ratio=(0.2, 0.3), form=form, seeds=(0, 1))
    transform("RandomResizedCrop", "line", 8, form=form, seeds=(0, 1))
    transform("ColorJitter", "noise", 0.4, 0.3, 0.2, 0.1, form=form, seeds=(0, 1, 2, 3))
    transform("ColorJitter", "noise", brightness=(0.5, 0.9), form=form, seeds=(0,))
    transform("RandomRotation", "noise", 40, form=form)
    transform("RandomRotation", "noise", (10.0, 80.0), 2, True, None, 30, form=form)
    transform("RandomAffine", "noise", 15, form=form)
    transform("RandomAffine", "noise", (-30, 30), (0.1, 0.3), (0.7, 1.3), (-5, 5, -7, 7), 2, 20, form=form)
    transform("RandomAffine", "noise", 0, shear=10, form=form)
    transform("RandomPerspective", "bee", 0.6, 0.8, form=form, seeds=(0, 1, 2))
    transform("Grayscale", "noise", 3, form=form, seeds=(0,))
    transform("RandomGrayscale", "noise", 0.5, form=form, seeds=(0, 1, 2))
    transform("GaussianBlur", "noise", 5, form=form, how="close" if form == "float" else "level")
    transform("GaussianBlur", "noise", (3, 7), (0.5, 1.5), form=form, how="close" if form == "float" else "level")
    transform("RandomInvert", "noise", form=form, seeds=(0, 1))
    transform("RandomSolarize", "noise", 0.5 if form == "float" else 128, 0.6, form=form, seeds=(0, 1))
    transform("RandomAdjustSharpness", "noise", 2, form=form, seeds=(0, 1))
    transform("RandomAutocontrast", "ramp", form=form, seeds=(0, 1))
    transform("ElasticTransform", "noise", 50.0, 2.0, form=form, how="close" if form == "float" else "level", seeds=(0,))
    if form != "float":
        transform("RandomPosterize", "noise", 2, form=form, seeds=(0, 1))
        transform("RandomEqualize", "ramp", form=form, seeds=(0, 1))
    transform("RandomApply", "noise", [Step("RandomHorizontalFlip"), Step("RandomCrop", 9)], 0.6, form=form, seeds=(0, 1, 2))
    transform("RandomChoice", "noise", [Step("RandomHorizontalFlip", 1.0), Step("RandomVerticalFlip", 1.0)], form=form,
              module=V2, seeds=(0, 1, 2))
    transform("RandomOrder", "noise", [Step("RandomHorizontalFlip"), Step("RandomCrop", 9), Step("RandomVerticalFlip")],
              form=form, module=V2, seeds=(0, 1, 2))
for value in (0, (0.1, 0.2, 0.3), "random"):
    transform("RandomErasing", "noise", 0.8, value=value, form="float", seeds=(0, 1, 2, 3))
for form in ("image", "uint8"):
    for policy in ("imagenet", "cifar10", "svhn"):
        transform("AutoAugment", "ant" if form == "image" else "noise", policy, form=form, seeds=range(6))
    transform("AutoAugment", "ant", "svhn", "bilinear", 60, form=form, seeds=range(3))
    transform("RandAugment", "bee", form=form, seeds=range(6))
    transform("RandAugment", "noise", 3, 20, 31, "bilinear", 9, form=form, seeds=range(4))
    transform("TrivialAugmentWide", "bee", form=form, seeds=range(8))
    transform("AugMix", "noise", form=form, seeds=range(4), how="level")
    transform("AugMix", "square", 5, 2, 2, 0.7, False, form=form, seeds=range(3), how="level")
transform("ToTensor", "noise", how="close", seeds=(0,))
transform("PILToTensor", "noise", seeds=(0,))
transform("ToPILImage", "noise", form="uint8", how="exact", seeds=(0,))
transform("ToPILImage", "noise", "RGB", form="uint8", how="exact", seeds=(0,))
transform("Normalize", "noise", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), form="float", seeds=(0,))
transform("LinearTransformation", "tiny", Tensor([18, 18], 1), Tensor([18], 2), form="float", seeds=(0,))
USUAL = [Step("ToTensor"), Step("Normalize", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
for name in ("ant", "bee"):
    transform("Compose", name, [Step("RandomResizedCrop", 24), Step("RandomHorizontalFlip")] + USUAL, how="exact",
              seeds=(0, 1, 2, 3))
    transform("Compose", name, [Step("Resize", 40), Step("CenterCrop", 32)] + USUAL, how="exact", seeds=(0,))
    transform("Compose", name, [Step("RandomCrop", 32, 4), Step("RandomHorizontalFlip"), Step("ToTensor")], how="exact")
transform("Compose", "digit", [Step("ToTensor"), Step("Normalize", (0.1307,), (0.3081,))], how="exact", seeds=(0,))

with open(OUT + ".lua", "w") as f:
    f.write("-- Written by scripts/gen/golden_transforms.py.\n")
    f.write("return function(torch, random, step)\nreturn {\npictures = {\n")
    f.write("".join("  " + lua(s) + ",\n" for s in sources))
    f.write("}, cases = {\n" + "\n".join(lines) + "\n} }\nend\n")
with open(OUT + ".bin.gz", "wb") as raw:
    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=9, mtime=0, filename="") as f:
        f.write(bytes(blob))
print(counts, len(lines), len(blob), os.path.getsize(OUT + ".bin.gz"), os.path.getsize(OUT + ".lua"))
