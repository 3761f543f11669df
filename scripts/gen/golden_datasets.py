#!/usr/bin/env python3
"""Writes tests/golden/datasets/: tiny data sets in the layouts that torchvision reads, and values.txt, what torchvision makes of
each. Run by hand with a Python that has torch, torchvision and scipy:
    python scripts/gen/golden_datasets.py
Lines of values.txt: `set NAME ARGUMENTS`, the text of repr with | for line ends, then `item IMAGE TARGET` for every item. An image is
written as mode:WxH:CRC-32 of its pixels."""
import bz2
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zlib

import numpy as np
import scipy.io as sio
import torch
import torchvision.datasets as D
from PIL import Image
from torchvision.datasets import caltech, celeba, cifar, flowers102, imagenet, mnist, stl10, svhn

OUT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden", "datasets"))
shutil.rmtree(OUT, ignore_errors=True)
RNG = np.random.RandomState(3)
for module in (caltech, celeba, cifar, flowers102, imagenet, mnist, stl10, svhn):
    if hasattr(module, "check_integrity"):
        module.check_integrity = lambda path, md5=None: os.path.isfile(path)


def path(*parts):
    full = os.path.join(OUT, *parts)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    return full


def write(name, data):
    with open(path(name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def picture(name, width=9, height=7, mode="RGB"):
    data = np.clip(np.add.outer(np.arange(height) * 9, np.arange(width) * 5)[..., None] + RNG.randint(0, 60, 3), 0, 255)
    image = Image.fromarray(data.astype(np.uint8)).convert(mode)
    image.save(path(name), quality=80)


lines = []


def text_of(value):
    if isinstance(value, Image.Image):
        mode, data = value.mode, np.array(value)
        if mode.startswith("I"):
            mode, data = "I", data.astype(np.int32)
        return f"{mode}:{value.width}x{value.height}:{zlib.crc32(data.tobytes()):08x}"
    if isinstance(value, (torch.Tensor, np.ndarray)):
        value = np.asarray(value)
        return "t[" + ",".join(f"{v:.4f}" if value.dtype.kind == "f" else str(int(v)) for v in value.flatten()) + "]"
    if isinstance(value, (tuple, list)):
        return "(" + ",".join(text_of(v) for v in value) + ")"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}={text_of(value[k])}" for k in sorted(value)) + "}"
    if value is None:
        return "nil"
    return str(value)


def record(name, arguments, dataset):
    lines.append(f"set {name} {arguments}")
    lines.append(repr(dataset).replace(OUT, "ROOT").replace("\n", "|"))
    for i in range(len(dataset)):
        image, target = dataset[i]
        lines.append(f"item {text_of(image)} {text_of(target)}")


# --- folders of pictures ------------------------------------------------------------------------------------
for name in ("b/2.png", "b/10.png", "b/Z.PNG", "b/a.bmp", "a/x.jpg", "a/sub/y.jpg", "a/sub-1/z.jpg", "a/sub/deep/w.png", "\u00e9/u.png"):
    picture("folder/" + name)
write("folder/a/readme.txt", "no picture")
write("folder/stray.jpg", "no class")
record("ImageFolder", "folder", D.ImageFolder(OUT + "/folder"))

# --- CIFAR: pickles as Python 2 wrote them ------------------------------------------------------------------
def old_string(x):
    x = x if isinstance(x, bytes) else x.encode("latin1")
    return b"U" + bytes([len(x)]) + x if len(x) < 256 else b"T" + struct.pack("<I", len(x)) + x


def old_batch(rows, labels, key):
    out = b"\x80\x02}q\x01(" + old_string("batch_label") + b"q\x02" + old_string("batch 1 of 1") + b"q\x03"
    out += old_string(key) + b"q\x04]q\x05(" + b"".join(b"K" + bytes([v]) for v in labels) + b"e" + old_string("data") + b"q\x06"
    out += b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\x09" + old_string("b") + b"q\x0a\x87q\x0bRq\x0c"
    out += b"(K\x01K" + bytes([rows.shape[0]]) + b"M" + struct.pack("<H", rows.shape[1]) + b"\x86q\x0dcnumpy\ndtype\nq\x0e"
    out += old_string("u1") + b"q\x0fK\x00K\x01\x87q\x10Rq\x11(K\x03" + old_string("|") + b"q\x12NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x13b\x89"
    out += b"T" + struct.pack("<I", rows.size) + rows.tobytes() + b"q\x14tq\x15bu."
    assert (pickle.loads(out, encoding="latin1")["data"] == rows).all()
    return out


