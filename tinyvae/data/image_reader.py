"""Folders of images as rows of bytes. Images are decoded when they are asked for, resized if so
wished, and those that fit into a cache of bounded size are kept."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae.checks import first_line
from tinyvae.core.errors import Argument, InputError

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
)
CACHE_BYTES = 2**28
MAX_PIXELS = 2**26  # of a file: what is decoded takes up to 20 bytes a pixel
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # not those that start programs
MAX_FEATURES = 2**18  # 512 × 512 grey: a dense layer on more would not fit into memory
GREY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
ORIENTATION = 0x0112  # the EXIF tag by which cameras say how they were held


def find(path: Path) -> list[Path]:
    """Return the images in a folder and below, by name; a single image is a list of one."""
    if path.is_file():
        return [path]
    if not os.access(path, os.R_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be read: permission denied")
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    hidden = [any(part.startswith(".") for part in p.relative_to(path).parts) for p in files]
    files = [p for p, is_hidden in zip(files, hidden, strict=True) if not is_hidden]
    if not files:
        raise ValueError(f"{path} has no images in it (.png, .jpg and the like)")
    return files


def subfolders(folder: Path, files: list[Path]) -> np.ndarray | None:
    """Return the label of each file (N,), its subfolder; None where a file lies in none."""
    parts = [file.relative_to(folder).parts for file in files]
    return np.array([p[0] for p in parts]) if all(len(p) > 1 for p in parts) else None


def parse_size(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return (height, width) for one number or a pair."""
    if image_size is None:
        return None
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or not all(isinstance(n, int) and n >= 1 for n in size):
        raise ValueError(f"image size {image_size!r}: expected one or two whole numbers above 0")
    return size


class ImageFiles:
    """Images as rows (N, D) of uint8, D = H · W or H · W · 3.

    Parameters
    ----------
    files : list of paths
    image_size : int, (H, W) or None
        Images are scaled to cover this size and cropped in the middle. None: all have one size.
    channels : {"auto", "grey", "colour"}
        "auto" is grey where every image is.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, files: list[Path], image_size: int | tuple[int, int] | None, channels: str
    ) -> None:
        if channels not in ("auto", "grey", "colour"):
            raise ValueError(f"channels {channels!r}: expected auto, grey or colour")
        size = parse_size(image_size)
        first_size, all_grey = None, True
        for file in files:
            with _opened(file) as image:
                all_grey = all_grey and image.mode in GREY_MODES
                file_size = size or _upright_size(image)
            first_size = first_size or file_size
            if file_size != first_size:
                raise InputError(
                    f"{file} has {file_size[0]} × {file_size[1]} pixels and {files[0]}"
                    f" {first_size[0]} × {first_size[1]}",
                    remedy=["resize them to one image size (", Argument("image_size", 64), ")"],
                )
        self.grey = channels == "grey" or (channels == "auto" and all_grey)
        self.size = first_size
        self.image_shape = self.size if self.grey else (*self.size, 3)
        self.files, self.shape = files, (len(files), int(np.prod(self.image_shape)))
        if self.shape[1] > MAX_FEATURES:
            raise InputError(
                f"images of {self.size[0]} × {self.size[1]} pixels are too large for dense layers",
                remedy=["give a smaller image size (", Argument("image_size", 64), ")"],
            )
        n_cached = min(len(files), CACHE_BYTES // self.shape[1])
        self._cache = np.empty((n_cached, self.shape[1]), np.uint8)
        self._is_cached = np.zeros(n_cached, bool)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        rows = np.empty((len(index), self.shape[1]), np.uint8)  # (B, D)
        for row, i in zip(rows, index.tolist(), strict=True):
            if i < len(self._cache) and self._is_cached[i]:
                row[:] = self._cache[i]
                continue
            row[:] = decode(self.files[i], self.size, self.grey).ravel()
            if i < len(self._cache):
                self._cache[i], self._is_cached[i] = row, True
        return rows


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open an image with Pillow; its many errors on damaged files become one line."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image = Image.open(file, formats=FORMATS)
        with image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.height} × {image.width}"
                raise ValueError(f"its {size} pixels are more than {MAX_PIXELS}")
            yield image
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "it is no image, or damaged" if unknown else first_line(error)
        raise ValueError(
            f"{file} cannot be read as an image ({reason}): repair or remove it"
        ) from None


def _upright_size(image: Any) -> tuple[int, int]:
    """Return (height, width) of an image held upright, without decoding it."""
    width, height = image.size
    return (width, height) if image.getexif().get(ORIENTATION, 1) >= 5 else (height, width)


def decode(file: Path, size: tuple[int, int], grey: bool) -> np.ndarray:
    """Return an image as uint8 (H, W) or (H, W, 3), upright, on white where it is transparent."""
    from PIL import Image, ImageOps

    with _opened(file) as image:
        if image.format == "JPEG":
            image.draft(None, (2 * max(size), 2 * max(size)))  # decodes large photographs faster
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        elif image.mode in ("I", "F"):
            raise ValueError(f"mode {image.mode}, 32 bits a pixel: save it with 8")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if grey else "RGB")
        if image.size != (size[1], size[0]):
            image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.LANCZOS)
        return np.asarray(image)
