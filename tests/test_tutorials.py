"""The notebooks run untouched, are stored as they run, and their checks tell right from wrong.

Answers that a check must refuse, with the words it must say, stand in answers/NN.py beside this
file: `# %% wrong 1.2: the words`, `# %% right 1.2` for one that it must accept, `# %% open 1.2:
the words` for an unfinished one. The exercise tests run a notebook's cells in this process, but for
those marked `long`; the tests marked `notebooks` run all cells in a kernel, as a reader does.

The notebooks use functions of NumPy on what their models return, also where "auto" would take a
GPU: no model in them may leave its backend to that.
"""

import ast
import contextlib
import importlib.util
import io
import json
import linecache
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tinyvae import assembly
from tinyvae.device import get_backend

FOLDER = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("build", FOLDER.parent / "tutorials" / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

SOURCES = build.sources()
each_notebook = pytest.mark.parametrize("source", SOURCES, ids=[path.stem for path in SOURCES])


@dataclass
class Verdict:
    """What a check printed about an answer, and what it had to."""

    number: str
    kind: str  # untouched, solution, wrong, right or open
    words: str
    said: str
    answer: str


@dataclass
class Pass:
    """One pass through a notebook: its exercises and all that their checks said."""

    exercises: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.kind in kinds]


def answers(source: Path) -> list[tuple[str, str, str, str]]:
    """Return kind, number, words and code of the answers to a notebook's exercises."""
    path = FOLDER / "answers" / f"{source.name[:2]}.py"
    marker = re.compile(r"^# %% (wrong|right|open) ([\d.]+)(?:: (.*))?$", flags=re.M)
    _, *pieces = marker.split(path.read_text(encoding="utf-8"))
    pieces = [piece or "" for piece in pieces]
    return list(zip(pieces[::4], pieces[1::4], pieces[2::4], pieces[3::4], strict=True))


@cache
def passed(source: Path) -> Pass:
    """Run a notebook's cells, and at each exercise its stub, all answers, and its solution."""
    cells, namespace, result = build.read_cells(source), {"__name__": "__main__"}, Pass()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "get_backend", _named_backend)
        for cell in cells:
            if cell.role == "exercise":
                result.exercises.append(cell.number)
                _try_answers(source, cells, cell, namespace, result)
            elif not cell.is_markdown and not cell.role and "long" not in cell.words:
                _run(cell.text, namespace, cell)
    return result


def _named_backend(backend):
    assert backend != "auto", "this model would be on a GPU where there is one: name its backend"
    return get_backend(backend)


def _run(code: str, namespace: dict, cell) -> str:
    """Run code as a cell of a notebook; return what it printed."""
    printed, name = io.StringIO(), f"<{' '.join(cell.words)} {cell.number}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)  # as IPython
    with contextlib.redirect_stdout(printed):
        exec(compile(code, name, "exec"), namespace)
    return printed.getvalue()


def _try_answers(source: Path, cells: list, exercise, namespace: dict, result: Pass) -> None:
    def of(role: str):
        return next(c for c in cells if c.role == role and c.number == exercise.number)

    tries = [("untouched", "not yet", exercise.text)]
    for kind, number, words, code in answers(source):
        if number == exercise.number:
            tries.append((kind, words, code))
    tries.append(("solution", "", of("solution").text))
    for kind, words, code in tries:
        _run(code, namespace, exercise)
        said = _run(of("check").text, namespace, of("check"))
        result.verdicts.append(Verdict(exercise.number, kind, words, said, code))


@each_notebook
def test_stored_notebook_has_the_cells_of_its_source(source):
    expected = build.to_notebook(source)
    notebook = json.loads(build.stored(source).read_text(encoding="utf-8"))

    def cells(of: dict) -> list:
        return [(c["cell_type"], "".join(c["source"]), c["metadata"]) for c in of["cells"]]

    stale = f"{build.stored(source).name} is stale: run python tutorials/build.py {source.name[:2]}"
    assert cells(notebook) == cells(expected), stale
    assert all(c["outputs"] or c["execution_count"] for c in notebook["cells"] if "outputs" in c)


