"""Files that are written, and folders that are locked: several writers at once, links, full disks,
systems without locks; and checkpoints that are damaged, huge, or of a later version."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from platforms import Msvcrt
from test_bombs import EDITS, spoiled

from tinyvae import VAE, fit, load, save
from tinyvae.cli import train
from tinyvae.train import checkpoint, files, locks
from tinyvae.train.runs import open_run

X = np.random.default_rng(0).random((30, 5), dtype="float32")


def small(**options):
    return VAE(5, 2, hidden=(4,), **{"backend": "numpy", "seed": 1, **options})


def trained(path, epochs=2, **options):
    """Leave a run folder, and return its path."""
    options = {"batch_size": 10, "lr": 1e-3, "progress": False} | options
    fit(options.pop("model", None) or small(), options.pop("x", X), epochs, run=path, **options)
    return path


def one_line(error):
    line = str(error.value)
    assert line and "\n" not in line
    return line


# Writers


def test_writers_of_one_path_side_by_side_leave_one_whole_file(tmp_path):
    path, wrong = tmp_path / "model.npz", []

    def write(seed):
        model = small(seed=seed)
        for _ in range(15):
            try:
                save(model, path)
                load(path)
            except Exception as error:
                wrong.append(error)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not wrong and os.listdir(tmp_path) == ["model.npz"]


def test_a_link_in_the_way_is_not_followed(tmp_path, monkeypatch):
    precious, path = tmp_path / "precious.txt", tmp_path / "model.npz"
    precious.write_text("precious")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0")
    (tmp_path / "model.npz.0.partial").symlink_to(precious)
    with pytest.raises(OSError, match="cannot write"):
        save(small(), path)
    assert precious.read_text() == "precious"
    path.symlink_to(precious)
    monkeypatch.undo()
    save(small(), path)
    assert precious.read_text() == "precious" and load(path)


def test_a_replacement_that_is_refused_for_a_moment_is_tried_again(tmp_path, monkeypatch):
    replace, refused = os.replace, []

    def refuse(old, new):
        if len(refused) < 3:
            refused.append(new)
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    files.write_text(tmp_path / "a", "text")
    assert (tmp_path / "a").read_text() == "text" and len(refused) == 3
    refused[:] = []
    monkeypatch.setattr(files, "PATIENCE", -1)
    with pytest.raises(OSError, match=r"cannot write .*a: Permission denied; what was there"):
        files.write_text(tmp_path / "a", "other")
    assert os.listdir(tmp_path) == ["a"]


def test_metrics_that_cannot_be_written_do_not_end_a_training(tmp_path, monkeypatch, capsys):
    replace = os.replace

    def refuse(old, new):
        if Path(new).name == "metrics.csv":
            raise OSError(errno.EACCES, "open in another program")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(files, "PATIENCE", -1)
    run = trained(tmp_path / "run")
    assert open_run(run).done == 2
    assert "note: cannot write" in capsys.readouterr().err


def test_what_kills_have_left_is_removed_when_it_is_old(tmp_path):
    run = trained(tmp_path / "run")
    old, new = run / "checkpoint.npz.aa.partial", run / "checkpoint.npz.bb.partial"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (0, 0))
    trained(run, 3, resume=True)
    assert not old.exists() and new.exists()


# Locks


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tinyvae.train import locks\n"
        "held = locks.lock(Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(folder)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError, match=rf"another process: .*\(its pid: {holder.pid}\)"):
        locks.lock(folder, patience=0)
    holder.kill()
    holder.communicate()
    held = locks.lock(folder, patience=0)
    assert (folder / ".lock").read_text() == str(os.getpid())
    locks.unlock(held)
    assert not os.listdir(folder)


@pytest.mark.skipif(not locks.fcntl, reason="NFS is mounted where there is fcntl")
def test_a_file_system_that_locks_what_is_open_for_writing_alone(tmp_path, monkeypatch):
    """As NFS: flock on a descriptor that was opened for reading raises EBADF."""
    flock = locks.fcntl.flock

    def like_nfs(file, operation):
        number = file if isinstance(file, int) else file.fileno()
        if not locks.fcntl.fcntl(number, locks.fcntl.F_GETFL) & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(file, operation)

    monkeypatch.setattr(locks.fcntl, "flock", like_nfs)
    held = locks.lock(tmp_path, patience=0)
    with pytest.raises(BlockingIOError):
        locks.lock(tmp_path, patience=0)
    locks.unlock(held)


def test_windows_locks_too(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(locks, "msvcrt", Msvcrt())  # a byte of a file is locked once
    held = locks.lock(tmp_path, patience=0)
    with pytest.raises(BlockingIOError, match=rf"its pid: {os.getpid()}"):
        locks.lock(tmp_path, patience=0)
    locks.unlock(held)
    locks.unlock(locks.lock(tmp_path, patience=0))
    assert not os.listdir(tmp_path)


def test_where_there_are_no_locks_it_is_noted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(locks, "fcntl", None)
    trained(tmp_path / "run")
    error = capsys.readouterr().err
    assert "run is not locked (this system has no locks): see that" in error
    assert not (tmp_path / "run" / ".lock").exists()
    assert error.count("\n") == 1


def test_a_resumption_that_fails_before_it_trains_keeps_no_lock(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    assert train.main(["--dataset", "x.npy", "--epochs", "1", "--out", "r", "--quiet"]) == 0
    os.rename("x.npy", "y.npy")
    monkeypatch.setattr(locks, "PATIENCE", 0)
    for _ in range(2):
        assert train.main(["--resume", "r", "--epochs", "2", "--quiet"]) == 2
        assert "does not exist" in capsys.readouterr().err
    os.rename("y.npy", "x.npy")
    assert train.main(["--resume", "r", "--epochs", "2", "--quiet"]) == 0


# Runs that go on


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"lr": 0.5}, "was trained with lr 0.001, not 0.5: give the same, or train a new run"),
        ({"batch_size": 7}, "was trained with batch_size 10, not 7"),
        ({"optimizer": "sgd"}, "was trained with optimizer 'adam', not 'sgd'"),
        ({"kl_warmup": 1}, "was trained with kl_warmup 0, not 1"),
        ({"x": X + 1e-3}, "was trained on other data"),
        ({"x": X[::-1]}, "was trained on other data"),
    ],
)
def test_a_run_that_goes_on_otherwise_is_refused(options, line, tmp_path):
    run = trained(tmp_path / "run")
    before = (run / "config.json").read_text()
    with pytest.raises(ValueError, match=line) as error:
        trained(run, 4, resume=True, **options)
    one_line(error)
    assert (run / "config.json").read_text() == before and open_run(run).done == 2


def test_more_epochs_are_recorded(tmp_path):
    run = trained(tmp_path / "run")
    trained(run, 4, resume=True)
    assert open_run(run).config["training"]["epochs"] == 4 and open_run(run).done == 4


# Figures


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).integers(0, 255, (40, 64), dtype="uint8"))
    return ["--dataset", "x.npy", "--hidden", "8", "--quiet"]


def contents(folder="r"):
    paths = [*Path(folder, "figures").iterdir(), Path(folder, "explorer.html")]
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize("call", [0, 1, 3])
def test_an_extended_run_that_is_stopped_at_its_figures_draws_them_when_it_goes_on(
    call, images, monkeypatch
):
    """Killed while the pictures of epoch 4 replace those of epoch 2."""
    assert train.main([*images, "--epochs", "4", "--out", "whole"]) == 0
    assert train.main([*images, "--epochs", "2", "--out", "r"]) == 0
    before, replace, done = contents(), os.replace, []

    def stop(old, new):
        if Path(new).suffix in (".png", ".html"):
            if len(done) == call:
                raise KeyboardInterrupt
            done.append(new)
        replace(old, new)

    monkeypatch.setattr(os, "replace", stop)
    assert train.main(["--resume", "r", "--epochs", "4", "--quiet"]) == 130
    monkeypatch.setattr(os, "replace", replace)
    assert train.main(["--resume", "r", "--quiet"]) == 0
    after, whole = contents(), contents("whole")
    curves = {"curves.png", "explorer.html"}  # of other seconds, and of another name
    assert after.keys() == whole.keys()
    assert all(after[name] == whole[name] for name in after.keys() - curves)
    assert all(after[name] != before[name] for name in after)


def test_a_finished_run_that_goes_on_draws_nothing_anew(images):
    assert train.main([*images, "--epochs", "1", "--out", "r"]) == 0
    drawn = [path for path in Path("r").rglob("*.*") if path.suffix in (".png", ".html")]
    times = {path: path.stat().st_mtime_ns for path in drawn}
    assert len(times) > 5
    assert train.main(["--resume", "r", "--quiet"]) == 0
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


# Checkpoints


def rewritten(path, **changes):
    """Write a checkpoint's arrays again, some of them changed (None: left out)."""
    arrays = {**np.load(path), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def config_of(path, **changes):
    return np.array(json.dumps(json.loads(str(np.load(path)["config"])) | changes))


@pytest.fixture
def run(tmp_path):
    return trained(tmp_path / "run")


@pytest.fixture
def file(run):
    return run / "checkpoint.npz"


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": [20_000, 20_000, 10_000]},
        {"n_features": 10**7},
        {"latent_dim": 10**9},
        {"hidden": "many"},
        {"hidden": None},
        {"n_features": -5},
        {"latent_dim": "two"},
        {"n_classes": 2.5},
        {"unknown": 1},
        {"class": []},
        {"class": "Autoencoder"},
        {"activation": {}},
        {"likelihood": [1]},
        {"dtype": "float16"},
        {"seed": -1},
        {"sigma": "wide"},
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_is_one_line_before_a_model_is_made(changes, file, run):
    rewritten(file, config=config_of(file, **changes))
    tracemalloc.start()
    with pytest.raises(ValueError) as error:
        load(file)
    assert str(file) in one_line(error)
    settings_ = json.loads((run / "config.json").read_text())
    settings_["model"] |= changes
    (run / "config.json").write_text(json.dumps(settings_))
    with pytest.raises(ValueError) as error:
        open_run(run).model  # noqa: B018
    one_line(error)
    assert train.main(["--resume", str(run), "--epochs", "3"]) == 2
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder.0.W", np.full((5, 4), 1e200)),
        ("encoder.0.W", np.full((5, 4), np.nan)),
        ("encoder.0.W", np.full((5, 4), "a")),
        ("encoder.0.W", np.ones((4, 5))),
        ("sigma", np.array(-1.0)),
        ("sigma", np.array(1e400)),
        ("sigma", np.ones(2)),
    ],
)
def test_weights_that_cannot_be_are_one_line_and_the_model_stays(name, value, file, recwarn):
    rewritten(file, **{name: value})
    model = small(seed=7)
    before = model.parameters.theta.copy(), model.sigma
    for target in (None, model):
        with pytest.raises(ValueError) as error:
            load(file, model=target)
        one_line(error)
    np.testing.assert_array_equal(model.parameters.theta, before[0])
    assert model.sigma == before[1] and not recwarn.list


def test_weights_whose_sum_overflows_are_weights(file):
    model = small(dtype="float64")
    model.parameters.theta[:] = 1e308
    save(model, file)
    assert (load(file).parameters.theta == 1e308).all()


@pytest.mark.parametrize("t", [1e300, -3.0, 2.5, np.nan, np.inf, 2**60])
def test_a_number_of_steps_that_cannot_be_is_one_line(t, run, file):
    rewritten(file, **{"optimizer.t": np.array(t)})
    content = file.read_bytes()
    with pytest.raises(ValueError, match=r"optimizer\.t") as error:
        trained(run, 4, resume=True)
    one_line(error)
    assert file.read_bytes() == content


@pytest.mark.parametrize("name", ["history", "seconds", "kl_per_dimension", "epoch"])
@pytest.mark.parametrize("value", [np.ones(3), np.ones((2, 2, 2)), np.array("text"), None])
def test_a_history_that_cannot_be_is_one_line(name, value, run, file):
    rewritten(file, **{name: value})
    with pytest.raises(ValueError) as error:
        trained(run, 4, resume=True)
    one_line(error)


def test_what_is_no_array_is_not_saved(tmp_path):
    with pytest.raises(TypeError, match="more is no array of numbers or text"):
        save(small(), tmp_path / "m", more=object())
    assert not os.listdir(tmp_path)


