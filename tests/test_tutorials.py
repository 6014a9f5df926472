"""The notebooks run untouched, are stored as they run, and their checks tell right from wrong.

Answers that a check must refuse, with the words it must say, stand in answers/NN.py beside this
file: `# %% wrong 1.2: the words`, `# %% right 1.2` for one that it must accept, `# %% open 1.2:
the words` for an unfinished one. The exercise tests run a notebook's cells in this process, but for
those marked `long`; the tests marked `notebooks` run all cells in a kernel, as a reader does.

The notebooks use functions of NumPy on what their models return, also where "auto" would take a
GPU: no model in them may leave its backend to that.
"""

import ast
import base64
import contextlib
import importlib.resources
import importlib.util
import io
import itertools
import json
import linecache
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tinyvae import models
from tinyvae.cli import exercises, tutorials
from tinyvae.device import get_backend
from tinyvae.exercises import byhand, judge, lab, latent_space, pictures, progress

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
        patch.setattr(models, "get_backend", _named_backend)
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
    badge = build.BADGE.format(build.REPOSITORY, source.stem)
    assert (badge in row) == bool(build.REPOSITORY)


def test_readme_adds_up_the_minutes_of_each_part():
    readme = (build.FOLDER / "README.md").read_text(encoding="utf-8")
    for part in ("The main path", "Deeper"):
        text = readme[readme.index(f"**{part}**") :]
        hours, minutes = map(int, re.search(r"(\d+) hours and (\d+) minutes", text).groups())
        rows = text.partition("|---|")[2].partition("\n\n")[0]
        assert 60 * hours + minutes == sum(map(int, re.findall(r"\? \| (\d+) \|", rows)))


@each_notebook
def test_without_a_published_repository_nothing_is_installed_under_a_free_name(source):
    assert not (build.REPOSITORY or build.RELEASE)
    text = build.dump(build.to_notebook(source))
    assert "pip install" not in text and "colab" not in text


@each_notebook
def test_with_one_the_badge_and_the_install_cell_name_it(source, monkeypatch):
    monkeypatch.setattr(build, "REPOSITORY", "some/where")
    monkeypatch.setattr(build, "RELEASE", "v9")
    text = build.dump(build.to_notebook(source))
    assert "colab.research.google.com/github/some/where/" in text
    assert "tinyvae @ git+https://github.com/some/where@v9" in text


@each_notebook
def test_every_notebook_ends_with_three_questions(source):
    texts = [cell.text for cell in build.read_cells(source) if cell.is_markdown]
    (block,) = (text for text in texts if text.startswith("## Three questions"))
    questions, _, answers = block.partition("<details>")
    for part in (questions, answers):
        assert all(f"**{letter}.**" in part for letter in "abc")


@each_notebook
def test_kit_has_stubs_for_students_and_solutions_for_teachers(source):
    numbers = {c.number for c in build.read_cells(source) if c.role == "exercise"}
    for solved in (False, True):
        cells = build.kit_notebook(source, solved)["cells"]
        graded = [c for c in cells if "nbgrader" in c["metadata"]]
        assert len({c["metadata"]["nbgrader"]["grade_id"] for c in graded}) == 2 * len(numbers)
        assert sum(c["metadata"]["nbgrader"].get("points", 0) for c in graded) == len(numbers)
        text = build.dump(build.kit_notebook(source, solved))
        assert ("BEGIN SOLUTION" in text) == ("BEGIN HIDDEN TESTS" in text) == solved
        assert "<b>Solution</b>" not in text and "outputs" in text
        exercises = {c["metadata"]["number"]: c["source"] for c in graded if "..." in c["source"]}
        assert set(exercises) == numbers, "the stub of an exercise is in both"


def test_a_check_does_not_praise_the_function_that_it_handed_on(capsys):
    handed_on = latent_space.nearest(lambda z, codes: z)
    assert handed_on is latent_space.nearest_code
    latent_space.nearest(handed_on)
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("not yet: the nearest code. To do: run the cell of your answer again")
    with pytest.raises(AssertionError, match="has not passed"):
        judge.require("latent_space.nearest")


def test_a_right_answer_is_handed_on_and_gives_arrays(capsys):
    def nearest(z, codes):
        return [int(((codes - point) ** 2).sum(axis=1).argmin()) for point in z]

    handed_on = latent_space.nearest(nearest)
    assert capsys.readouterr().out.startswith("✓")
    assert handed_on.__wrapped__ is nearest
    assert isinstance(handed_on(np.zeros((2, 1)), np.ones((3, 1))), np.ndarray)


def test_a_graded_check_raises_until_it_has_passed(capsys):
    latent_space.stretched_codes("a")
    with pytest.raises(AssertionError, match=r"latent_space\.stretched_codes has not passed"):
        judge.require("latent_space.stretched_codes")
    latent_space.stretched_codes("c")
    judge.require("latent_space.stretched_codes")