def rows(count):
    return (np.arange(3072)[None] // 7 * (np.arange(count)[:, None] + 1) % 251).astype(np.uint8)


for i in range(1, 6):
    write(f"cifar-10-batches-py/data_batch_{i}", old_batch(rows(2) + np.uint8(i), [i, 9 - i], "labels"))
write("cifar-10-batches-py/test_batch", old_batch(rows(3), [1, 2, 3], "labels"))
names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
write("cifar-10-batches-py/batches.meta", pickle.dumps({"label_names": names, "num_vis": 3072}, protocol=2))
for split in ("train", "test"):
    write(f"cifar-100-python/{split}", old_batch(rows(2), [50, 99], "fine_labels"))
write("cifar-100-python/meta", pickle.dumps({"fine_label_names": [f"c{i}" for i in range(100)]}, protocol=2))
record("CIFAR10", ". train", D.CIFAR10(OUT))
record("CIFAR10", ". test", D.CIFAR10(OUT, train=False))
record("CIFAR100", ". test", D.CIFAR100(OUT, train=False))

# --- SVHN, STL10, USPS ------------------------------------------------------------------------------------------
x = (np.arange(32 * 32 * 3 * 4) // 5 % 255).astype(np.uint8).reshape(32, 32, 3, 4, order="F")
sio.savemat(path("train_32x32.mat"), {"X": x, "y": np.array([[1], [10], [3], [9]], np.uint8)}, do_compression=True)
sio.savemat(path("test_32x32.mat"), {"X": x[..., :2], "y": np.array([[2.0], [10.0]])})
record("SVHN", ". train", D.SVHN(OUT, "train"))
record("SVHN", ". test", D.SVHN(OUT, "test"))
size = 3 * 96 * 96
for name, count in (("train_X", 4), ("test_X", 1), ("unlabeled_X", 2)):
    write(f"stl10_binary/{name}.bin", (np.arange(size * count) // 300 % 253).astype(np.uint8).tobytes())
write("stl10_binary/train_y.bin", bytes([1, 10, 3, 4]))
write("stl10_binary/test_y.bin", bytes([7]))
write("stl10_binary/class_names.txt", "airplane\nbird\ncar\n")
write("stl10_binary/fold_indices.txt", "".join(f"{i % 4} {(i + 2) % 4} \n" for i in range(10)))
for split in ("train", "test", "unlabeled", "train+unlabeled"):
    record("STL10", f". {split}", D.STL10(OUT, split))
record("STL10", ". train 3", D.STL10(OUT, "train", folds=3))
for name, count in (("usps", 3), ("usps.t", 2)):
    values = RNG.uniform(-1, 1, (count, 256)).round(4)
    body = "".join(f"{i + 1} " + " ".join(f"{k + 1}:{v:g}" for k, v in enumerate(row)) + " \n" for i, row in enumerate(values))
    write(name + ".bz2", bz2.compress(body.encode()))
record("USPS", ". train", D.USPS(OUT))
record("USPS", ". test", D.USPS(OUT, train=False))

# --- Caltech, CelebA, Flowers, Food, pets -------------------------------------------------------------------------
for name in ("Faces", "BACKGROUND_Google", "ant"):
    for i in (1, 2):
        picture(f"caltech101/101_ObjectCategories/{name}/image_{i:04d}.jpg", mode="L" if name == "ant" else "RGB")
for name in ("Faces_2", "ant"):
    for i in (1, 2):
        full = path(f"caltech101/Annotations/{name}/annotation_{i:04d}.mat")
        sio.savemat(full, {"box_coord": np.array([[1, 2, 3, 4]], np.uint16), "obj_contour": RNG.uniform(0, 9, (2, 3))})
record("Caltech101", ". category", D.Caltech101(OUT))
record("Caltech101", ". category,annotation", D.Caltech101(OUT, ["category", "annotation"]))
for name in ("001.ak47", "002.flag"):
    for i in (1, 2):
        picture(f"caltech256/256_ObjectCategories/{name}/{name[:3]}_{i:04d}.jpg")
write("caltech256/256_ObjectCategories/002.flag/greg", "stray")
record("Caltech256", ".", D.Caltech256(OUT))
faces = [f"{i:06d}.jpg" for i in range(1, 8)]
for name in faces:
    picture("celeba/img_align_celeba/" + name)
table = lambda head, width, low, high: head + "".join(
    f"{n}  " + "  ".join(str(v) for v in RNG.randint(low, high, width)) + "\n" for n in faces)
write("celeba/list_eval_partition.txt", "".join(f"{n} {k}\n" for n, k in zip(faces, (0, 1, 0, 2, 0, 1, 2))))
write("celeba/identity_CelebA.txt", table("", 1, 1, 99))
write("celeba/list_bbox_celeba.txt", table("5\nimage_id x_1 y_1 width height\n", 4, 0, 200))
write("celeba/list_landmarks_align_celeba.txt", table("5\nlefteye_x lefteye_y\n", 10, -9, 99))
write("celeba/list_attr_celeba.txt", "5\nBald Young\n" + "".join(f"{n} {a:2d} {b:2d}\n" for n, a, b in zip(faces, (1, -1, 1, 1, -1, 1, 1), (-1, 1, 1, -1, 1, 1, -1))))
for split in ("train", "valid", "all"):
    record("CelebA", f". {split} attr", D.CelebA(OUT, split))
record("CelebA", ". test attr,identity,bbox,landmarks", D.CelebA(OUT, "test", ["attr", "identity", "bbox", "landmarks"]))
for i in range(1, 6):
    picture(f"flowers-102/jpg/image_{i:05d}.jpg")
sio.savemat(path("flowers-102/imagelabels.mat"), {"labels": np.array([[77, 77, 3, 102, 1]], np.uint8)}, do_compression=True)
sio.savemat(path("flowers-102/setid.mat"), {"trnid": np.array([[5, 1]], np.uint16), "valid": np.array([[2, 4]], np.uint16),
                                            "tstid": np.array([[3, 4]], np.uint16)}, do_compression=True)
for split in ("train", "val", "test"):
    record("Flowers102", f". {split}", D.Flowers102(OUT, split))
for name in ("tacos/1", "tacos/2", "apple_pie/7", "tacos/3"):
    picture(f"food-101/images/{name}.jpg")
write("food-101/meta/train.json", json.dumps({"tacos": ["tacos/2", "tacos/1"], "apple_pie": ["apple_pie/7"]}))
write("food-101/meta/test.json", json.dumps({"apple_pie": [], "tacos": ["tacos/3"]}))
for split in ("train", "test"):
    record("Food101", f". {split}", D.Food101(OUT, split))
pets = [("Abyssinian_100", 1, 1), ("american_bulldog_2", 2, 2), ("Abyssinian_7", 1, 1), ("saint_bernard_1", 3, 2)]
for name, *_ in pets:
    picture(f"oxford-iiit-pet/images/{name}.jpg")
    mask = Image.fromarray(RNG.randint(1, 4, (7, 9)).astype(np.uint8))
    mask.save(path(f"oxford-iiit-pet/annotations/trimaps/{name}.png"))
for split in ("trainval", "test"):
    write(f"oxford-iiit-pet/annotations/{split}.txt", "".join(f"{n} {c} {k} 1\n" for n, c, k in pets))
record("OxfordIIITPet", ". trainval category", D.OxfordIIITPet(OUT))
record("OxfordIIITPet", ". test binary-category,segmentation", D.OxfordIIITPet(OUT, "test", ["binary-category", "segmentation"]))

# --- VOC ----------------------------------------------------------------------------------------------------------
palette = sum(([i * 7 % 256, i * 31 % 256, 255 - i] for i in range(256)), [])
objects = ("", "<object>\n<name>dog</name><truncated>1</truncated><bndbox><xmin>1</xmin><ymax>20</ymax></bndbox></object>",
           "<object><name>a &amp; b</name><part><name>head</name></part><part><name>foot</name></part></object>"
           "<object><name>cat</name></object>")
for i, name in enumerate(("2007_000027", "2007_000032", "2007_000033")):
    base = "VOCdevkit/VOC2012/"
    picture(base + f"JPEGImages/{name}.jpg")
    mask = Image.fromarray(RNG.choice([0, 1, 15, 255], (7, 9)).astype(np.uint8), "P")
    mask.putpalette(palette)
    mask.save(path(base + f"SegmentationClass/{name}.png"))
    write(base + f"Annotations/{name}.xml", f"<?xml version='1.0'?>\n<annotation>\n  <folder>VOC2012</folder>\n  <filename>{name}.jpg</filename>\n"
          f"  <!-- sizes --><size><width>9</width><height>7</height><depth/></size>\n{objects[i]}\n</annotation>\n")
for kind in ("Main", "Segmentation"):
    write(f"VOCdevkit/VOC2012/ImageSets/{kind}/train.txt", "2007_000027\n2007_000033\n")
    write(f"VOCdevkit/VOC2012/ImageSets/{kind}/val.txt", "2007_000032 \n")
for kind in ("VOCSegmentation", "VOCDetection"):
    for split in ("train", "val"):
        record(kind, f". {split}", getattr(D, kind)(OUT, image_set=split))

# --- Cityscapes ----------------------------------------------------------------------------------------------------
for city, name in (("aachen", "aachen_000000_000019"), ("bonn", "bonn_000001_000019"), ("bonn", "bonn_000002_000019")):
    picture(f"cityscapes/leftImg8bit/val/{city}/{name}_leftImg8bit.png")
    base = f"cityscapes/gtFine/val/{city}/{name}_gtFine_"
    ids = RNG.randint(0, 34, (7, 9))
    Image.fromarray(ids.astype(np.uint8)).save(path(base + "labelIds.png"))
    Image.fromarray((ids * 1000).astype(np.uint16)).save(path(base + "instanceIds.png"))
    picture(base + "color.png", mode="RGBA")
    write(base + "polygons.json", json.dumps({"imgHeight": 7, "objects": [{"label": "road", "polygon": [[0, 1], [2, 3]]}]}))


class Sorted(D.Cityscapes):
    """In the order of names, as os.listdir promises none."""
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        order = sorted(range(len(self.images)), key=lambda i: self.images[i])
        self.images, self.targets = [self.images[i] for i in order], [self.targets[i] for i in order]


Sorted.__name__ = "Cityscapes"
record("Cityscapes", "cityscapes val fine semantic,instance,color,polygon",
       Sorted(OUT + "/cityscapes", "val", target_type=["semantic", "instance", "color", "polygon"]))

# --- ImageNet -------------------------------------------------------------------------------------------------------
synsets = np.zeros((4,), dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O"),
                                ("children", "O"), ("wordnet_height", "O"), ("num_train_images", "O")])
for i, (wnid, words, children) in enumerate((("n02", "kit fox, Vulpes macrotis", 0), ("n01", "tench, Tinca tinca", 0), ("n03", "bee", 0), ("n99", "entity", 3))):
    synsets[i] = (float(i + 1), wnid, words, "some gloss", float(children), np.array([[1.0, 2.0]]) if children else np.zeros((0, 0)), 0.0, 9.0)
buffer = io.BytesIO()
sio.savemat(buffer, {"synsets": synsets.reshape(-1, 1)}, do_compression=True)


def tar_of(mode, members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def jpeg(seed):
    out = io.BytesIO()
    Image.fromarray(np.full((5, 6, 3), seed, np.uint8)).save(out, "JPEG")
    return out.getvalue()


os.makedirs(OUT + "/imagenet", exist_ok=True)
write("imagenet/ILSVRC2012_devkit_t12.tar.gz", tar_of("w:gz", [
    ("ILSVRC2012_devkit_t12/data/meta.mat", buffer.getvalue()),
    ("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", b"2\n1\n2\n3\n")]))
write("imagenet/ILSVRC2012_img_val.tar", tar_of("w", [(f"ILSVRC2012_val_{i:08d}.JPEG", jpeg(i * 40)) for i in range(1, 5)]))
write("imagenet/ILSVRC2012_img_train.tar", tar_of("w", [
    (f"{wnid}.tar", tar_of("w", [(f"{wnid}_{i}.JPEG", jpeg(i * 30)) for i in (1, 2)])) for wnid in ("n01", "n02", "n03")]))
copy = OUT + "-copy"
shutil.rmtree(copy, ignore_errors=True)
shutil.copytree(OUT + "/imagenet", copy)
for split in ("val", "train"):
    dataset = D.ImageNet(copy, split)
    dataset.root = OUT + "/imagenet"
    record("ImageNet", f"imagenet {split}", dataset)
shutil.rmtree(copy)

# --- more lists and folders ------------------------------------------------------------------------------------------
for name in ("banded/a.jpg", "banded/b.jpg", "dotted/c.jpg"):
    picture("dtd/dtd/images/" + name)
write("dtd/dtd/labels/train2.txt", "dotted/c.jpg\nbanded/b.jpg\n")
record("DTD", ". train 2", D.DTD(OUT, "train", 2))
for name in ("Forest/Forest_1.jpg", "AnnualCrop/AnnualCrop_2.jpg"):
    picture("eurosat/2750/" + name)
record("EuroSAT", ".", D.EuroSAT(OUT))
for name in ("0034309", "0056978"):
    picture(f"fgvc-aircraft-2013b/data/images/{name}.jpg")
write("fgvc-aircraft-2013b/data/families.txt", "A300\nBoeing 737\n")
write("fgvc-aircraft-2013b/data/images_family_test.txt", "0056978 Boeing 737\n0034309 A300\n")
record("FGVCAircraft", ". test family", D.FGVCAircraft(OUT, "test", "family"))
for name in ("Training/00000/00000_00001.ppm", "Training/00002/00000_00000.ppm", "Final_Test/Images/00000.ppm", "Final_Test/Images/00001.ppm"):
    picture("gtsrb/GTSRB/" + name, 5, 4)
write("gtsrb/GT-final_test.csv", "Filename;Width;Height;ClassId\n00001.ppm;5;4;16\n00000.ppm;5;4;1\n")
for split in ("train", "test"):
    record("GTSRB", f". {split}", D.GTSRB(OUT, split))
for name in ("n01440764/a.JPEG", "n03888257/b.JPEG"):
    picture("imagenette2-160/val/" + name)
record("Imagenette", ". val 160px", D.Imagenette(OUT, "val", "160px"))
for name in ("AD/1.jpg", "CH/2.jpg"):
    picture("country211/valid/" + name)
record("Country211", ". valid", D.Country211(OUT, "valid"))
for name in ("negative/1.png", "positive/0.png"):
    picture("rendered-sst2/valid/" + name)
record("RenderedSST2", ". val", D.RenderedSST2(OUT, "val"))
for i, name in enumerate(("a/abbey/sun_aa.jpg", "b/bow_window/indoor/sun_bb.jpg")):
    picture("SUN397/" + name)
write("SUN397/ClassName.txt", "/a/abbey\n/b/bow_window/indoor\n")
dataset = D.SUN397(OUT)
dataset._image_files, dataset._labels = map(list, zip(*sorted(zip(dataset._image_files, dataset._labels))))
record("SUN397", ".", dataset)
for name in ("00002.jpg", "00001.jpg"):
    picture("stanford_cars/cars_train/" + name)
cars = np.zeros((2,), dtype=[("bbox_x1", "O"), ("class", "O"), ("fname", "O")])
cars[0], cars[1] = (3, 2, "00002.jpg"), (5, 1, "00001.jpg")
sio.savemat(path("stanford_cars/devkit/cars_train_annos.mat"), {"annotations": cars.reshape(1, -1)})
names = np.empty((1, 2), dtype=object)
names[0, 0], names[0, 1] = "AM General Hummer", "Acura RL"
sio.savemat(path("stanford_cars/devkit/cars_meta.mat"), {"class_names": names})
record("StanfordCars", ". train", D.StanfordCars(OUT, "train"))
for split, name in (("val", "CLEVR_val_000000.png"), ("val", "CLEVR_val_000001.png"), ("test", "CLEVR_test_000000.png")):
    picture(f"clevr/CLEVR_v1.0/images/{split}/{name}")
write("clevr/CLEVR_v1.0/scenes/CLEVR_val_scenes.json", json.dumps({"scenes": [
    {"image_filename": "CLEVR_val_000001.png", "objects": [{}, {}, {}]}, {"image_filename": "CLEVR_val_000000.png", "objects": [{}]}]}))
for split in ("val", "test"):
    record("CLEVRClassification", f". {split}", D.CLEVRClassification(OUT, split))

with open(path("values.txt"), "w") as f:
    f.write("\n".join(lines) + "\n")