@each_notebook
def test_stored_notebook_is_small_and_names_no_machine(source):
    text = build.stored(source).read_text(encoding="utf-8")
    assert len(text.encode()) <= build.MAX_BYTES
    text = re.sub(r'"image/png": "[^"]*"', "", text)  # whose letters may be any, by chance
    assert not re.search(r"/(home|work|tmp|root)/|Warning|Traceback|metadata.*execution", text)


@each_notebook
def test_every_exercise_has_a_stub_a_check_a_hint_and_a_solution(source):
    cells = build.read_cells(source)
    roles = {}
    for cell in cells:
        if cell.role:
            roles.setdefault(cell.number, []).append(cell.role)
    assert len(roles) >= 2
    assert all(r == ["exercise", "check", "hint", "solution"] for r in roles.values()), roles


@each_notebook
def test_untouched_exercises_print_a_friendly_line(source):
    for verdict in passed(source).of("untouched"):
        assert verdict.said.startswith("not yet: "), verdict


@each_notebook
def test_every_solution_passes_its_check(source):
    for verdict in passed(source).of("solution"):
        assert verdict.said.startswith("✓ "), verdict


@each_notebook
def test_other_right_answers_pass(source):
    for verdict in passed(source).of("right"):
        assert verdict.said.startswith("✓ "), verdict


@each_notebook
def test_wrong_answers_are_refused_in_the_right_words(source):
    verdicts = passed(source).of("wrong", "open")
    assert {v.number for v in verdicts} == set(passed(source).exercises)
    for verdict in verdicts:
        assert verdict.said.startswith("not yet: " if verdict.kind == "open" else "✗ "), verdict
        assert verdict.words in verdict.said, verdict


@each_notebook
def test_readme_lists_the_notebook_with_its_time_and_its_badge(source):
    readme = (build.FOLDER / "README.md").read_text(encoding="utf-8")
    opening = build.read_cells(source)[0].text
    title, minutes = re.search(r"# (.*?)\n.*?(\d+) minutes", opening, flags=re.S).groups()
    (row,) = (line for line in readme.splitlines() if f"]({source.stem}.ipynb)" in line)
    assert title in row
    assert f"| {minutes} |" in row
    assert build.BADGE.format(build.REPOSITORY, source.stem) in row


def _models_without_backend(code: str) -> list[str]:
    """Return the calls that make models where "auto" decides whose arrays they give."""
    calls = [ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    makers = re.compile(r"(\w+\.)?(_Watched)?(VAE|Autoencoder|IWAE|load|train_three)\(")
    made = [call for call in calls if makers.match(call)]
    return [call for call in made if "backend=" not in call and "**options" not in call]


@each_notebook
def test_models_of_a_notebook_name_their_backend_also_in_long_cells(source):
    cells = [cell.text for cell in build.read_cells(source) if not cell.is_markdown]
    code = "\n".join(cells)
    assert _models_without_backend(code) == []
    assert ("**options" in code) <= ('"backend"' in code)


def test_models_of_the_checks_name_their_backend():
    for path in (FOLDER.parent / "tinyvae" / "exercises").glob("*.py"):
        assert _models_without_backend(path.read_text(encoding="utf-8")) == [], path.name


@pytest.fixture(scope="session")
def runs(request) -> dict:
    """The selected notebooks with the outputs of fresh kernels, each in one thread, two at once."""
    pytest.importorskip("nbclient", reason="nbclient runs notebooks: pip install 'tinyvae[test]'")
    selected = [i for i in request.session.items if i.get_closest_marker("notebooks")]
    sources = [item.callspec.params["source"] for item in selected]
    with ThreadPoolExecutor(2) as pool:
        return {s: pool.submit(build.run, build.to_notebook(s)) for s in sources}


@pytest.mark.notebooks
@each_notebook
def test_notebook_runs_untouched_and_prints_what_is_stored(source, runs):
    fresh = runs[source].result()
    notebook = json.loads(build.stored(source).read_text(encoding="utf-8"))
    for new, old in zip(fresh["cells"], notebook["cells"], strict=True):
        if "machine" not in new["metadata"].get("tags", []):
            assert _without_numbers(new) == _without_numbers(old), "".join(new["source"])


def _without_numbers(cell: dict) -> list[str]:
    """Return a cell's outputs as text, less what rounding on another machine may change."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        text = "".join([*output.get("text", ""), *data.get("text/plain", "")])
        texts.append(re.sub(r"[\s\d.e+−-]+", " ", text))
    return texts
