"""What all commands share: options that are meant, errors in the words of the reader, streams that
are closed, and Ctrl-C at any moment."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from tinyvae import VAE, explore, load_dataset
from tinyvae.cli import main as cli
from tinyvae.core import errors
from tinyvae.core.errors import Argument, InputError
from tinyvae.data import Dataset
from tinyvae.train.runs import Run

FAST = ["--hidden", "8", "--batch-size", "500", "--no-figures", "--epochs", "1"]
COMMANDS = ("audit", "evaluate", "explore", "figures", "gradcheck", "train")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(capsys, *argv):
    """What a command that is not carried out says: one line."""
    try:
        status = cli.main([str(part) for part in argv])
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2 and error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("train --latent_dim 3", "--latent-dim"),
        ("train --latent_dim=3", "--latent-dim"),
        ("train --epoch 3", "--epochs"),
        ("train --data x.csv", "--dataset"),
        ("train --lr-shedule step", "--lr-schedule"),
        ("sample r --ouut s.npy", "--out"),  # before it is said that --out is missing
        ("evaluate r --sample 3", "--samples"),
        ("gradcheck --shap 3,4", "--shape"),
        ("audit --sca logvar", "--scale"),
        ("explore r --point 3", "--points"),
        ("three-panels --epoch 3", "--epochs"),
    ],
)
def test_an_option_that_there_is_not_is_met_with_the_one_meant(command, meant, capsys):
    error = refused(capsys, *command.split())
    wrong = command.split("--")[1]
    assert f"unrecognized arguments: --{wrong} (did you mean {meant}?)" in error


def test_nothing_close_is_guessed(capsys):
    assert "did you mean" not in refused(capsys, "train", "--zzz", "3")


@pytest.mark.parametrize(
    ("option", "choices"),
    [
        ("--scale standardise", "infer, none, standardize (did you mean standardize?)"),
        ("--sigma atuo", "or auto"),
        ("--likelihood gausian", "'gaussian', 'bernoulli'"),
    ],
)
def test_a_wrong_choice_lists_the_choices(option, choices, capsys):
    assert choices in refused(capsys, "train", *option.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_run_calls_itself_by_its_command(command):
    done = python("-m", f"tinyvae.{command}", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: tinyvae {command} ")


# One error, in the words of whoever reads it


@pytest.mark.parametrize(
    ("options", "in_python", "in_a_shell"),
    [
        ({}, "choose a scale (scale=…)", "choose a scale (--scale)"),
        ({"validation": 1.5}, "validation=1.5: expected", "--validation 1.5: expected"),
        ({"labels": "a b"}, "labels='a b' is no .npy", "--labels 'a b' is no .npy"),
        ({"channels": "grey"}, "channels='grey' is for", "--channels grey is for"),
        ({"scale": 1e30}, "scale=1e+30: x.npy has", "--scale 1e+30: x.npy has"),
        ({"image_size": (2, 3)}, "image_size=(2, 3) is", "--image-size 2x3 is"),
    ],
)
def test_a_python_user_reads_arguments_a_shell_user_options(options, in_python, in_a_shell, capsys):
    shape = (10, 3, 4) if "image_size" in options else (10, 4)
    np.save("x.npy", np.arange(np.prod(shape)).reshape(shape))
    with pytest.raises(ValueError) as error:
        load_dataset("x.npy", **options)
    assert in_python in str(error.value) and "--" not in str(error.value)
    typed = [
        part
        for name, value in options.items()
        for part in (
            f"--{name.replace('_', '-')}",
            "x".join(map(str, value)) if isinstance(value, tuple) else str(value),
        )
    ]
    line = refused(capsys, "train", "--dataset", "x.npy", *typed)
    assert in_a_shell in line and "=" not in line


def test_a_page_that_is_too_large_names_arguments(capsys):
    rows = Dataset("rows", np.ones((9, 4), "float32"), np.ones((9, 4), "float32"))
    with pytest.raises(ValueError, match=r"n_points=….*max_bytes=… allows more") as error:
        explore.build(VAE(4, 2, hidden=()), rows, max_bytes=9, precision="float16")
    assert "--" not in str(error.value)


def test_a_run_folder_that_is_taken_is_continued_in_ones_own_words(capsys, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "x").touch()
    with pytest.raises(FileExistsError, match="continue it with resume=True"):
        Run("r").check_free()
    assert "continue it with --resume DIR" in refused(capsys, "train", "--out", "r")


def test_a_data_folder_is_named_in_ones_own_words(capsys, monkeypatch):
    monkeypatch.setenv("TINYVAE_MNIST_URL", "nothing://")
    monkeypatch.setenv("TINYVAE_DATA_DIR", "cache")
    with pytest.raises(FileNotFoundError, match="name their folder by data_dir=…"):
        load_dataset("mnist")
    assert "name their folder by --data-dir" in refused(capsys, "train", "--dataset", "mnist")


def test_an_error_is_made_of_fields_and_travels_between_processes():
    kinds = (errors.InputError, errors.InputTypeError, errors.MissingFileError)
    for kind in (*kinds, errors.DivergedError):
        error = kind(Argument("scale", "x"), " is odd", remedy=["take ", Argument("beta", 2.0)])
        error = pickle.loads(pickle.dumps(error))
        assert str(error) == "scale='x' is odd: take beta=2.0"
        assert (error.argument, error.value) == ("scale", "x")
    assert str(InputError("{beta} is no template")) == "{beta} is no template"


# Closed streams


def python(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)


def shell(line, **variables):
    """Run a line of bash in which $PYTHON is this Python; return the statuses and stderr."""
    variables = os.environ | {"PYTHON": sys.executable} | variables
    line += "; echo ${PIPESTATUS[@]} >status"
    done = subprocess.run(["bash", "-c", line], env=variables, capture_output=True, text=True)
    return open("status").read().split(), done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "closed", [">&-", "| head -1", "| true", ">/dev/full", "2>/dev/full >&2", "2>&1 | true", "2>&-"]
)
def test_a_training_whose_output_is_closed_ends_whole(closed, unbuffered):
    line = f"$PYTHON -m tinyvae.train {' '.join(FAST)} --out r {closed}"
    status, error = shell(line, PYTHONUNBUFFERED=unbuffered)
    assert status[0] == "0" and "Traceback" not in error
    told = [line for line in error.splitlines() if not line.startswith("epoch 1/1: loss ")]
    assert len(told) == (closed == ">/dev/full")
    assert sorted(os.listdir("r")) == [
        *("checkpoint.npz", "config.json", "kl_per_dimension.csv", "metrics.csv")
    ]


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "| true", ">/dev/full"])
@pytest.mark.parametrize("command", ["--help", "gradcheck tinyvae.core.layers:ReLU"])
def test_a_closed_output_leaves_no_traceback(closed, command):
    status, error = shell(f"$PYTHON -m tinyvae {command} {closed}")
    assert status[0] == {"| true": "141", ">/dev/full": "2"}.get(closed, "0")
    assert error.count("\n") == (closed == ">/dev/full") and "Exception" not in error


# Ctrl-C


LOSES = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
    [None for _ in range(9)]
except KeyboardInterrupt:
    raise ImportError("as compiled code may say")
"""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("numpy", ["raise KeyboardInterrupt", LOSES])
def test_ctrl_c_during_the_imports_is_one_line(command, numpy, tmp_path):
    (tmp_path / "numpy.py").write_text(numpy)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = python("-m", f"tinyvae.{command}", env=os.environ | {"PYTHONPATH": path})
    assert (done.returncode, done.stderr) == (130, "tinyvae: error: stopped\n")


STOPS = """
class Own:
    def forward(self, x): raise KeyboardInterrupt
    def backward(self, dy): raise KeyboardInterrupt
    def reparameterize(self, mu, logvar): raise KeyboardInterrupt
"""


@pytest.mark.parametrize("command", ["audit", "gradcheck"])
@pytest.mark.parametrize("code", ["raise KeyboardInterrupt", STOPS])
def test_ctrl_c_in_ones_own_code_is_one_line(command, code, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    open("stops.py", "w").write(code)
    assert cli.main([command, "stops.py:Own"]) == 130
    assert capsys.readouterr().err == f"tinyvae {command}: error: stopped\n"
