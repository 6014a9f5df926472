"""MNIST and Fashion-MNIST: four IDX files each, read from a folder or downloaded once.

A download is checked by the SHA-256 of its *content* (the decompressed IDX bytes), so a file that
another mirror compressed anew still passes. MNIST: LeCun and Cortes, CC BY-SA 3.0. Fashion-MNIST:
Xiao, Rasul and Vollgraf (2017), MIT licence.
"""

import gzip
import hashlib
import io
import math
import os
import secrets
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tinyvae.checks import first_line
from tinyvae.core.errors import Argument, InputError, MissingFileError
from tinyvae.data.progress import bar

TIMEOUT = 30  # seconds without an answer
MOST = 2**26  # bytes: more than any of the files holds
PIECE = 2**16  # bytes of a download between two looks at the progress bar
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Source:
    """Where a data set comes from: mirrors' base address, sums of `FILES`, names of the labels."""

    url: str
    url_variable: str  # the environment variable that names another mirror
    sha256: tuple[str, str, str, str]
    label_names: tuple[str, ...]


SOURCES = {
    "mnist": Source(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "TINYVAE_MNIST_URL",
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        tuple("0123456789"),
    ),
    "fashion-mnist": Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "TINYVAE_FASHION_MNIST_URL",
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
    ),
}


def load(name: str, data_dir: str | os.PathLike | None = None) -> tuple[np.ndarray, ...]:
    """Return images (N, H, W) uint8 and labels (N,) int64: x_train, y_train, x_test, y_test.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist"}
    data_dir : folder of the IDX files, .gz or not (or of a folder `name` that holds them)
        Without it they are downloaded into $TINYVAE_DATA_DIR or the user's cache folder.

    Raises
    ------
    FileNotFoundError
        A file is missing, or cannot be fetched.
    ValueError
        A file is damaged, or is another than expected.
    """
    if data_dir is None:
        paths = [_fetch(name, index) for index in range(4)]
    else:
        paths = [_find(Path(data_dir), name, file) for file in FILES]
    x_train, y_train, x_test, y_test = (read_idx(path) for path in paths)
    for images, labels, path in ((x_train, y_train, paths[0]), (x_test, y_test, paths[2])):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{path} holds {images.shape} images and its neighbour {labels.shape} labels:"
                " expected (N, height, width) and (N,); fetch the files again"
            )
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(
            f"{paths[0]} holds images of {x_train.shape[1:]} pixels and {paths[2]}"
            f" of {x_test.shape[1:]}: they belong to different data sets"
        )
    for labels, path in ((y_train, paths[1]), (y_test, paths[3])):
        if labels.max() > 9:
            raise ValueError(f"{path} holds the label {labels.max()}: labels are 0 to 9")
    return x_train, y_train.astype(np.int64), x_test, y_test.astype(np.int64)


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Return the uint8 array in an IDX file, .gz or not. Raises ValueError if it is damaged.

    A .gz is first read to the end, or until it is longer than it announces, and nothing is kept.
    """
    path = Path(path)
    try:
        with _opened(path) as file:
            start = file.read(4)
            n_dims = start[3] if start[:3] == b"\0\0\x08" and len(start) == 4 else 0
            sizes = file.read(4 * n_dims)  # \x08: unsigned bytes
            if not 1 <= n_dims <= 3 or len(sizes) < 4 * n_dims:
                raise ValueError(f"{path} is not an IDX file of bytes (it begins {start!r})")
            shape = tuple(np.frombuffer(sizes, ">u4").tolist())
            announced = math.prod(shape)
            n_values = sum(map(len, _parts(file, announced)))
            if n_values != announced:
                more = "at least " if n_values > announced else ""
                found = f"{more}{n_values} bytes of values found"
                raise ValueError(f"{path} is damaged: {shape} announced, {found}")
            if n_values == 0:
                raise ValueError(f"{path} is empty: its shape is {shape}")
            file.seek(4 + 4 * n_dims)
            return np.frombuffer(file.read(announced), np.uint8).reshape(shape)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}): fetch it again") from None


def _parts(file: BinaryIO, most: int) -> Iterator[bytes]:
    """Yield what a file holds from here on, until that is more than `most` bytes."""
    while most >= 0 and (part := file.read(2**20)):
        most -= len(part)
        yield part


def _sha256(path: Path) -> str:
    """Return the sum of a file's content, .gz or not."""
    digest = hashlib.sha256()
    with _opened(path) as file:
        for part in _parts(file, MOST):
            digest.update(part)
    return digest.hexdigest()


def _opened(path: Path) -> Any:
    """Open a file, .gz or not, by its first bytes."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"  # gzip's magic number
    return gzip.open(path) if packed else open(path, "rb")


def _find(folder: Path, name: str, file: str) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(f"the data folder {folder} does not exist")
    for place in (folder / name / file, folder / file):
        for path in (place, place.with_name(file + ".gz")):
            if path.is_file():
                return path
    raise FileNotFoundError(
        f"{folder} has no {file} (nor {file}.gz): {name} needs {', '.join(FILES)}"
    )


def cache_folder(name: str) -> Path:
    """Return the folder where the downloaded files of a data set are kept."""
    if chosen := os.environ.get("TINYVAE_DATA_DIR"):
        return Path(chosen) / name
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
        return Path(local) / "tinyvae" / "Cache" / name
    usual = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "tinyvae" / name


def _fetch(name: str, index: int) -> Path:
    """Return the path of file `index` in the cache, downloaded if it is not there yet."""
    source, folder = SOURCES[name], cache_folder(name)
    path, sha256 = folder / FILES[index], source.sha256[index]
    archive = path.with_name(path.name + ".gz")  # put there by hand, as the message below says
    if path.is_file() and _sha256(path) == sha256:
        return path
    if archive.is_file() and not path.exists():
        if _sha256(archive) != sha256:
            raise ValueError(f"{archive} is not {name}'s: remove it, or fetch it again")
        return archive
    url = (os.environ.get(source.url_variable) or source.url).rstrip("/") + f"/{archive.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = gzip.GzipFile(fileobj=io.BytesIO(_download(url))).read(MOST)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("its content has another SHA-256 than expected")
        partial = path.with_name(f"{secrets.token_hex(4)}.partial")
        with open(partial, "xb") as file:
            file.write(content)
        os.replace(partial, path)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        wrong_content = isinstance(error, ValueError | EOFError | gzip.BadGzipFile | zlib.error)
        kind = InputError if wrong_content else MissingFileError
        files = ", ".join(f"{file}.gz" for file in FILES)
        remedy = f"fetch {files} elsewhere and put them into {folder}, or name their folder by "
        raise kind(
            f"cannot fetch {name} from {url} ({first_line(error)[:100]})",
            remedy=[remedy, Argument("data_dir")],
        ) from None
    return path


def _download(url: str) -> bytes:
    """Return what is at an address. Raises OSError in a few words."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=TIMEOUT) as response:
            size = int(response.headers.get("Content-Length") or 0)
            content = b""
            with bar(total=size, desc=url, unit="B", unit_scale=True) as shown:
                while len(content) < MOST and (piece := response.read(PIECE)):
                    content += piece
                    shown.update(len(piece))
        if len(content) < size:
            raise OSError(f"{len(content)} of {size} bytes came")
        return content
    except HTTPError as error:
        raise OSError(f"HTTP status {error.code}") from None
    except (OSError, HTTPException) as error:
        raise OSError(f"no connection: {first_line(error)}") from None
