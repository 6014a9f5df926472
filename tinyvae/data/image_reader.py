"""Folders of images as rows of 8 or 16 bits a pixel. Images are decoded when they are asked for,
resized if so wished, and those that fit into a cache of bounded size are kept."""

import copy
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
SPLITS = {  # names of subfolders that are a split, not labels; the earliest of a part is taken
    "train": ("train", "training"),
    "test": ("val", "valid", "validation", "test", "testing"),
}
PAGED = ("TIFF", "GIF", "WEBP", "PNG")  # formats whose pages are examples of their own
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


def split(path: Path) -> tuple[list[Path], list[Path], str]:
    """Return the images to train on, those to test on, and a remark.

    Where all lie in subfolders called train and val (or test), those are the split.
    """
    files = find(path)
    tops = {p.relative_to(path).parts[0] for p in files} if path.is_dir() else set()
    named = {part: [n for n in names if n in tops] for part, names in SPLITS.items()}
    if not (named["train"] and named["test"]) or tops - {n for ns in named.values() for n in ns}:
        return files, [], ""
    train, test = (
        [p for p in files if p.relative_to(path).parts[0] == names[0]] for names in named.values()
    )
    rest = [name for names in named.values() for name in names[1:]]
    remark = f"{', '.join(rest)} left out (evaluate it as other data)" if rest else ""
    return train, test, remark


def subfolders(folder: Path, files: list[Path], skip: bool) -> tuple[np.ndarray | None, str]:
    """Return the label of each file (N,), its subfolder (below that of the split, to `skip`), and
    a remark; None where a file lies in none."""
    parts = [file.relative_to(folder).parts[skip:] for file in files]
    if parts and all(len(p) > 1 for p in parts):
        return np.array([p[0] for p in parts]), ""
    loose = [p[-1] for p in parts if len(p) == 1]
    remark = f"no labels, as {loose[0]} lies in no subfolder" if 0 < len(loose) < len(parts) else ""
    return None, remark


