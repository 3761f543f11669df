#!/usr/bin/env python3
"""Writes tests/golden/images/: small image files of every kind that the decoders know, and values.txt, what Pillow
and torchvision make of each. Run by hand with a Python that has Pillow, torch and torchvision:
    python scripts/gen/golden_images.py
Lines of values.txt: file, reader (pillow, io), mode, result mode or dtype, sizes, CRC-32 of the pixels (or "error")."""
import io
import os
import re
import struct
import sys
import warnings
import zlib

import numpy as np
import torch  # noqa: F401 (torchvision.io needs it)
import torchvision.io as tio
from PIL import Image, ImageOps

warnings.simplefilter("ignore")
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden", "images")
os.makedirs(OUT, exist_ok=True)
RNG = np.random.RandomState(7)


def picture(width, height, channels):
    """Smooth colours with some texture: what a codec has to work on."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for c in range(channels):
        plane = 127 + 90 * np.sin(x / (3.1 + c) + c) * np.cos(y / (4.3 - c / 2)) + RNG.uniform(-25, 25, (height, width))
        planes.append(np.clip(plane, 0, 255))
    return np.stack(planes, -1).astype(np.uint8)


def put(name, data):
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)


def save(name, image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    put(name, buffer.getvalue())
    return buffer.getvalue()


# --- JPEG -------------------------------------------------------------------------------------------
rgb = Image.fromarray(picture(45, 37, 3))
gray = Image.fromarray(picture(31, 22, 1)[:, :, 0])
for name, sub in (("444", 0), ("422", 1), ("420", 2)):
    save(f"rgb_{name}.jpg", rgb, "JPEG", quality=90, subsampling=sub)
save("progressive.jpg", rgb, "JPEG", quality=85, progressive=True)
save("optimized.jpg", rgb, "JPEG", quality=70, optimize=True)
save("restart.jpg", rgb, "JPEG", quality=80, restart_marker_blocks=2)
save("keep_rgb.jpg", rgb, "JPEG", quality=90, keep_rgb=True)
save("gray.jpg", gray, "JPEG", quality=90)
save("gray_progressive.jpg", gray, "JPEG", quality=60, progressive=True)
cmyk = save("cmyk.jpg", Image.fromarray(picture(29, 27, 4), "CMYK"), "JPEG", quality=90)
# The same scans read as YCCK: the Adobe marker's transform byte says which it is.
at = cmyk.index(b"Adobe")
ycck = bytearray(cmyk)
ycck[at + 11] = 2
put("ycck.jpg", bytes(ycck))
save("one.jpg", Image.fromarray(picture(1, 1, 3)), "JPEG")
save("row.jpg", Image.fromarray(picture(33, 1, 3)), "JPEG", quality=95)
save("column.jpg", Image.fromarray(picture(1, 33, 3)), "JPEG", quality=95)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(f"exif{orientation}.jpg", rgb.crop((0, 0, 21, 13)), "JPEG", quality=90, exif=exif)
whole = open(os.path.join(OUT, "rgb_420.jpg"), "rb").read()
put("truncated.jpg", whole[: len(whole) // 2])
put("header_only.jpg", whole[:20])
damaged = bytearray(whole)
damaged[len(whole) * 2 // 3] ^= 0x55
put("damaged.jpg", bytes(damaged))


# --- PNG: a writer of its own, as Pillow writes few of the kinds --------------------------------------
def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack_rows(samples, depth):
    """samples (H, W, C) of integers -> the bytes of each row."""
    rows = []
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            rows.append(row.astype(">u2").tobytes())
        elif depth == 8:
            rows.append(row.astype(np.uint8).tobytes())
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in row)
            bits += "0" * (-len(bits) % 8)
            rows.append(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)))
    return rows


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png(name, samples, depth, color, interlace=False, palette=None, trns=None, exif=None):
    height, width = samples.shape[:2]
    if interlace:
        parts = [samples[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7]
        raw = b"".join(b"\0" + row for part in parts if part.size for row in pack_rows(part, depth))
    else:
        raw = b"".join(b"\0" + row for row in pack_rows(samples, depth))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlace)))
    if exif:
        data += chunk(b"eXIf", exif)
    if palette is not None:
        data += chunk(b"PLTE", bytes(list(map(int, palette))))
    if trns is not None:
        data += chunk(b"tRNS", trns)
    data += chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    put(name, data)
    return data


for depth in (1, 2, 4, 8, 16):
    samples = RNG.randint(0, 1 << depth, (11, 13, 1))
    png(f"gray{depth}.png", samples, depth, 0)
    png(f"gray{depth}_interlaced.png", samples, depth, 0, interlace=True)
png("gray8_trns.png", RNG.randint(0, 4, (6, 7, 1)), 8, 0, trns=struct.pack(">H", 2))
png("gray16_trns.png", RNG.randint(0, 4, (6, 7, 1)), 16, 0, trns=struct.pack(">H", 2))
png("gray4_trns.png", RNG.randint(0, 16, (6, 7, 1)), 4, 0, trns=struct.pack(">H", 2))
for depth in (1, 2, 4, 8):
    count = min(1 << depth, 40)
    samples = RNG.randint(0, count, (12, 15, 1))
    palette = RNG.randint(0, 256, 3 * count)
    png(f"palette{depth}.png", samples, depth, 3, palette=palette)
    png(f"palette{depth}_trns.png", samples, depth, 3, palette=palette,
        trns=bytes(RNG.randint(0, 256, max(1, count // 2)).astype(np.uint8)))
    png(f"palette{depth}_interlaced.png", samples, depth, 3, palette=palette, interlace=True)
png("palette_short.png", RNG.randint(0, 8, (5, 5, 1)), 8, 3, palette=RNG.randint(0, 256, 9))
for depth in (8, 16):
    top = 1 << depth
    for color, channels, title in ((2, 3, "rgb"), (4, 2, "la"), (6, 4, "rgba")):
        samples = RNG.randint(0, top, (9, 10, channels))
        png(f"{title}{depth}.png", samples, depth, color)
        png(f"{title}{depth}_interlaced.png", samples, depth, color, interlace=True)
png("rgb8_trns.png", RNG.randint(0, 2, (6, 7, 3)), 8, 2, trns=struct.pack(">HHH", 1, 0, 1))
tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
png("exif6.png", RNG.randint(0, 256, (9, 5, 3)), 8, 2, exif=tiff)
save("filtered.png", Image.fromarray(picture(40, 30, 3)), "PNG", optimize=True)
good = open(os.path.join(OUT, "rgb8.png"), "rb").read()
put("truncated.png", good[: len(good) * 2 // 3])
bad = bytearray(good)
bad[60] ^= 1
put("bad_crc.png", bytes(bad))
put("huge.png", good[:16] + struct.pack(">II", 60000, 60000) + good[24:29]
    + struct.pack(">I", zlib.crc32(good[12:16] + struct.pack(">II", 60000, 60000) + good[24:29])) + good[33:])

# --- WebP ---------------------------------------------------------------------------------------------
color = Image.fromarray(picture(34, 27, 3))
alpha = Image.fromarray(np.concatenate([picture(34, 27, 3), picture(34, 27, 1)], -1), "RGBA")
save("lossy.webp", color, "WEBP", quality=80)
save("lossless.webp", color, "WEBP", lossless=True)
save("lossy_alpha.webp", alpha, "WEBP", quality=70)
save("lossless_alpha.webp", alpha, "WEBP", lossless=True, exact=True)
save("animated.webp", color, "WEBP", save_all=True, append_images=[color.rotate(180)], lossless=True)
webp = save("one.webp", Image.fromarray(picture(1, 1, 3)), "WEBP")
lossy = open(os.path.join(OUT, "lossy.webp"), "rb").read()
put("truncated.webp", lossy[: len(lossy) // 2])

# --- GIF ----------------------------------------------------------------------------------------------
pal = Image.fromarray(picture(37, 25, 3)).quantize(60)
save("plain.gif", pal, "GIF", interlace=0)
save("interlaced.gif", pal, "GIF", interlace=1)
save("transparent.gif", pal, "GIF", transparency=3, interlace=0)
save("two_colors.gif", Image.fromarray(picture(9, 8, 3)).quantize(2), "GIF")
save("gray.gif", gray, "GIF")
frames = [Image.fromarray(picture(16, 12, 3)).quantize(20) for _ in range(3)]
save("animated.gif", frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
gif = open(os.path.join(OUT, "plain.gif"), "rb").read()
put("truncated.gif", gif[: len(gif) // 2])

# --- BMP and PNM ----------------------------------------------------------------------------------------
save("rgb.bmp", Image.fromarray(picture(13, 9, 3)), "BMP")
save("gray.bmp", Image.fromarray(picture(13, 9, 1)[:, :, 0]), "BMP")
save("palette.bmp", Image.fromarray(picture(13, 9, 3)).quantize(30), "BMP")
save("bit.bmp", Image.fromarray(picture(13, 9, 1)[:, :, 0]).convert("1"), "BMP")
save("rgba.bmp", Image.fromarray(picture(13, 9, 4), "RGBA"), "BMP")


def bmp(name, width, height, bits, compression, pixels, colors=(), header=40, masks=b""):
    table = b"".join(struct.pack("<BBBB", *c, 0) for c in colors)
    offset = 14 + header + len(masks) + len(table)
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(pixels), 0, 0, len(colors), 0)
    info += b"\0" * (header - 40)
    put(name, b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + info + masks + table + pixels)


four = [(0, 0, 0), (250, 10, 20), (30, 240, 50), (60, 70, 230)]
bmp("four_bits.bmp", 5, 3, 4, 0, b"\x01\x23\x10\0" * 3, [(i * 16, 255 - i * 16, i * 7) for i in range(16)])
bmp("top_down.bmp", 2, -2, 24, 0, bytes(range(6)) + b"\0\0" + bytes(range(50, 56)) + b"\0\0")
bmp("rle8.bmp", 6, 3, 8, 1, b"\x03\x01\x03\x02\0\0" + b"\0\x04\1\2\3\0\2\1" + b"\0\0" + b"\2\3\0\2\1\0\1\2\0\0\0\1", four)
bmp("rle4.bmp", 6, 2, 4, 2, b"\x06\x12\0\0" + b"\0\x05\x12\x30\x10\0\1\3\0\0\0\1", four + four + four + four)
bmp("555.bmp", 3, 2, 16, 0, struct.pack("<HHHH", 0x7C00, 0x03E0, 0x001F, 0) + struct.pack("<HHHH", 0x1234, 0x7FFF, 0x5555, 0))
bmp("565.bmp", 3, 2, 16, 3, struct.pack("<HHHH", 0xF800, 0x07E0, 0x001F, 0) + struct.pack("<HHHH", 0x1234, 0xFFFF, 0x5555, 0),
    masks=struct.pack("<III", 0xF800, 0x07E0, 0x001F))
bmp("truncated.bmp", 50, 50, 24, 0, b"\1\2\3")

put("bits.pbm", b"P4\n# made by hand\n11 3\n" + bytes(RNG.randint(0, 256, 6).astype(np.uint8)))
put("text.pbm", b"P1 4 2\n1 0 1 1\n0110\n")
put("gray.pgm", b"P5 7 5 255\n" + bytes(RNG.randint(0, 256, 35).astype(np.uint8)))
put("gray_max.pgm", b"P5 7 5 100\n" + bytes(RNG.randint(0, 101, 35).astype(np.uint8)))
put("gray16.pgm", b"P5 4 3 65535\n" + bytes(RNG.randint(0, 256, 24).astype(np.uint8)))
put("gray12.pgm", b"P5 4 3 4095\n" + RNG.randint(0, 4096, 12).astype(">u2").tobytes())
put("text.pgm", b"P2\n3 2\n# a comment\n15\n0 3 7\n15 9 1\n")
put("rgb.ppm", b"P6 5 4 255\n" + bytes(RNG.randint(0, 256, 60).astype(np.uint8)))
put("rgb_max.ppm", b"P6 5 4 31\n" + bytes(RNG.randint(0, 32, 60).astype(np.uint8)))
put("rgb16.ppm", b"P6 3 2 65535\n" + bytes(RNG.randint(0, 256, 36).astype(np.uint8)))
put("text.ppm", b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 255\n")
put("truncated.ppm", b"P6 50 40 255\n\1\2\3")
# --- TIFF ---------------------------------------------------------------------------------------------------
for title, image in (("rgb", Image.fromarray(picture(31, 23, 3))), ("gray", Image.fromarray(picture(19, 14, 1)[:, :, 0])),
                     ("la", Image.fromarray(picture(12, 9, 2), "LA")), ("rgba", Image.fromarray(picture(12, 9, 4), "RGBA")),
                     ("cmyk", Image.fromarray(picture(12, 9, 4), "CMYK")), ("palette", Image.fromarray(picture(22, 13, 3)).quantize(40)),
                     ("bit", Image.fromarray(picture(21, 11, 1)[:, :, 0]).convert("1")),
                     ("gray16", Image.fromarray(RNG.randint(0, 600, (7, 11)).astype(np.uint16)))):
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        options = {"compression": compression} if compression else {}
        save(f"{title}_{compression or 'plain'}.tif", image, "TIFF", **options)
big = Image.fromarray(np.tile(picture(160, 120, 3), (1, 1, 1)))
save("lzw_predictor.tif", big.resize((61, 47)), "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
save("smooth_lzw.tif", Image.fromarray(np.add.outer(np.arange(90), np.arange(110)).astype(np.uint8)), "TIFF", compression="tiff_lzw")
save("float.tif", Image.fromarray(np.zeros((3, 4), np.float32)), "TIFF")
save("jpeg.tif", Image.fromarray(picture(16, 16, 3)), "TIFF", compression="jpeg")


def tiff(name, samples, bits, photometric, order="<", tile=None, planar=False, deflate=False, predictor=False, rows=None, extra=None,
         orientation=1, palette=None, fill_order=1):
    """samples (H, W, S) of integers; what Pillow cannot write."""
    height, width, count = samples.shape
    blocks = []
    planes = [samples[:, :, i : i + 1] for i in range(count)] if planar else [samples]
    bw, bh = tile or (width, rows or height)
    for plane in planes:
        for y in range(0, height, bh):
            for x in range(0, width, bw):
                part = plane[y : y + bh, x : x + bw]
                if tile:
                    part = np.pad(part, ((0, bh - part.shape[0]), (0, bw - part.shape[1]), (0, 0)), mode="edge")
                part = part.astype(np.int64)
                if predictor:
                    part = np.concatenate([part[:, :1], np.diff(part, axis=1)], 1) % (1 << bits)
                data = b"".join(row.astype(order + "u2").tobytes() for row in part.reshape(part.shape[0], -1)) if bits == 16 \
                    else b"".join(pack_rows(part, bits))
                if fill_order == 2:
                    data = bytes(int(f"{b:08b}"[::-1], 2) for b in data)
                blocks.append(zlib.compress(data) if deflate else data)
    entries = [(256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * count), (259, 3, [8 if deflate else 1]), (262, 3, [photometric]),
               (277, 3, [count]), (284, 3, [2 if planar else 1])]
    if fill_order != 1:
        entries.append((266, 3, [fill_order]))
    if orientation != 1:
        entries.append((274, 3, [orientation]))
    if predictor:
        entries.append((317, 3, [2]))
    if palette is not None:
        entries.append((320, 3, palette))
    if extra is not None:
        entries.append((338, 3, [extra]))
    entries += [(322, 4, [bw]), (323, 4, [bh]), (324, 4, None), (325, 4, [len(b) for b in blocks])] if tile \
        else [(278, 4, [bh]), (273, 4, None), (279, 4, [len(b) for b in blocks])]
    entries.sort(key=lambda e: e[0])
    at = 8 + 2 + 12 * len(entries) + 4
    later = b""
    table = b""
    places = {}
    for tag, kind, values in entries:
        values = values if values is not None else [0] * len(blocks)
        data = struct.pack(order + ("H" if kind == 3 else "I") * len(values), *values)
        if len(data) <= 4:
            places[tag] = 8 + 2 + len(table) + 8
            table += struct.pack(order + "HHI", tag, kind, len(values)) + data.ljust(4, b"\0")
        else:
            places[tag] = at + len(later)
            table += struct.pack(order + "HHII", tag, kind, len(values), at + len(later))
            later += data + b"\0" * (len(data) % 2)
    start = at + len(later)
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", len(entries)) + table
                    + b"\0\0\0\0" + later)
    for i, block in enumerate(blocks):
        struct.pack_into(order + "I", out, places[324 if tile else 273] + 4 * i, start)
        start += len(block)
        out += block
    put(name, bytes(out))
    return bytes(out)


color = picture(37, 25, 3)
tiff("tiled.tif", color, 8, 2, tile=(16, 16))
tiff("tiled_deflate.tif", color, 8, 2, order=">", tile=(16, 32), deflate=True, predictor=True)
tiff("strips.tif", color, 8, 2, rows=7)
tiff("planar.tif", color, 8, 2, planar=True, rows=10)
tiff("big_endian16.tif", color.astype(np.int64) * 257 + 3, 16, 2, order=">", deflate=True)
tiff("little_endian16_predictor.tif", color.astype(np.int64) * 250, 16, 2, deflate=True, predictor=True)
tiff("white_is_zero.tif", color[:, :, :1], 8, 0)
tiff("gray4.tif", color[:, :, :1] // 16, 4, 1)
tiff("gray2_white.tif", color[:, :, :1] // 64, 2, 0)
tiff("palette4.tif", color[:, :, :1] // 16, 4, 3, palette=[int(v) for v in RNG.randint(0, 65536, 48)])
tiff("associated.tif", np.concatenate([color // 2, 128 + color[:, :, :1] // 2], -1), 8, 2, extra=1)
tiff("extra_ignored.tif", np.concatenate([color, color[:, :, :1]], -1), 8, 2, extra=0)
for orientation in (2, 3, 6, 8):
    tiff(f"orientation{orientation}.tif", color[:9, :14], 8, 2, orientation=orientation)
tiff("bits_reversed.tif", (color[:, :, :1] > 120).astype(np.int64), 1, 1, fill_order=2)
whole = open(os.path.join(OUT, "rgb_tiff_lzw.tif"), "rb").read()
put("truncated.tif", whole[:8] + b"\0" * 40)
put("cut_strip.tif", tiff("strips.tif", color, 8, 2, rows=7)[:-300])

put("nonsense.jpg", b"this is no picture at all, whatever its name says\n")
put("empty.png", b"")

# --- what the references make of them ---------------------------------------------------------------------
lines = []
# What nobody would want to equal: indices of less than 8 bits that torchvision leaves packed in uninitialised memory,
# alpha that it sets to 1, 3 or 15 of 255, or not at all; keys of 16 bits in Pillow's 8-bit pictures; what is not supported.
FAULTS = re.compile("palette[124].* io UNCHANGED|(gray[124]|palette).*png io (GRAY_ALPHA|RGB_ALPHA)|gray16_trns.png pillow (LA|RGBA)|"
                    "(float|jpeg).tif")


def line(name, reader, mode, kind, sizes, data):
    lines.append(f"{name} {reader} {mode} {kind} {'x'.join(map(str, sizes))} {zlib.crc32(data):08x}")


IO_MODES = ("UNCHANGED", "GRAY", "GRAY_ALPHA", "RGB", "RGB_ALPHA")


def read_by_io(name, path):
    """Fills `lines` with what torchvision.io gives."""
    for mode in IO_MODES + ("exif",):
        try:
            t = tio.decode_image(tio.read_file(path), "RGB" if mode == "exif" else mode, apply_exif_orientation=mode == "exif")
            line(name, "io", mode, str(t.dtype)[6:], t.shape, t.contiguous().numpy().tobytes())
        except Exception as e:
            lines.append(f"{name} io {mode} error")
            if "-v" in sys.argv:
                print(name, mode, str(e)[:160])


def in_child(body):
    """Lines that body adds, from a process of its own: some damaged files end torchvision's process."""
    receive, give = os.pipe()
    child = os.fork()
    if child == 0:
        del lines[:]
        body()
        os.write(give, "\n".join(lines).encode())
        sys.stdout.flush()
        os._exit(0)
    os.close(give)
    with os.fdopen(receive) as f:
        text = f.read()
    return text.splitlines() if os.waitpid(child, 0)[1] == 0 else None


names = sorted(n for n in os.listdir(OUT) if n != "values.txt")
for name in names:
    path = os.path.join(OUT, name)
    for mode in ("open", "L", "LA", "RGB", "RGBA", "CMYK"):
        try:
            image = Image.open(path)
            image.load()
            kind = image.mode
            if mode != "open":
                image = image.convert(mode)
                kind = mode
            line(name, "pillow", mode, kind, (image.height, image.width), image.tobytes())
        except Exception as e:
            lines.append(f"{name} pillow {mode} error")
            if "-v" in sys.argv:
                print(name, mode, type(e), e)
    try:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        line(name, "pillow", "exif", "RGB", (image.height, image.width), image.tobytes())
    except Exception:
        lines.append(f"{name} pillow exif error")
    if name.endswith(("bmp", "pbm", "pgm", "ppm", "tif")):
        continue  # torchvision reads none of these
    lines.extend(in_child(lambda: read_by_io(name, path)) or
                 [f"{name} io {mode} error" for mode in IO_MODES + ("exif",)])
with open(os.path.join(OUT, "values.txt"), "w") as f:
    f.write("\n".join(text for text in lines if not FAULTS.match(text)) + "\n")