@each_notebook
def test_solutions_stand_without_what_their_stubs_import(source):
    cells = build.read_cells(source)
    for cell in cells:
        if cell.role == "exercise":
            assert "import " not in cell.text, f"{cell.number}: import it in a cell before"


def test_kit_is_laid_out_as_nbgrader_wants_it(tmp_path):
    build.write_kit(tmp_path)
    stems = {source.stem for source in SOURCES}
    assert {path.stem for path in (tmp_path / "student").glob("*.ipynb")} == stems
    assert {path.stem for path in (tmp_path / "solution").glob("*/*.ipynb")} == stems
    assert "# 1. An autoencoder by hand" in (tmp_path / "slides.md").read_text(encoding="utf-8")
    assert 'source_directory = "solution"' in (tmp_path / "nbgrader_config.py").read_text()


def test_slides_show_the_stored_figures(tmp_path):
    page = build.slides(SOURCES[0])
    assert page.startswith("# 1. An autoencoder by hand") and "](figures/01-1.png)" in page


# --- the lab and the capstone, whose VAEs are written by hand -------------------------------------


@pytest.mark.parametrize("letter", byhand.PATIENTS)
def test_the_lab_knows_who_finds_each_planted_error(letter):
    kind, _ = byhand.PATIENTS[letter]
    model = kind(12, 2, 5)
    assert (lab.gradient_check(model) > 1e-3) == (letter in lab.FAILING)
    assert lab.audit(model).errors
    assert letter in lab.CLUES


def test_the_healthy_vae_passes_every_judge():
    healthy = byhand.HandVAE(12, 2, 5)
    assert lab.gradient_check(healthy) < 1e-6
    assert not lab.audit(healthy).errors


def test_the_symptoms_are_drawn_for_every_patient(rng):
    x = (rng.random((30, 196)) > 0.5).astype(float)
    trained = {}
    for name in ("A", "D"):
        model = byhand.PATIENTS[name][0](196, 2, 4)
        trained[name] = model, byhand.train(model, x, epochs=2)
    fig = lab.charts(trained, x, np.arange(30) % 10)
    assert len(fig.axes) == 2 * 4
    assert [text.get_text() for text in fig.texts[2:]] == ["A", "D"]


def test_learning_by_heart_is_drawn_on_one_scale():
    history = [{"reconstruction": 500.0 - e, "val_reconstruction": 490.0 + e} for e in range(20)]
    history = [row | {"epoch": e + 1} for e, row in enumerate(history)]
    fig = pictures.overfitting({"one": history, "another": history})
    assert len({ax.get_ylim() for ax in fig.axes}) == 1


# --- progress -------------------------------------------------------------------------------------


def test_progress_knows_every_exercise_and_its_check():
    found = {}
    for source in SOURCES:
        module = ""
        for cell in build.read_cells(source):
            if made := re.search(r"from tinyvae\.exercises import (\w+) as check", cell.text):
                module = made[1]
            if cell.role == "check":
                function = re.search(r"check\.(\w+)\(", cell.text)[1]
                found[cell.number] = f"{module}.{function}"
    assert found == {n: c for _, table in progress.NOTEBOOKS.values() for n, c in table.items()}


def test_checks_record_what_was_solved_and_which_errors_were_made(tmp_path, monkeypatch, capsys):
    file = tmp_path / "deep" / "exercises.json"
    monkeypatch.setenv("TINYVAE_PROGRESS", str(file))
    assert exercises.main([]) == 0
    said = capsys.readouterr().out
    assert "0/3  open: 2.1, 2.2, 2.3" in said and f"will write {file}" in said
    latent_space.stretched_codes("a")
    latent_space.stretched_codes("c")
    latent_space.stretched_codes("b")  # what was solved stays solved
    latent_space.nearest(lambda z, codes: z)
    latent_space.draw_like(...)
    capsys.readouterr()
    assert exercises.main([]) == 0
    said = capsys.readouterr().out
    assert "1/3  open: 2.2, 2.3\n      2.2: index has the shape" in said and str(file) in said
    assert len(progress.read(file)["latent_space.stretched_codes"]["errors"]) == 2


@pytest.mark.parametrize("text", ["no json", "[]", '{"kl.kl": 3}', '{"kl.kl": {"solved": 1}}'])
def test_a_damaged_record_is_named_and_no_reason_to_fail_a_check(
    tmp_path, monkeypatch, capsys, text
):
    file = tmp_path / "exercises.json"
    file.write_text(text)
    monkeypatch.setenv("TINYVAE_PROGRESS", str(file))
    latent_space.stretched_codes("c")
    assert capsys.readouterr().out.startswith("✓") and file.read_text() == text
    assert exercises.main([]) == 2
    error = capsys.readouterr().err
    assert "is no record of exercises; move it away" in error and error.count("\n") == 1


