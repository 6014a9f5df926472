"""Make the notebooks: `python tutorials/build.py` runs every source/NN_….py and stores NN_….ipynb.

A source is a Python file of cells, each of which opens with a line `# %%`, as editors and Jupytext
know them; `tutorials/README.md` says which words may follow. `build.py 03 07` makes some notebooks
alone; what is stored depends on the sources and on the package only: no clock, no path.

`build.py --kit DIR` writes for teachers, without running anything: DIR/student, without solutions
and outputs, DIR/solution, with the solutions in place, in the form in which nbgrader takes its
source, DIR/nbgrader_config.py, and DIR/slides.md, made of the stored figures.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parent
# Where a hosted notebook service finds the notebooks, "owner/name", and the release of the package
# that it installs. Both are empty until there is a published repository: a badge or an install cell
# under a name that anyone may register would run a stranger's code.
REPOSITORY = ""
RELEASE = ""
BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{}/blob/main/tutorials/{}.ipynb)"
)
SETUP = """\
# Installs the package where it is missing, as on a hosted notebook service.
from importlib.util import find_spec

if find_spec("tinyvae") is None:
    %pip install -q "tinyvae @ git+https://github.com/{}@{}"
"""
MARKER = re.compile(r"^# %%(.*)$")
ROLES = ("exercise", "check", "hint", "solution")
WORDS = {"[markdown]", *ROLES}
WORDS |= {"long", "machine", "drawing", "covered"}
# One thread: the same numbers each time, and no slower for models of this size. And no GPU, and no
# record of exercises.
THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
ENVIRONMENT = THREADS | {"CUDA_VISIBLE_DEVICES": "", "TINYVAE_PROGRESS": ""}
# Of a kit: nbgrader reads its source from the folder of the solutions, and leaves the stubs alone.
NBGRADER = """\
c = get_config()
c.CourseDirectory.course_id = "tinyvae"
c.CourseDirectory.source_directory = "solution"
c.ClearSolutions.code_stub = {"python": "# Your answer stands above this line."}
"""
MAX_BYTES = 700_000
# A page in a frame is stored as a still picture of it, one of images/, with its alternative text.
STILLS = {
    "playground.html#trains=reconstruction": (
        "playground.png",
        "The playground, training on the reconstruction alone: the codes leave the prior's circles",
    ),
    "playground.html#story=collapse": (
        "collapse.png",
        "The playground at beta = 20: all codes in one heap, and one picture wherever z is",
    ),
    "my-plane.html": (
        "explorer.png",
        "The explorer: the latent plane on the left, the picture under the pointer on the right",
    ),
}
# Of a stored picture: more are hardly to be told apart.
GREYS, COLORS, MAX_WIDTH, STILL_WIDTH = 44, 64, 960, 720


class Cell(NamedTuple):
    """A cell of a source: the words after its `# %%`, an exercise's number, and its lines."""

    words: tuple[str, ...]
    number: str
    text: str

    @property
    def is_markdown(self) -> bool:
        return "[markdown]" in self.words

    @property
    def role(self) -> str:
        """exercise, check, hint or solution, or "" for a cell that belongs to no exercise."""
        return next((w for w in self.words if w in ROLES), "")


def sources(names: list[str] | None = None) -> list[Path]:
    """Return the paths of the sources, those whose name begins with one of `names` if given."""
    paths = sorted((FOLDER / "source").glob("[0-9][0-9]_*.py"))
    return [path for path in paths if not names or path.name.startswith(tuple(names))]


def stored(source: Path) -> Path:
    """Return the path of a source's notebook."""
    return FOLDER / f"{source.stem}.ipynb"


def read_cells(path: Path) -> list[Cell]:
    """Return the cells of a source; what stands above the first marker is left out.

    Raises ValueError for a word after `# %%` that is not known.
    """
    cells, lines, header = [], [], None
    for line in [*path.read_text(encoding="utf-8").splitlines(), "# %%"]:
        marker = MARKER.match(line)
        if not marker:
            lines.append(line)
            continue
        if header is not None:
            *words, last = [*header.split(), ""] if not header[-1:].isdigit() else header.split()
            if unknown := set(words) - WORDS:
                raise ValueError(f"{path.name}: unknown word {min(unknown)!r} after # %%")
            if "[markdown]" in words:
                lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
            cells.append(Cell(tuple(words), last, "\n".join(lines).strip("\n")))
        header, lines = marker[1].strip(), []
    return cells