def parse_size(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return (height, width) for one number or a pair."""
    if image_size is None:
        return None
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or not all(isinstance(n, int) and n >= 1 for n in size):
        raise ValueError(f"image size {image_size!r}: expected one or two whole numbers above 0")
    return size


class ImageFiles:
    """Images as rows (N, D) of uint8, or of uint16 where they have 16 bits a pixel; D = H · W or
    H · W · 3. Each page of a file is a row.

    Parameters
    ----------
    files : list of paths
    image_size : int, (H, W) or None
        Images are scaled to cover this size and cropped in the middle. None: all have one size.
    channels : {"auto", "grey", "colour"}
        "auto" is grey where every image is.
    skip_damaged : bool or None
        Leave out, and count in `remark`, what cannot be read as an image; None where that is no
        choice.
    """

    def __init__(
        self, files: list[Path], image_size: int | tuple[int, int] | None, channels: str,
        skip_damaged: bool | None = None,
    ) -> None:  # fmt: skip
        if channels not in ("auto", "grey", "colour"):
            raise ValueError(f"channels {channels!r}: expected auto, grey or colour")
        size, self.skip = parse_size(image_size), skip_damaged
        found: dict[Path, tuple] = {}  # file: size, pages, whether it is grey, has 16 bits
        damaged: dict[Path, ValueError] = {}
        for file in files:
            try:
                with _opened(file) as image:
                    pages = getattr(image, "n_frames", 1) if image.format in PAGED else 1
                    modes = image.mode in GREY_MODES, image.mode.startswith("I;16")
                    found[file] = (size or _upright_size(image), pages, *modes)
            except ValueError as error:
                damaged[file] = error
        if not found:
            raise _cannot_read(damaged, len(files), skip_damaged)
        (first, (self.size, _, _, deep)), self.resized = next(iter(found.items())), size is not None
        for file, (file_size, _, _, file_deep) in found.items():
            if file_size != self.size:
                raise InputError(
                    f"{file} has {file_size[0]} × {file_size[1]} pixels and {first}"
                    f" {self.size[0]} × {self.size[1]}",
                    remedy=["resize them to one image size (", Argument("image_size", 64), ")"],
                )
            if file_deep != deep:
                one, other = (16, 8) if file_deep else (8, 16)
                problem = f"{file} has {one} bits a pixel and {first} {other}"
                raise InputError(problem, remedy="save all of them with as many")
        self.drawn_grey = all(values[2] for values in found.values())
        self.grey = channels == "grey" or (channels == "auto" and self.drawn_grey)
        if deep and not self.grey:
            problem = f": {first} has 16 bits a pixel, of grey"
            raise InputError(Argument("channels", channels), problem, remedy="leave it out")
        self.dtype = np.dtype(np.uint16 if deep else np.uint8)
        self.image_shape = self.size if self.grey else (*self.size, 3)
        n_features = int(np.prod(self.image_shape))
        if n_features > MAX_FEATURES:
            raise InputError(
                f"images of {self.size[0]} × {self.size[1]} pixels are too large for dense layers",
                remedy=["give a smaller image size (", Argument("image_size", 64), ")"],
            )
        self._take([(file, page) for file, v in found.items() for page in range(v[1])], n_features)
        if damaged or skip_damaged:
            damaged |= self._damaged()
        if damaged and not (skip_damaged and len(damaged) < len(files)):
            raise _cannot_read(damaged, len(files), skip_damaged)
        self.remark = f"{len(damaged):,} damaged left out" if damaged else ""
        if damaged:
            self._take([row for row in self.rows if row[0] not in damaged], n_features)

    def _take(self, rows: list[tuple[Path, int]], n_features: int) -> None:
        """Hold these rows, files and pages, none of which is decoded yet."""
        self.rows, self.shape = rows, (len(rows), n_features)
        n_cached = min(len(rows), CACHE_BYTES // (n_features * self.dtype.itemsize))
        self._cache = np.empty((n_cached, n_features), self.dtype)
        self._is_cached = np.zeros(n_cached, bool)

    @property
    def of_rows(self) -> list[Path]:
        """The file of each row."""
        return [file for file, _ in self.rows]

    def only(self, files: list[Path]) -> "ImageFiles":
        """Return the rows of these files."""
        part, chosen = copy.copy(self), set(files)
        part._take([row for row in self.rows if row[0] in chosen], self.shape[1])
        return part

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        rows = np.empty((len(index), self.shape[1]), self.dtype)  # (B, D)
        for row, i in zip(rows, index.tolist(), strict=True):
            if i < len(self._cache) and self._is_cached[i]:
                row[:] = self._cache[i]
                continue
            try:
                row[:] = self._decode(i)
            except ValueError as error:
                raise _cannot_read(self._damaged(), len(self.rows), self.skip) from error
            if i < len(self._cache):
                self._cache[i], self._is_cached[i] = row, True
        return rows

    def _decode(self, i: int) -> np.ndarray:
        return decode(*self.rows[i], self.size, self.grey, self.resized).ravel()

    def _damaged(self) -> dict[Path, ValueError]:
        """Return the files that cannot be decoded, and why."""
        damaged: dict[Path, ValueError] = {}
        for i, (file, _) in enumerate(self.rows):
            try:
                self._decode(i)
            except ValueError as error:
                damaged.setdefault(file, error)
        return damaged


def _cannot_read(damaged: dict[Path, ValueError], n: int, skip: bool | None) -> InputError:
    """Return the error that names all damaged files."""
    (first, why), *more = damaged.items()
    problem, them = f"{first} cannot be read as an image ({why})", "it"
    if more:
        others = ", ".join(str(file) for file, _ in more)
        problem, them = f"{len(damaged):,} of {n:,}: {problem}, nor can {others}", "them"
    remedy = [f"repair or remove {them}"]
    if skip is not None:
        remedy += [f", or leave {them} out with ", Argument("skip_damaged", True)]
    return InputError(problem, remedy=remedy)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open an image with Pillow; its many errors on damaged files become one ValueError."""
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
        raise ValueError(reason) from None


def _upright_size(image: Any) -> tuple[int, int]:
    """Return (height, width) of an image held upright, without decoding it."""
    width, height = image.size
    return (width, height) if image.getexif().get(ORIENTATION, 1) >= 5 else (height, width)


def decode(file: Path, page: int, size: tuple[int, int], grey: bool, resized: bool) -> np.ndarray:
    """Return an image as (H, W) or (H, W, 3), upright, on white where it is transparent: uint8, or
    uint16 (H, W) where it has 16 bits a pixel. Raises ValueError for what cannot be one."""
    from PIL import Image, ImageOps

    with _opened(file) as image:
        image.seek(page)
        upright = _upright_size(image)
        if not resized and upright != size:
            raise ValueError(f"page {page + 1} has {upright[0]} × {upright[1]} pixels")
        if image.format == "JPEG":
            image.draft(None, (2 * max(size), 2 * max(size)))  # decodes large photographs faster
        deep = image.mode.startswith("I;16")
        if image.mode in ("I", "F") or (not deep and ";16" in str(image.tile)):
            raise ValueError("more than 8 bits a channel: save it with 8, or grey with 16")
        image = ImageOps.exif_transpose(image)
        if deep:
            image = image.convert("I").convert("F")
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image if deep else image.convert("L" if grey else "RGB")
        if image.size != (size[1], size[0]):
            image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.LANCZOS)
        if deep:
            return np.clip(np.rint(np.asarray(image)), 0, 65535).astype(np.uint16)
        return np.asarray(image)