def test_where_nothing_shall_be_recorded_nothing_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TINYVAE_PROGRESS", "")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    latent_space.stretched_codes("c")
    assert exercises.main([]) == 0
    assert "TINYVAE_PROGRESS is empty" in capsys.readouterr().out and not [*tmp_path.iterdir()]
    monkeypatch.delenv("TINYVAE_PROGRESS")
    assert progress.path() == tmp_path / ".tinyvae" / "exercises.json"


# --- the notebooks in a folder of one's own -------------------------------------------------------


def test_tutorials_are_copied_to_a_new_folder_with_their_pictures(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert tutorials.main([str(folder)]) == 0
    assert f"copied {len(SOURCES)} notebooks to {folder}" in capsys.readouterr().out
    assert {p.stem for p in folder.glob("*.ipynb")} == {p.stem for p in SOURCES}
    assert (folder / "images" / "explorer.png").exists() and (folder / "README.md").exists()
    linked = set()
    for path in [*folder.glob("*.ipynb"), folder / "README.md"]:
        linked |= set(re.findall(r"\]\(([^)#:]+)", path.read_text(encoding="utf-8")))
    assert "playground.html" in linked
    assert not [name for name in linked if not (folder / name).exists()]


def test_notebooks_link_states_of_the_playground_that_there_are():
    linked = {}
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        linked[source.name[:2]] = re.findall(r"playground\.html#(\w+)=([\w-]+)", text)
    assert all(linked[f"{number:02}"] for number in (1, 2, 4, 5, 6, 7, 8, 9))
    assert "](playground.html)" in SOURCES[2].read_text(encoding="utf-8")
    files = {"story": "words.js", "error": "errors.js", "trains": "knobs.js"}
    for knob, name in itertools.chain.from_iterable(linked.values()):
        script = importlib.resources.files("tinyvae.playground") / files[knob]
        assert re.search(rf'^  "?{name}"?: {{|trains: .*"{name}"', script.read_text("utf-8"), re.M)


def test_a_page_in_a_frame_is_stored_as_a_still_picture_and_a_link():
    for page, (picture, alt) in build.STILLS.items():
        frame = {"data": {"text/html": f'\n<iframe\n width="100%"\n src="{page}"></iframe>'}}
        still, link = build._stills(frame)
        shown = base64.b64decode(still["data"]["image/png"])
        assert shown == (FOLDER.parent / "tutorials" / "images" / picture).read_bytes()
        assert still["metadata"]["image/png"]["alt"] == alt
        assert (f"]({page})" in link["data"]["text/markdown"]) == page.startswith("playground")
    with pytest.raises(RuntimeError, match=r"shows other\.html, of which STILLS names no picture"):
        build._stills({"data": {"text/html": '<iframe src="other.html"></iframe>'}})


def test_the_package_holds_the_notebooks_and_all_its_own_files(monkeypatch):
    core = pytest.importorskip("setuptools").distutils.core
    root = FOLDER.parent
    monkeypatch.chdir(root)
    package = core.run_setup("setup.py", stop_after="config")
    assert {"tinyvae", "tinyvae.exercises", "tinyvae.tutorials"} <= set(package.packages)
    homes = {"tinyvae": root / "tinyvae", "tinyvae.tutorials": root / "tutorials"}
    assert set(package.package_data) == set(homes)
    kept = {
        name: {path for glob in package.package_data[name] for path in home.glob(glob)}
        for name, home in homes.items()
    }
    assert {build.stored(source) for source in SOURCES} <= kept["tinyvae.tutorials"]
    files = {path for path in homes["tinyvae"].rglob("*") if path.is_file()}
    sources = (".py", ".pyc", ".ts")  # .ts: what the .wasm was compiled from
    assert {p for p in files if p.suffix not in sources} == kept["tinyvae"]


def test_tutorials_never_write_over_answers(tmp_path, capsys):
    (tmp_path / "01_an_autoencoder_by_hand.ipynb").write_text("my answers")
    assert tutorials.main([str(tmp_path)]) == 2
    assert "is not empty: your answers may be in it" in capsys.readouterr().err
    file = tmp_path / "01_an_autoencoder_by_hand.ipynb"
    assert tutorials.main([str(file)]) == 2
    assert "is a file; name a new folder" in capsys.readouterr().err
    assert file.read_text() == "my answers"


def test_tutorials_say_how_to_get_jupyterlab_before_they_copy(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tutorials.importlib.util, "find_spec", lambda name: None)
    assert tutorials.main([str(tmp_path / "new"), "--open"]) == 2
    assert "python -m pip install jupyterlab" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


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
    pytest.importorskip("nbclient", reason="nbclient runs notebooks: pip install nbclient")
    selected = [item for item in request.session.items if "runs" in item.fixturenames]
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
