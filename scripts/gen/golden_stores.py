#!/usr/bin/env python3
"""Writes tests/golden/stores/: a small LMDB and a small HDF5 file. Run by hand with a Python that has lmdb, h5py and numpy:
    python scripts/gen/golden_stores.py"""
import os
import shutil

import h5py
import lmdb
import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden", "stores")
shutil.rmtree(OUT, ignore_errors=True)
os.makedirs(OUT)
env = lmdb.open(os.path.join(OUT, "pairs"), map_size=1 << 20)
with env.begin(write=True) as txn:
    for i in (3, 1, 2):
        txn.put(b"key-%d" % i, bytes(range(i * 10, i * 10 + i)))
    txn.put(b"zero\0byte", b"")
    txn.put(b"\xff", b"last")
env.close()
os.remove(os.path.join(OUT, "pairs", "lock.mdb"))
env = lmdb.open(os.path.join(OUT, "single.lmdb"), map_size=1 << 20, subdir=False)
with env.begin(write=True) as txn:
    txn.put(b"a", b"alpha")
env.close()
os.remove(os.path.join(OUT, "single.lmdb-lock"))
with h5py.File(os.path.join(OUT, "arrays.h5"), "w") as f:
    f["labels"] = np.array([5, 6, 7, 8], np.uint16)
    f.create_dataset("group/images", data=np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3), chunks=(2, 2, 3), compression="gzip")
    f["group/deep/flags"] = np.array([True, False, True, True])
    f["bytes"] = np.arange(4, dtype=np.uint8)
    f["half"] = np.array([0.5, 1.5, 2.5, 3.5], np.float16)
    f["big_endian"] = np.arange(4, dtype=">i4")
    f["doubles"] = np.array([[0.1, 0.2]], np.float64)
    f["scalar"] = 42
    f["texts"] = ["a", "b"]
    f["round"] = h5py.SoftLink("/group")
