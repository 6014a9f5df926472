"""Read the arrays of an .npz one by one, each by its header first: nothing is inflated that is not
asked for, and nothing that is not as long as its header says. No pickle is ever loaded."""

import math
import os
import zipfile
from typing import Any, BinaryIO

import numpy as np


class Npz:
    """A zip of arrays: `names`, `header(name)`, and `[name]`, which checks size and checksum.

    What it raises on damage has no common class (zipfile's, zlib's, NumPy's): catch Exception.
    """

    def __init__(self, file: str | os.PathLike | BinaryIO) -> None:
        self.zip = zipfile.ZipFile(file)
        self.members = {m.filename.removesuffix(".npy"): m for m in self.zip.infolist()}

    def __enter__(self) -> "Npz":
        return self

    def __exit__(self, *error: object) -> None:
        self.zip.close()

    @property
    def names(self) -> list[str]:
        """The arrays' names, in the file's order."""
        return list(self.members)

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Return the shape and the dtype of an array without reading it."""
        with self.zip.open(self.members[name]) as file:
            shape, dtype = _header(file)
            size = file.tell() + math.prod(shape) * dtype.itemsize
        if dtype.hasobject or size != self.members[name].file_size:
            problem = "Python objects" if dtype.hasobject else f"no array of shape {shape}"
            raise ValueError(f"{name} holds {problem}")
        return shape, dtype

    def __getitem__(self, name: str) -> np.ndarray:
        self.header(name)
        with self.zip.open(self.members[name]) as file:  # the last byte has the checksum looked at
            return np.lib.format.read_array(file, allow_pickle=False)


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype
