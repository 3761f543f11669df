"""Times image operations of torchvision on Pillow's images, on one thread: the twin of images.lua.

  python3 scripts/bench/images.py
"""
import time

import numpy as np
import torch
import torchvision.transforms as T
import torchvision.transforms.functional as F
from PIL import Image

torch.set_num_threads(1)
rng = np.random.default_rng(0)


def noise(height, width, channels):
    pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)


def bench(name, run):
    run()
    best = 1e9
    for _ in range(5):
        start = time.process_time()
        for _ in range(20):
            run()
        best = min(best, (time.process_time() - start) / 20)
    print(f"{name}\t{best * 1000:.3f}", flush=True)


photo, grey, large, small = noise(375, 500, 3), noise(375, 500, 1), noise(1080, 1920, 3), noise(224, 224, 3)
for mode in ("bilinear", "bicubic", "lanczos", "nearest"):
    bench(f"resize 500x375 to 224x224, {mode}", lambda: F.resize(photo, [224, 224], T.InterpolationMode(mode)))
bench("resize 500x375 grey, bilinear", lambda: F.resize(grey, [224, 224]))
bench("resize 1920x1080 to 455x256, bilinear", lambda: F.resize(large, 256))
bench("enlarge 224x224 to 500x500, bicubic", lambda: F.resize(small, [500, 500], T.InterpolationMode.BICUBIC))
bench("hflip", lambda: F.hflip(photo))
bench("rotate, nearest", lambda: F.rotate(photo, 20))
bench("rotate, bilinear", lambda: F.rotate(photo, 20, T.InterpolationMode.BILINEAR))
bench("affine, bicubic", lambda: F.affine(photo, 20, [3, 4], 1.1, [5, 0], T.InterpolationMode.BICUBIC))
bench("adjust_brightness", lambda: F.adjust_brightness(photo, 1.3))
bench("adjust_contrast", lambda: F.adjust_contrast(photo, 1.3))
bench("adjust_saturation", lambda: F.adjust_saturation(photo, 1.3))
bench("adjust_hue", lambda: F.adjust_hue(photo, 0.1))
bench("adjust_sharpness", lambda: F.adjust_sharpness(photo, 1.7))
bench("equalize", lambda: F.equalize(photo))
finish = T.Compose([T.RandomHorizontalFlip(1.0), T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
bench("hflip, ToTensor, Normalize of 224x224", lambda: finish(small))
