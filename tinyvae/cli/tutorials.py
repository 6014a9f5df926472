"""`tinyvae tutorials [DIR]`: copy the notebooks to a folder, and write the playground they link."""

import argparse
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from tinyvae.cli import terminal

DEFAULT = "tinyvae-tutorials"
PACKAGE = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = terminal.Parser("tutorials", "Copy the notebooks of the tutorials to a new folder.")
    where = f"where to (default: {DEFAULT}); it must be new or empty"
    folder = {"nargs": "?", "type": terminal.path, "default": Path(DEFAULT)}
    p.add_argument("folder", metavar="DIR", help=where, **folder)
    p.add("--open", None, text="open it in JupyterLab at once")
    return terminal.run(p, _tutorials, argv)


def notebooks_folder() -> Path:
    """Return the folder of the notebooks: in an installed package, or beside it in a clone.

    Raises FileNotFoundError where there are none.
    """
    for folder in (PACKAGE / "tutorials", PACKAGE.parent / "tutorials"):
        if any(folder.glob("*.ipynb")):
            return folder
    raise FileNotFoundError("this installation came without the notebooks; install it again")


def _tutorials(options: argparse.Namespace) -> int:
    folder = options.folder
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: your answers may be in it; name a new folder")
    if options.open and importlib.util.find_spec("jupyterlab") is None:
        raise ValueError("--open needs JupyterLab: python -m pip install jupyterlab")
    from tinyvae import load_dataset, playground
    from tinyvae.cli.playground import DEFAULT as DATASETS

    source = notebooks_folder()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    copied = [*sorted(source.glob("*.ipynb")), *sorted(source.glob("*.md"))]
    for file in [*copied, *sorted((source / "images").glob("*.png"))]:
        shutil.copyfile(file, folder / file.relative_to(source))
    page = playground.build([load_dataset(name) for name in DATASETS])
    playground.write(folder / "playground.html", page)
    notebooks = [file.name for file in copied if file.suffix == ".ipynb"]
    print(f"copied {len(notebooks)} notebooks to {folder}; begin with {notebooks[0]}")
    print(f"wrote {folder / 'playground.html'}: open it in a browser, and see a VAE train")
    if options.open:
        return subprocess.call([sys.executable, "-m", "jupyterlab", str(folder)])
    print(f"open them with: python -m jupyterlab {folder}")
    return 0
