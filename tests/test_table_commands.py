"""The commands on a table with missing cells, categories and whole numbers: what goes in comes out,
and what is odd gets one line."""

import csv
import json
import math
import shlex
from pathlib import Path

import numpy as np
import pytest

from tinyvae import load
from tinyvae.cli import main as cli
from tinyvae.data import read_matrix
from tinyvae.evaluate import impute
from tinyvae.train.runs import open_run

NAMES = ["kind", "size, cm", "legs", "tame"]
FAST = ["--hidden", "16", "--batch-size", "20", "--lr", "0.01", "--quiet", "--no-figures"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def animals(n=90):
    """Rows of words, numbers and whole numbers, which hang together, with gaps."""
    rng, rows = np.random.default_rng(0), []
    for i in range(n):
        k = i % 3
        size = 10.0 + 10 * k + rng.normal()
        row = ["ant dog elk".split()[k], f"{size:.1f}", str(6 if k == 0 else 4), "ny"[k == 1]]
        if i % 7 == 0:
            row[rng.integers(4)] = ["", "NA", "?"][i % 3]
        rows.append(row)
    return rows


def write(rows, name="new.csv", header=NAMES):
    with open(name, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return name


def read(name):
    with open(name, newline="") as file:
        names, *rows = csv.reader(file)
    return names, rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a table with gaps, and the table."""
    folder = tmp_path_factory.mktemp("animals")
    data = write(animals(), folder / "animals.csv")
    out = ["--out", str(folder / "run")]
    assert cli.main(["train", "--dataset", str(data), "--epochs", "60", *FAST, *out]) == 0
    return str(folder / "run"), str(data)


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def gaps(rows):
    return [(i, j) for i, row in enumerate(rows) for j, c in enumerate(row) if c in ("", "NA", "?")]


def test_the_configuration_holds_kinds_and_categories(run):
    config = json.loads((Path(run[0]) / "config.json").read_text())
    model = config["model"]
    assert (model["likelihood"], model["missing"]) == ("mixed", "mask")
    assert model["columns"] == [["categorical", 3], ["gaussian", 2], ["bernoulli", 1]]
    found = {v["name"]: v["categories"] for v in config["data"]["variables"]}
    assert found == dict(zip(NAMES, [["ant", "dog", "elk"], [], [], ["n", "y"]], strict=True))


@pytest.mark.parametrize(
    "command",
    ["sample {run} -n 40", "decode {run} z.csv", "reconstruct {run} {data}",
     "interpolate {run} {data} 1 2 --steps 40", "impute {run} {data} --draws 2"],
)  # fmt: skip
def test_words_and_whole_numbers_come_out_of_every_command(run, command):
    run, data = run
    assert cli.main(["encode", run, data, "--out", "z.csv"]) == 0
    assert cli.main([*command.format(run=run, data=data).split(), "--out", "x.csv"]) == 0
    names, rows = read("x.csv")
    assert names[-4:] == NAMES and len(rows) >= 40
    kind, size, legs, tame = zip(*(row[-4:] for row in rows), strict=True)
    assert {*kind} <= {"ant", "dog", "elk"} and {*tame} == {"n", "y"}
    assert all(cell.isdecimal() for cell in legs)
    assert 5 < min(map(float, size)) < max(map(float, size)) < 40


def test_encode_then_decode_is_reconstruct(run):
    run, data = run
    assert cli.main(["encode", run, data, "--out", "z.csv"]) == 0
    assert cli.main(["decode", run, "z.csv", "--out", "x.csv"]) == 0
    assert cli.main(["reconstruct", run, data, "--out", "r.csv"]) == 0
    assert read("x.csv") == read("r.csv")
    names, rows = read("z.csv")
    assert names == ["mu1", "mu2", "logvar1", "logvar2"]
    write([[row[1], "9", row[0]] for row in rows], "turned.csv", ["z2", "else", "z1"])
    write([row[:2] for row in rows], "bare.csv", rows[0][:2])
    for other in ("turned.csv", "bare.csv"):
        assert cli.main(["decode", run, other, "--out", "x.csv"]) == 0
    wanted, found = read("r.csv")[1], read("x.csv")[1]
    assert found == [wanted[0], *wanted]  # without a header, the first line is a row


def test_labels_come_with_codes_and_go_back(run):
    data = ["--dataset", run[1], "--labels", "1", "--conditional", "--drop", "tame"]
    write(
        [["ant" if row[0] in ("", "NA", "?") else row[0], *row[1:]] for row in animals()], "a.csv"
    )
    data[1] = "a.csv"
    assert cli.main(["train", *data, "--epochs", "3", *FAST, "--out", "r"]) == 0
    assert cli.main(["encode", "r", "a.csv", "--out", "z.csv"]) == 0
    assert cli.main(["decode", "r", "z.csv", "--out", "x.csv"]) == 0
    assert cli.main(["reconstruct", "r", "a.csv", "--out", "r.csv"]) == 0
    assert read("x.csv") == read("r.csv") and read("z.csv")[0][-1] == "label"


def test_impute_changes_no_cell_that_is_observed(run):
    run, data = run
    assert cli.main(["impute", run, data, "--out", "filled.csv"]) == 0
    before, after = Path(data).read_bytes(), Path("filled.csv").read_bytes()
    (_, old), (_, new) = read(data), read("filled.csv")
    changed = [(i, j) for i, row in enumerate(old) for j, c in enumerate(row) if c != new[i][j]]
    assert changed == gaps(old) and len(changed) == 13 and gaps(new) == []
    lines = zip(before.splitlines(), after.splitlines(), strict=True)
    assert sum(a != b for a, b in lines) == len({i for i, _ in changed})


def test_impute_gives_what_the_function_gives_and_what_the_row_tells(run):
    run, data = run
    assert cli.main(["impute", run, data, "--out", "filled.csv", "--unbounded"]) == 0
    x = read_matrix(data, open_run(run).config["data"])
    found = open_run(run).dataset.scaling.undo(impute(load(run), x).x)
    rows = read("filled.csv")[1]
    assert [row[0] for row in rows] == [["ant", "dog", "elk"][k] for k in found[:, :3].argmax(1)]
    assert np.allclose([float(row[1]) for row in rows], found[:, 3], atol=1e-4)
    assert [int(row[2]) for row in rows] == np.round(found[:, 4]).tolist()
    for i, j in gaps(animals()):  # a dog is tame, and of 20 cm
        k = i % 3
        truth = ["ant dog elk".split()[k], 10.0 + 10 * k, 6 if k == 0 else 4, "ny"[k == 1]][j]
        near = abs(float(rows[i][j]) - truth) < 5 if j == 1 else rows[i][j] == str(truth)
        assert near, (i, j, rows[i])


def test_draws_are_tables_below_each_other_that_differ_where_cells_are_missing(run, capsys):
    run, data = run
    command = ["impute", run, data, "--draws", "3", "--out", "many.csv"]
    assert cli.main([*command, "--unbounded"]) == 0  # within the range, several may be its end
    names, rows = read("many.csv")
    assert names == ["draw", *NAMES] and [row[0] for row in rows] == list(
        "1" * 90 + "2" * 90 + "3" * 90
    )
    tables, old = [[row[1:] for row in rows[m : m + 90]] for m in (0, 90, 180)], read(data)[1]
    for i, row in enumerate(old):
        for j, cell in enumerate(row):
            drawn = {table[i][j] for table in tables}
            assert drawn == {cell} or (i, j) in gaps(old)
            assert len(drawn) > 1 or j != 1 or (i, j) not in gaps(old)
    assert "13 missing cells in 13 rows filled in, 3 draws of each" in capsys.readouterr().out


def test_samples_of_a_table_are_drawn_and_kept_within_the_range_that_was_seen(run, capsys):
    size = [float(row[1]) for row in animals() if row[1] not in ("", "NA", "?")]
    command = ["sample", run[0], "-n", "500", "--temperature", "2", "--out", "s.csv"]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "500 samples, drawn from p(x|z), 4 wide" in out and "moved into the range" in out
    new = [float(row[1]) for row in read("s.csv")[1]]
    assert min(size) <= min(new) and max(new) <= max(size)
    assert cli.main([*command, "--unbounded"]) == 0
    free = [float(row[1]) for row in read("s.csv")[1]]
    assert min(free) < min(size) or max(free) > max(size)
    inside = [value for value in free if min(size) <= value <= max(size)]
    assert set(inside) <= set(new) and "moved" not in capsys.readouterr().out
    assert cli.main([*command, "--unbounded", "--mean"]) == 0
    assert "500 samples, 4 wide" in capsys.readouterr().out
    assert np.std([float(row[1]) for row in read("s.csv")[1]]) < np.std(free)


def test_train_names_the_command_that_fills_in_and_it_can_be_pasted(capsys):
    write(animals(), "an imals.csv")
    np.save("x.npy", np.where(np.arange(60).reshape(20, 3) % 7, 0.5, np.nan))
    for data, out in (("an imals.csv", "filled.csv"), ("x.npy", "filled.npy")):
        options = ["--missing", "--hidden", "4", "--epochs", "1", "--no-figures"]
        assert cli.main(["train", "--dataset", data, *options]) == 0
        line = capsys.readouterr().out.strip().splitlines()[-1]
        assert cli.main(shlex.split(line, comments=True)[3:]) == 0 and Path(out).exists()


def test_a_run_does_not_go_on_with_other_words(run, capsys):
    write(animals(), "a.csv")
    assert cli.main(["train", "--dataset", "a.csv", "--epochs", "1", *FAST, "--out", "r"]) == 0
    text = Path("a.csv").read_text()
    for old, new in (("elk", "emu"), (",n\n", ",m\n"), ("legs", "feet")):
        Path("a.csv").write_text(text.replace(old, new))
        for command in (["train", "--resume", "r", "--epochs", "2"], ["evaluate", "r"]):
            assert cli.main(command) == 2
            assert "as many rows as then, but other columns or categories" in one_line(capsys)
    Path("a.csv").write_text(text)
    assert cli.main(["evaluate", "r", "--quiet"]) == 0


def test_score_has_a_share_for_each_column(run):
    assert cli.main(["score", *run, "--samples", "50", "--out", "s.csv"]) == 0
    names, rows = read("s.csv")
    assert names[3:] == [*(f"share_{name}" for name in NAMES), "share_kl"]
    values = np.array(rows, float)
    assert np.allclose(values[:, 1], values[:, 3:].sum(axis=1), atol=1e-6)
    for i, j in gaps(animals()):
        assert values[i, 3 + j] == 0


def test_evaluate_gives_nats_in_the_data_s_own_units():
    """Of a linear model with a σ of each column, whose density is a normal one with a known
    covariance: log p of the raw rows under it, in closed form."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 1))
    x = z * [1, 30, 0.01] + rng.normal(size=(200, 3)) * [0.5, 10, 0.01] + [5, 0, 1]
    write(x.tolist(), "x.csv", ["a", "b", "c"])
    linear = ["--hidden", "none", "--latent-dim", "1", "--sigma", "per-feature", *FAST[2:]]
    command = ["train", "--dataset", "x.csv", "--epochs", "40", *linear, "--out", "r"]
    assert cli.main(command) == 0
    assert cli.main(["evaluate", "r", "--samples", "2000", "--quiet"]) == 0
    result = json.loads(Path("r/evaluation.json").read_text())
    data, model = open_run("r").dataset, load("r")
    W, b = (model.parameters[f"decoder.0.{name}"].astype(float) for name in "Wb")
    std, mean = data.scaling.std, data.scaling.mean
    covariance = np.diag(std) @ (W.T @ W + np.diag(model.sigma**2)) @ np.diag(std)
    error = data.scaling.undo(data.x_test.astype(float)) - (mean + std * b)
    distance = np.einsum("nd,de,ne->n", error, np.linalg.inv(covariance), error)
    constant = np.linalg.slogdet(2 * math.pi * covariance)[1]
    exact = float(np.mean(-0.5 * (distance + constant)))
    assert abs(result["log_likelihood_in_data_units"] - exact) < 0.02
    gap = result["log_likelihood_in_data_units"] - result["elbo_in_data_units"]
    assert gap == pytest.approx(result["log_likelihood"] - result["elbo"])


def test_a_run_without_gaps_takes_them_and_says_so(capsys):
    full = [row for row in animals() if gaps([row]) == []]
    write(full, "full.csv")
    assert cli.main(["train", "--dataset", "full.csv", "--epochs", "9", *FAST, "--out", "r"]) == 0
    write([["", *row[1:]] for row in full[:9]], "new.csv")
    capsys.readouterr()
    for command in ("encode", "reconstruct", "score", "impute"):
        assert cli.main([command, "r", "new.csv", "--out", "x.csv"]) == 0
        assert "the rows trained on had none: the encoder takes a column's mean" in one_line(capsys)
    assert cli.main(["evaluate", "r", "new.csv", "--quiet"]) == 0


def test_an_array_with_gaps_needs_to_be_told_and_comes_back_filled(capsys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 1)) + 0.1 * rng.normal(size=(60, 3)) + [0, 10, 100]
    gap = rng.random(x.shape) < 0.1
    np.save("x.npy", np.where(gap, np.nan, x))
    command = ["train", "--dataset", "x.npy", "--scale", "standardize", "--epochs", "60", *FAST]
    assert cli.main([*command, "--out", "r"]) == 2
    assert "remove or replace it, or let cells be missing, --missing" in one_line(capsys)
    assert cli.main([*command, "--missing", "--out", "r"]) == 0
    assert cli.main(["evaluate", "r", "--quiet"]) == 0
    assert cli.main(["impute", "r", "x.npy", "--out", "f.npy"]) == 0
    filled = np.load("f.npy")
    assert np.array_equal(filled[~gap], x[~gap]) and abs(filled - x)[gap].max() < 1
    assert cli.main(["impute", "r", "x.npy", "--draws", "2", "--out", "f.npy"]) == 0
    assert np.load("f.npy").shape == (2, 60, 3)
    assert cli.main(["impute", "r", "x.npy", "--draws", "2", "--out", "f.csv"]) == 0
    names, rows = read("f.csv")
    assert names == ["draw", "x1", "x2", "x3"] and len(rows) == 120
    assert cli.main(["sample", "r", "--out", "s.npy"]) == 0
    new = np.load("s.npy")
    assert np.all(np.nanmin(np.where(gap, np.nan, x), 0) <= new.min(0) + 1e-5)


def test_a_row_of_which_nothing_is_known_is_filled_from_the_prior_and_said(run, capsys):
    write([animals()[1], ["", "", "", ""]])
    assert cli.main(["impute", run[0], "new.csv", "--out", "f.csv"]) == 0
    assert gaps(read("f.csv")[1]) == []
    assert "nothing is observed in 1 row (the first: 1, from 0): filled in from" in one_line(capsys)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("impute {run} {data} --out f.npy", "--out f.npy: a table is filled in as .csv"),
        ("impute {run} head.csv --out f.csv", "head.csv is empty: it has no row"),
        ("impute {run} {data} --draws 0 --out f.csv", "--draws: the value must be"),
        ("impute {run} {data} --out {data}", "would overwrite DATA"),
        ("sample {run} --out s.npy", "s.npy: column kind holds words: write a .csv"),
        ("sample {run} --out s.png", "the run's data are not images; write them to a .csv or .npy"),
        ("sample {run} --noise --mean --out s.csv", "--noise and --mean go not together"),
        ("encode {run} fox.csv --out z.csv", "line 3, column kind: 'fox' is none of the categories"
            " ant, dog, elk: correct it, or leave the cell empty"),
        ("score {run} bare.csv --out s.csv", "bare.csv has no column kind (its columns: size, cm,"),
        ("decode {run} fox.csv --out x.csv", "fox.csv has neither the columns z1, z2 nor mu1, mu2"),
        ("train --dataset {data} --likelihood gaussian", "animals has columns of categories (kind,"
            " tame): leave --likelihood out, or the columns with --drop kind,tame"),
        ("train --dataset {data} --scale 10", "has columns of categories, which no number divides"),
        ("train --dataset digits --likelihood mixed", "mixed is for tables, digits holds images"),
        ("train --dataset digits --missing", "--missing is for own files"),
        ("train --dataset {data} --categorical 9", "has no column '9' for --categorical"),
        ("train --dataset ids.csv", "ids.csv: column id: 30 different values in 30 rows are no"
            " categories: leave out with --drop id, or take as categories with --categorical id"),
        ("train --dataset twice.csv", "two columns a (columns 1 and 2): rename one, or leave one"
            " out with --drop 2"),
        ("train --dataset one.csv", "one.csv has 1 row: at least 2, to hold one out"),
        ("train --dataset none.csv", "no observed cell in column b, among 27 rows to train on:"
            " leave it out with --drop b"),
    ],
)  # fmt: skip
def test_what_cannot_be_gets_one_line(run, command, message, capsys):
    run, data = run
    write([animals()[1], ["fox", *animals()[2][1:]]], "fox.csv")
    write([row[1:] for row in animals()], "bare.csv", NAMES[1:])
    write([], "head.csv")
    write([[f"no{i}", i % 4] for i in range(30)], "ids.csv", ["id", "a"])
    write([[i % 3, i % 4] for i in range(30)], "twice.csv", ["a", "a"])
    write([["1.5", "2"]], "one.csv", ["a", "b"])
    write([[i % 3, ""] for i in range(30)], "none.csv", ["a", "b"])
    try:
        status = cli.main(command.format(run=run, data=data).split())
    except SystemExit as stop:
        status = stop.code
    assert status == 2 and message in one_line(capsys)