def test_a_later_format_is_refused_by_name(run, file):
    rewritten(file, config=config_of(file, format=2, tinyvae="99.0"))
    with pytest.raises(ValueError, match=r"has the format 2 \(of tinyvae 99.0\).*: update tinyvae"):
        load(file)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"format": 7}))
    with pytest.raises(ValueError, match=r"json has the format 7 .*: update tinyvae"):
        open_run(run)


@pytest.mark.parametrize("name", ["batch_size", "lr", "optimizer", "lr_schedule", "kl_warmup"])
def test_a_config_that_lacks_a_setting_names_it(name, run):
    config = json.loads((run / "config.json").read_text())
    del config["training"][name]
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"config.json is damaged .'{name}' is missing."):
        open_run(run)


def test_what_a_checkpoint_does_not_need_is_not_unpacked(file):
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("more.npy", "w") as member:
            for _ in range(64):
                member.write(bytes(2**20))
    tracemalloc.start()
    load(file)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


SLOW = [HealthCheck.too_slow]  # as a busy machine is


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=SLOW)
@given(edits=EDITS)
def test_a_spoiled_checkpoint_loads_or_is_one_line(edits, tmp_path_factory):
    path = tmp_path_factory.mktemp("spoiled") / "m.npz"
    file = io.BytesIO()
    model = small()
    arrays = dict(model.parameters.items()) | {"sigma": 1.0}
    config = checkpoint.model_config(model) | {"tinyvae": "0", "format": 1}
    np.savez(file, **arrays, config=np.array(json.dumps(config)))
    path.write_bytes(spoiled(file.getvalue(), edits))
    try:
        assert np.isfinite(load(path).parameters.theta).all()
    except ValueError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    shutil.rmtree(path.parent)
