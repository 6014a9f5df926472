"""Runs beside each other by log p(x) on rows that were held out, and what each latent number of a
table moves."""

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from tinyvae import VAE, load
from tinyvae.cli import main as cli
from tinyvae.data.preparation import hold_out
from tinyvae.evaluate import column_effects, effects_table, log_likelihood
from tinyvae.train.runs import open_run

FAST = ["--hidden", "none", "--lr", "0.02", "--epochs", "100", "--no-figures", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of two latent numbers, and runs of 1 and 2 on it."""
    path, here = tmp_path_factory.mktemp("compare"), os.getcwd()
    os.chdir(path)
    rng = np.random.default_rng(0)
    z = rng.standard_normal((120, 2))
    x = z @ [[3, 3, 0, 0], [0, 0, 50, -50]] + rng.standard_normal((120, 4)) * [0.5, 0.5, 9, 9]
    with open("t.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "d"], *x.tolist()])
    try:
        command = ["train", "--dataset", "t.csv", "--latent-dim", "2,1,2", "--out", "r"]
        assert cli.main([*command, *FAST]) == 0
        yield path
    finally:
        os.chdir(here)


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_a_list_of_latent_dimensions_trains_a_run_of_each(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["r-latent-1", "r-latent-2", "t.csv"]
    assert [load(f"r-latent-{L}").latent_dim for L in (1, 2)] == [1, 2]


def test_the_table_has_log_p_x_of_the_rows_that_chose_the_epochs_in_the_tables_units(capsys):
    assert cli.main(["compare", "r-latent-1", "r-latent-2", "--samples", "50"]) == 0
    head, _, first, second = lines(capsys)
    rows = hold_out(open_run("r-latent-2").dataset)
    assert head.startswith(f"log p(x) of {len(rows.x_test)} validation rows")
    values = []
    for L in (1, 2):
        run = open_run(f"r-latent-{L}")
        found = log_likelihood(run.model, rows.x_test, samples=50).log_likelihood
        values.append(found - np.log(run.dataset.scaling.std).sum())
    one, two = values
    less, root = two - one, np.sqrt(len(one))
    for line, L, value in ((first, 2, two), (second, 1, one)):
        assert line.split()[:3] == [f"r-latent-{L}", str(L), str(L)]
        assert f"{value.mean():.2f} ± {value.std(ddof=1) / root:.2f}" in line
    assert second.endswith(f"{less.mean():.2f} ± {less.std(ddof=1) / root:.2f}")
    assert less.mean() > 0.5


def test_training_several_ends_with_their_table(capsys):
    command = ["train", "--dataset", "t.csv", "--latent-dim", "1,3", "--validation", "0"]
    assert cli.main([*command, *FAST[:-1], "--out", "s"]) == 0
    out = lines(capsys)
    place = next(i for i, line in enumerate(out) if "120 test rows" in line)
    assert {line.split()[0] for line in out[place + 2 : place + 4]} == {"s-latent-1", "s-latent-3"}
    assert "no row is held out to choose an epoch by: the last is kept" in "\n".join(out)
    assert cli.main([*command, *FAST, "--out", "q"]) == 0 and capsys.readouterr().out == ""
    assert cli.main([*command, *FAST, "--out", "s"]) == 2
    assert "s-latent-1 exists and is not empty" in capsys.readouterr().err


def test_a_run_with_fewer_latent_numbers_that_is_as_good_is_named(capsys):
    assert cli.main(["compare", "r-latent-2", "r-latent-2"]) == 0
    assert len(lines(capsys)) == 4
    assert cli.main(["train", "--dataset", "t.csv", "--latent-dim", "5", *FAST, "--out", "w"]) == 0
    assert cli.main(["compare", "r-latent-2", "w"]) == 0
    *_, first, second, last = lines(capsys)
    behind = [float(word) for word in re.findall(r"-?\d+\.\d+", second)][-2:]
    if first.startswith("w"):
        assert last.startswith("r-latent-2 has fewer") == (behind[0] <= behind[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", "1"], "other has other held-out rows than r-latent-2: train both on the same"),
        (["--model", "autoencoder"], "other holds an autoencoder, which has no log p(x)"),
        (["--likelihood", "mixed"], "other has likelihood mixed, r-latent-2 gaussian: their nats"),
    ],
)
def test_what_does_not_compare_is_said(options, message, tmp_path, capsys):
    out = str(tmp_path / "other")
    assert cli.main(["train", "--dataset", "t.csv", *options, *FAST, "--out", out]) == 0
    capsys.readouterr()
    assert cli.main(["compare", "r-latent-2", out]) == 2
    assert message in capsys.readouterr().err.replace(out, "other")


def test_conditional_runs_compare_with_one_another_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with open("y.csv", "w") as file:
        file.write("a,b,y\n" + "".join(f"{i % 7}.5,{i % 5}.5,{'nm'[i % 2]}\n" for i in range(60)))
    for out, more in ("c", ["--labels", "y", "--conditional"]), ("u", ["--drop", "y"]):
        assert cli.main(["train", "--dataset", "y.csv", *more, *FAST, "--out", out]) == 0
    capsys.readouterr()
    assert cli.main(["compare", "u", "c", "--samples", "9"]) == 2
    assert "c is conditional, with log p(x|label), and u is not" in capsys.readouterr().err
    assert cli.main(["compare", "c", "c", "--samples", "9"]) == 0
    Path("y.csv").rename("moved.csv")
    assert cli.main(["compare", "c", "c", "--samples", "9"]) == 2
    assert "name its new place with --dataset" in capsys.readouterr().err
    assert cli.main(["compare", "c", "c", "--samples", "9", "--dataset", "moved.csv"]) == 0


def test_of_a_single_row_there_is_no_standard_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("few.csv").write_text("a,b\n1,2\n3,1\n2,2.5\n4,0\n")
    train = ["train", "--dataset", "few.csv", "--latent-dim", "1,2", "--out", "f", *FAST]
    assert cli.main(train) == 0
    assert cli.main(["compare", "f-latent-1", "f-latent-2", "--samples", "9"]) == 0
    head, _, first, second = lines(capsys)[:4]
    assert head.startswith("log p(x) of 1 test row,") and "±" not in first + second


def test_one_run_alone_is_no_comparison(capsys):
    assert cli.main(["compare", "r-latent-2"]) == 2
    assert "only r-latent-2 is given: name at least two runs" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["train", "--latent-dim", "2,x"])
    assert "--latent-dim: the value must be a whole number" in capsys.readouterr().err


def test_the_effects_of_a_linear_model_are_its_loadings(rng):
    vae = VAE(4, 2, hidden=(), dtype="float64", backend="numpy")
    vae.parameters.theta[:] = rng.standard_normal(vae.parameters.theta.size)
    found = column_effects(vae, rng.standard_normal((30, 4)))
    np.testing.assert_allclose(found, vae.parameters["decoder.0.W"])


def test_the_effects_are_named_from_the_largest_on():
    text = effects_table(np.array([[0.2, -1.5, 0.05], [0, 0.01, 0]]), ["a", "b", "c"], "in m")
    assert text.splitlines()[1:] == [
        "  z1: b\N{NO-BREAK SPACE}-1.50, a\N{NO-BREAK SPACE}+0.20",
        "  z2: none by as much as 0.1",
    ]
    text = effects_table(np.arange(7, 0, -1.0)[None], list("abcdefg"), "in m")
    assert text.endswith("e\N{NO-BREAK SPACE}+3.00, … 2 more")


def test_evaluate_of_a_table_says_what_each_latent_number_moves(capsys):
    assert cli.main(["evaluate", "r-latent-2", "--samples", "10"]) == 0
    out = capsys.readouterr().out
    assert "what one more of each latent number adds to the columns, in standard deviations" in out
    with open("r-latent-2/evaluation.json") as file:
        result = json.load(file)
    effects = np.abs(result["column_effects"])
    assert result["columns"] == ["a", "b", "c", "d"]
    # Each pair of columns has a latent number of its own, or both share two: they move together.
    np.testing.assert_allclose(effects[:, 0], effects[:, 1], atol=0.2)
    np.testing.assert_allclose(effects[:, 2], effects[:, 3], atol=0.2)
    assert effects.sum(axis=0).min() > 0.5