def to_notebook(path: Path) -> dict[str, Any]:
    """Return the notebook of a source, without outputs."""
    cells = read_cells(path)
    title, _, rest = cells[0].text.partition("\n")
    made = [_markdown(cells[0].text)]
    if REPOSITORY and RELEASE:
        badge = BADGE.format(REPOSITORY, path.stem)
        setup = _code(SETUP.format(REPOSITORY, RELEASE), ["setup"])
        made = [_markdown(f"{title}\n\n{badge}\n{rest}"), setup]
    for cell in cells[1:]:
        if cell.role == "hint":
            made.append(_hint(cell))
        elif cell.role == "solution":
            made.append(_folded("Solution", cell))
        elif cell.is_markdown:
            made.append(_markdown(cell.text))
        else:
            made.append(_code(cell.text, list(cell.words), cell.number))
    for i, cell in enumerate(made):
        cell["id"] = f"cell-{i:02}"
    return {
        "cells": made,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _markdown(text: str) -> dict[str, Any]:
    # Some viewers put no space between a block and the paragraph below: an empty line makes it.
    text = re.sub(r"(```text\n[^`]*\n)(?=```\n\n[^#\n])", "\\1\u00a0\n", text)
    return {"cell_type": "markdown", "metadata": {}, "source": text.strip("\n")}


def _code(text: str, tags: list[str], number: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if number:
        metadata["number"] = number
    if "drawing" in tags:
        metadata["jupyter"] = {"source_hidden": True}
    if "covered" in tags:
        metadata |= {"jupyter": {"outputs_hidden": True}, "collapsed": True}
    return {
        "cell_type": "code",
        "metadata": metadata,
        "source": text.strip("\n"),
        "execution_count": None,
        "outputs": [],
    }


def _hint(cell: Cell) -> dict[str, Any]:
    """Return a hint whose paragraphs open one after the other, each inside the one before."""
    folded = ""
    steps = re.split(r"\n\n", cell.text)
    for i, step in reversed([*enumerate(steps, 1)]):
        name = f"<b>Hint</b> {cell.number}" if i == 1 else f"Step {i} of {len(steps)}"
        inner = f"\n\n{folded}" if folded else ""
        folded = f"<details><summary>{name}</summary>\n\n{step}{inner}\n\n</details>"
    return _markdown(folded) | {"metadata": {"tags": [cell.role]}}


def _folded(title: str, cell: Cell) -> dict[str, Any]:
    """Return a cell that opens at a click, in Jupyter and on code-hosting sites alike."""
    text = cell.text if cell.is_markdown else f"```python\n{cell.text}\n```"
    summary = f"<summary><b>{title}</b> {cell.number}</summary>"
    return _markdown(f"<details>{summary}\n\n{text}\n\n</details>") | {
        "metadata": {"tags": [cell.role]}
    }


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with the outputs of a fresh kernel, cleaned of all that varies.

    The kernel runs in a temporary folder, which takes the files that cells write. Raises
    RuntimeError where a cell fails, prints a warning, shows a path of this machine, or a page
    without a still picture.
    """
    import nbformat
    from nbclient import NotebookClient

    node = nbformat.from_dict(json.loads(json.dumps(notebook)))
    quiet = ["--log-level=ERROR"]
    path = os.pathsep.join(filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        client = NotebookClient(
            node, timeout=300, kernel_name="python3", extra_arguments=quiet, resources=where
        )
        client.execute(env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path})
    notebook = json.loads(json.dumps(node))
    notebook["metadata"]["language_info"] = {"name": "python"}  # without this machine's version
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
        if cell["cell_type"] == "code":
            joined = _joined(cell["outputs"])
            cell["outputs"] = [_clean(part) for whole in joined for part in _stills(whole)]
    return notebook


def _joined(outputs: list[dict]) -> list[dict]:
    """Join what was printed in pieces, whose borders depend on the time."""
    joined: list[dict] = []
    for output in outputs:
        if joined and output["output_type"] == "stream" == joined[-1]["output_type"]:
            joined[-1]["text"] += output["text"]
        else:
            joined.append(output)
    return joined


def _stills(output: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an output as it is, or in place of a page in a frame its still picture and a link."""
    frame = re.search(r'<iframe[^>]*\bsrc="([^"]*)"', output.get("data", {}).get("text/html", ""))
    if frame is None:
        return [output]
    page = frame[1]
    if page not in STILLS:
        raise RuntimeError(f"a cell shows {page}, of which STILLS names no picture")
    name, alt = STILLS[page]
    picture = base64.b64encode((FOLDER / "images" / name).read_bytes()).decode()
    link = "A still picture of such a page. Run this cell, and yours is here."
    if page.startswith("playground.html"):  # which lies beside the notebooks
        link = f"A still picture. Run this cell, then [open the page]({page})."
    shown = {"image/png": picture}, {"text/markdown": link, "text/plain": link}
    about = {"image/png": {"alt": alt}}, {}
    return [
        {"output_type": "display_data", "data": data, "metadata": metadata}
        for data, metadata in zip(shown, about, strict=True)
    ]


def _clean(output: dict[str, Any]) -> dict[str, Any]:
    if output.get("name") == "stderr":
        raise RuntimeError(f"a cell prints to stderr: {output['text'].strip()[:200]}")
    data = output.get("data", {})
    text = output.get("text", "") + data.get("text/plain", "") + data.get("text/html", "")
    if re.search(r"(/(home|work|tmp|root|usr)/|0x[0-9a-f]{6,}|site-packages)", text):
        raise RuntimeError(f"a cell shows what only this machine has: {text.strip()[:200]}")
    if "image/png" in data:
        still = "text/plain" not in data
        data["image/png"] = _small_png(data["image/png"], STILL_WIDTH if still else MAX_WIDTH)
        data["text/plain"] = "a figure"
    return output


def _small_png(encoded: str, width: int) -> str:
    """Return a PNG with a palette of few colours, and no more than so many pixels wide."""
    import numpy as np
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    if image.width > width:
        size = (width, image.height * width // image.width)
        image = image.resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(image).astype("int32")  # (H, W, 3)
    palette = _palette(pixels)  # (n, 3)
    one_number = pixels @ [1 << 16, 1 << 8, 1]  # (H, W)
    _, first, place = np.unique(one_number, return_index=True, return_inverse=True)
    distances = (pixels.reshape(-1, 1, 3)[first] - palette) ** 2  # (colours, n, 3)
    entries = distances.sum(axis=2).argmin(axis=1)[place].astype("uint8")
    reduced = Image.fromarray(entries.reshape(pixels.shape[:2]))
    reduced.putpalette(palette.astype("uint8").tobytes())
    file = io.BytesIO()
    reduced.save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _palette(pixels: Any) -> Any:
    """Return greys in equal steps, and colours that a picture (H, W, 3) has, as rows of (n, 3).

    A palette found from all pixels at once spends too few of its entries on soft greys, and tints
    them, or forgets the rare colours of points and letters.
    """
    import numpy as np
    from PIL import Image

    greys = np.linspace(0, 255, GREYS).round().astype("int32")
    palette = np.stack([greys] * 3, axis=1)
    colored = pixels[np.ptp(pixels, axis=2) > 6]  # (m, 3)
    if len(colored):
        row = Image.fromarray(colored[None].astype("uint8"))
        colors = row.quantize(COLORS, Image.Quantize.MAXCOVERAGE).getpalette() or []
        palette = np.concatenate([palette, np.reshape(colors[: 3 * COLORS], (-1, 3))])
    return palette


def dump(notebook: dict[str, Any]) -> str:
    """Return a notebook as text, with sources as lists of lines, which diff well."""
    notebook = json.loads(json.dumps(notebook))
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
        for output in cell.get("outputs", []):
            if "text" in output:
                output["text"] = output["text"].splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def kit_notebook(path: Path, solved: bool) -> dict[str, Any]:
    """Return a notebook for a class: exercises as stubs, or with their solutions in place."""
    cells = read_cells(path)
    solutions = {cell.number: cell.text for cell in cells if cell.role == "solution"}
    notebook = to_notebook(path)
    kept, checks = [], ""
    for cell in notebook["cells"]:
        role = next((tag for tag in cell["metadata"].get("tags", []) if tag in ROLES), "")
        if role == "solution":
            continue
        if found := re.search(r"from tinyvae\.exercises import (\w+) as check", cell["source"]):
            checks = found[1]
        if role in ("exercise", "check"):
            kept.append(_graded(cell, role, path, solutions, solved, checks))
        else:
            kept.append(cell)
    return notebook | {"cells": kept}


def _graded(
    cell: dict, role: str, path: Path, solutions: dict[str, str], solved: bool, checks: str
) -> dict[str, Any]:
    """Return the cell of an exercise, or of its check, with nbgrader's metadata (schema 3)."""
    number = cell["metadata"]["number"]
    source = cell["source"]
    if role == "exercise" and solved:  # the stub stays, as it is all that nbgrader hands out
        source += f"\n\n\n### BEGIN SOLUTION\n{solutions[number]}\n### END SOLUTION"
    if role == "check" and solved:  # not handed out: a student's notebook goes on
        name = re.search(r"check\.(\w+)\(", source)
        if name is None:
            raise ValueError(f"{path.name}: the check of exercise {number} calls no check")
        source += "\n\n### BEGIN HIDDEN TESTS\nfrom tinyvae.exercises import judge\n\n"
        source += f'judge.require("{checks}.{name[1]}")\n### END HIDDEN TESTS'
    grading = {
        "grade_id": f"{role}-{number.replace('.', '-')}", "schema_version": 3, "task": False,
        "grade": role == "check", "solution": role == "exercise", "locked": role == "check",
    }  # fmt: skip
    if role == "check":
        grading["points"] = 1
    return cell | {"source": source, "metadata": cell["metadata"] | {"nbgrader": grading}}


def slides(path: Path) -> str:
    """Return slides in Markdown: a title, and each stored figure under the heading before it."""
    notebook = json.loads(stored(path).read_text(encoding="utf-8"))
    heading, pages, number = "", [], 0
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = ([line.strip("# ") for line in text.splitlines() if line.startswith("#")]
                       or [heading])[-1]  # fmt: skip
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                number += 1
                alt = output["metadata"].get("image/png", {}).get("alt", heading)
                pages.append(f"## {heading}\n\n![{alt}](figures/{path.stem[:2]}-{number}.png)")
    title = read_cells(path)[0].text.splitlines()[0]
    return "\n\n---\n\n".join([title, *pages])


def write_kit(folder: Path) -> None:
    """Write what a teacher needs to a folder; see the head of this file."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for path in sources():
        for place, solved in ((folder / "student", False), (folder / "solution" / path.stem, True)):
            place.mkdir(parents=True, exist_ok=True)
            text = dump(kit_notebook(path, solved))
            (place / f"{path.stem}.ipynb").write_text(text, encoding="utf-8")
        number = 0
        for cell in json.loads(stored(path).read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    number += 1
                    picture = base64.b64decode(output["data"]["image/png"])
                    (folder / "figures" / f"{path.stem[:2]}-{number}.png").write_bytes(picture)
    (folder / "nbgrader_config.py").write_text(NBGRADER, encoding="utf-8")
    pages = "\n\n---\n\n".join(slides(path) for path in sources())
    (folder / "slides.md").write_text(pages + "\n", encoding="utf-8")


def main(names: list[str]) -> int:
    """Run and store the notebooks whose names begin so, or all; return the exit status."""
    if names[:1] == ["--kit"] and len(names) == 2:
        write_kit(Path(names[1]))
        print(f"{names[1]}: student, solution, nbgrader_config.py, figures, slides.md")
        return 0
    paths = sources(names)
    if not paths:
        print(f"no source begins with {' or '.join(names)}", file=sys.stderr)
        return 2
    for path in paths:
        text = dump(run(to_notebook(path)))
        size = len(text.encode())
        if size > MAX_BYTES:
            raise RuntimeError(f"{path.stem}: {size:,} bytes, more than {MAX_BYTES:,}")
        stored(path).write_text(text, encoding="utf-8")
        print(f"{stored(path).name}: {size / 1000:.0f} kB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
