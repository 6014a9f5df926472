"""Small files that would fill the memory, damaged ones, and odd ones: the data that are asked for
load, and everything else is refused in one line."""

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tinyvae import load_dataset
from tinyvae.data import mnist
from tinyvae.data.readers import load_arrays, read_table

MANY = 2**26  # bytes that no test may hold
X = np.random.default_rng(0).random((40, 4), dtype="float32")


@pytest.fixture(autouse=True)
def bounded(tmp_path, monkeypatch):
    """Work in an empty folder, and hold far less than what the bombs would unfold to."""
    monkeypatch.chdir(tmp_path)
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MANY // 2


def zeros(file, size):
    """Write so many zeros, a piece at a time."""
    for _ in range(size // 2**20):
        file.write(bytes(2**20))


def header(shape, dtype="<f4"):
    """Return the first bytes of an .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"shape": shape, "fortran_order": False, "descr": dtype}
    )
    return file.getvalue()


def add_zeros(path, name, start=b""):
    """Put a member that unfolds to `MANY` zeros into a zip."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(name, "w") as member:
            member.write(start)
            zeros(member, MANY)


def test_only_the_arrays_that_are_needed_are_unpacked():
    np.savez("x.npz", x=X)
    add_zeros("x.npz", "other.npy", header((MANY // 4,)))
    add_zeros("x.npz", "more")
    np.testing.assert_array_equal(read_table("x.npz").raw, X)


@pytest.mark.parametrize("shape", [(40, 4), (2**40, 2**20), (-1, 4)])
def test_an_array_that_is_not_as_long_as_it_says_is_refused_before_it_is_unpacked(shape):
    add_zeros("x.npz", "x.npy", header(shape))
    refused("x.npz")


def refused(path, **options):
    """Return the one line that refuses a file and names it."""
    with pytest.raises(ValueError) as error:
        table = read_table(path, **options)
        table.raw[np.arange(table.raw.shape[0])]
    line = str(error.value)
    assert os.path.basename(path) in line and "\n" not in line
    return line


@pytest.mark.parametrize(
    "spoil",
    [
        lambda z: z.writestr("x", "hello"),
        lambda z: z.writestr("x.npy", "hello"),
        lambda z: z.writestr("x.npy", header((2, 2), "|O") + bytes(32)),
        lambda z: z.writestr("x.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((  \n"),
        lambda z: z.writestr("x.npy", b"\x93NUMPY\x09\x00\x10\x00{'descr': '<f4' \n"),
        lambda z: z.writestr("x.npy", header((3, 4)) + bytes(47)),
        lambda z: z.writestr("x.npy", header((3, 4)) + bytes(49)),
    ],
)
def test_a_member_that_is_no_array_is_one_line(spoil):
    with zipfile.ZipFile("x.npz", "w") as archive:
        spoil(archive)
    refused("x.npz")


@pytest.mark.parametrize(("place", "value"), [(6, 99), (10, 97), (8, 1), (30, 200)])
def test_an_unknown_way_to_pack_is_one_line(place, value):
    """The version, the method, the flag of encryption, and the name, in the central directory."""
    np.savez("x.npz", x=X)
    content = bytearray(Path("x.npz").read_bytes())
    content[content.index(b"PK\x01\x02") + place] = value
    Path("x.npz").write_bytes(content)
    try:
        np.testing.assert_array_equal(read_table("x.npz").raw, X)
    except ValueError as error:
        assert "\n" not in str(error) and "x.npz" in str(error)


@pytest.mark.parametrize("text", ["{'descr': ", "{'descr': '<f4', 'fortran_order': ", "((((", "\0"])
def test_a_damaged_header_of_npy_is_one_line(text):
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118)
    Path("x.npy").write_bytes(start + text.encode().ljust(118) + bytes(64))
    assert "cut off or damaged" in refused("x.npy")


def idx(shape, content, path="x.gz", packed=True):
    """Write an IDX file that announces a shape."""
    opened = gzip.open(path, "wb") if packed else open(path, "wb")
    with opened as file:
        file.write(b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
        content(file)


@pytest.mark.parametrize("shape", [(10, 5, 5), (2**32 - 1,) * 3])
def test_an_idx_file_is_refused_without_being_kept(shape):
    idx(shape, lambda file: zeros(file, MANY))
    with pytest.raises(ValueError, match=r"x\.gz is damaged: .* announced, "):
        mnist.read_idx("x.gz")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("size", range(0, 20))
def test_an_idx_file_cut_anywhere_is_one_line(size, packed):
    idx((2, 3, 2), lambda file: file.write(bytes(12)), packed=packed)
    content = Path("x.gz").read_bytes()
    Path("x.gz").write_bytes(content[:size])
    with pytest.raises(ValueError) as error:
        mnist.read_idx("x.gz")
    assert "\n" not in str(error.value) and "x.gz" in str(error.value)


def png(width, height, rows=8):
    """Return a grey PNG that announces a size and holds so many rows of it, all zeros."""

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    start = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    )
    return start + chunk(b"IDAT", zlib.compress(bytes(rows * (width + 1)))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(13_000, 13_000), (2**20, 65), (2**31 - 1, 2**31 - 1)])
def test_a_picture_of_too_many_pixels_is_one_line(size, recwarn):
    Path("x.png").write_bytes(png(*size, rows=0))
    assert refused("x.png", image_size=8)
    assert not recwarn.list


def test_a_file_of_another_kind_named_png_starts_no_program(monkeypatch):
    from PIL import EpsImagePlugin

    def ghostscript(*arguments, **named):
        raise AssertionError("Ghostscript was asked for")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ghostscript)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    Path("x.png").write_bytes(eps)
    assert "it is no image" in refused("x.png")


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_that_is_not_utf_8_is_one_line():
    for name in (b"a", b"\xff"):
        os.makedirs(os.path.join(b"images", name))
        Image.fromarray(np.zeros((8, 8), "uint8")).save(
            os.path.join("images", os.fsdecode(name), "1.png")
        )
    with pytest.raises(ValueError, match=r"'\\udcff' is no name in UTF-8: rename it"):
        load_dataset("images")
    os.rename("images", b"\xfe")
    with pytest.raises(ValueError, match="is no name in UTF-8: rename it"):
        load_dataset(os.fsdecode(b"\xfe"))


def test_values_that_no_float32_holds_are_one_line(recwarn):
    np.save("x.npy", np.full((9, 3), 1e300))
    with pytest.raises(ValueError) as error:
        dataset = load_dataset("x.npy", scale="none")
        from tinyvae import VAE, fit

        fit(VAE(3, 2, backend="numpy"), dataset.x_train, 1, progress=False)
    assert "\n" not in str(error.value)
    assert not recwarn.list


SUFFIXES = {
    ".npy": lambda: _saved(np.save, X),
    ".npz": lambda: _saved(np.savez_compressed, x=X, y=np.arange(40)),
    ".csv": lambda: ("a;b\n" + "\n".join(f"{a};{b}" for a, b in X[:9, :2])).encode(),
    ".png": lambda: png(8, 8),
    ".gz": lambda: gzip.compress(b"\0\0\x08\x02" + struct.pack(">II", 3, 4) + bytes(12)),
}


def _saved(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def read(path):
    """Read a file as its suffix says."""
    if path.endswith(".gz"):
        return mnist.read_idx(path)
    dataset = load_dataset(path, image_size=8 if path.endswith(".png") else None)
    if path[-4:] in (".npy", ".npz"):
        load_arrays(Path(path), ("x", "y"))
    return dataset.x_train[:]


def survives(path, content):
    """Read a file's content: it loads, or it is refused in one line."""
    with open(path, "wb") as file:
        file.write(content)
    try:
        read(path)
    except ValueError as error:
        assert "\n" not in str(error) and str(error)


def spoiled(content, edits):
    """Return content after edits (how, place, byte): changed, cut, or with bytes put in or out."""
    content = bytearray(content)
    for how, place, byte in edits:
        i = int(place * len(content))
        if how == 0 and content:
            content[min(i, len(content) - 1)] = byte
        elif how == 1:
            del content[i:]
        elif how == 2:
            content[i:i] = bytes([byte]) * (1 + byte % 9)
        elif how == 3:
            del content[i : i + 1 + byte % 9]
    return bytes(content)


SLOW = [HealthCheck.too_slow]  # as a busy machine is
places = st.floats(0, 1, exclude_max=True)
EDITS = st.lists(st.tuples(st.integers(0, 3), places, st.integers(0, 255)), min_size=1, max_size=4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=SLOW)
@given(edits=EDITS)
def test_a_spoiled_file_loads_or_is_one_line(suffix, edits):
    survives(f"spoiled{suffix}", spoiled(SUFFIXES[suffix](), edits))


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=20, deadline=None, database=None, suppress_health_check=SLOW)
@given(content=st.binary(max_size=200))
def test_any_bytes_load_or_are_one_line(suffix, content):
    survives(f"bytes{suffix}", content)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_four_thousand_spoiled_files_load_or_are_one_line(suffix):
    """20,000 files in all: 4,000 of each of five kinds."""
    rng, whole = np.random.default_rng(22), SUFFIXES[suffix]()
    for _ in range(4000):
        n = rng.integers(1, 5)
        edits = zip(rng.integers(0, 4, n), rng.random(n), rng.integers(0, 256, n), strict=True)
        survives(f"spoiled{suffix}", spoiled(whole, [(int(h), p, int(b)) for h, p, b in edits]))
