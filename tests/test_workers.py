"""Several processes that share a training: the same training, whatever goes wrong."""

import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tinyvae import IWAE, VAE, Adam, Autoencoder, Dense, Sequential, fit, threads
from tinyvae.cli.train import main
from tinyvae.engines import processes
from tinyvae.threads import team

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes share only on Linux")

X = np.random.default_rng(0).random((41, 12))
LABELS = np.arange(41) % 3
MODELS = {
    "sigma of the batch": (VAE, {"sigma": "auto"}),
    "bernoulli": (VAE, {"likelihood": "bernoulli"}),
    "free bits": (VAE, {"free_bits": 0.4}),
    "conditional": (VAE, {"n_classes": 3}),
    "iwae": (IWAE, {"sigma": "auto", "importance_samples": 3}),
    "autoencoder": (Autoencoder, {}),
}


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    """Pretend that there are three cores, and see that no process is left over."""
    monkeypatch.setattr(threads, "CORES", 3)
    yield
    assert not multiprocessing.active_children()


def train(n, kind="bernoulli", batch_size=8, dtype="float64", **options):
    """Return the model and the history of three epochs in n processes; the last batch is small."""
    make, arguments = MODELS[kind]
    model = make(12, 2, hidden=(7,), dtype=dtype, backend="numpy", seed=3, **arguments)
    labels = LABELS if model.n_classes else None
    options = {"epochs": 3, "progress": False, "labels": labels, "threads": n} | options
    return model, fit(model, X, batch_size=batch_size, lr=0.01, **options)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("kind", MODELS)
def test_processes_train_as_one_does(kind, n):
    (one, alone), (other, shared) = train(1, kind), train(n, kind)
    np.testing.assert_allclose(other.parameters.theta, one.parameters.theta, rtol=1e-9, atol=1e-12)
    if kind in ("sigma of the batch", "iwae"):
        assert other.sigma == pytest.approx(one.sigma, rel=1e-9)
    for row, expected in zip(shared, alone, strict=True):
        for name in ("loss", "reconstruction", "kl"):
            assert row[name] == pytest.approx(expected[name], rel=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd"},
        {"kl_warmup": 2.5, "kl_cycles": 2},
        {"lr_schedule": "cosine"},
        {"batch_size": 40},  # leaves a last batch of one row: some processes have none
    ],
    ids=str,
)
def test_what_changes_from_step_to_step_reaches_every_process(options):
    (one, _), (other, _) = train(1, **options), train(3, **options)
    np.testing.assert_allclose(other.parameters.theta, one.parameters.theta, rtol=1e-9, atol=1e-12)


def test_validation_weighs_the_kl_as_one_process_does():
    options = {"kl_warmup": 5, "validation": X}
    (_, alone), (_, shared) = train(1, **options), train(2, **options)
    assert [row["val_loss"] for row in shared] == pytest.approx([row["val_loss"] for row in alone])


def test_a_number_of_processes_gives_the_same_bits_every_time():
    (one, _), (other, _) = train(2, dtype="float32"), train(2, dtype="float32")
    np.testing.assert_array_equal(one.parameters.theta, other.parameters.theta)


def test_a_resumed_training_ends_with_the_same_bits(tmp_path):
    whole, _ = train(2, dtype="float32", run=tmp_path / "whole")
    train(2, dtype="float32", run=tmp_path / "parts", callback=lambda row: row["epoch"] == 1)
    resumed, _ = train(2, dtype="float32", run=tmp_path / "parts", resume=True)
    np.testing.assert_array_equal(resumed.parameters.theta, whole.parameters.theta)


def test_the_model_keeps_its_arrays_and_a_callback_sees_them_trained():
    model = VAE(12, 2, hidden=(7,), backend="numpy")
    theta, W = model.parameters.theta, model.parameters["encoder.0.W"]
    seen = []
    fit(model, X, epochs=2, threads=2, progress=False, callback=lambda row: seen.append(W.copy()))
    assert model.parameters.theta is theta and np.shares_memory(W, theta)
    assert not np.array_equal(seen[0], seen[1]) and np.array_equal(seen[1], W)


def others_in(**options) -> int:
    """Return how many other processes take part in a training."""
    seen = []
    model = options.pop("model", None) or VAE(12, 2, hidden=(7,), backend="numpy")
    count = lambda row: seen.append(len(multiprocessing.active_children()))  # noqa: E731
    fit(model, options.pop("x", X), epochs=1, progress=False, callback=count, **options)
    return seen[0]


class Scaled(Dense):
    """A layer of somebody's own."""


@pytest.mark.parametrize(("n", "children"), [(1, 0), (2, 1), (3, 2)])
def test_n_threads_are_n_processes_with_this_one(n, children):
    assert others_in(threads=n) == children


def test_a_layer_of_somebodys_own_trains_in_one_process():
    encoder, decoder = Sequential(Scaled(12, 4)), Sequential(Dense(2, 12))
    model = VAE(encoder=encoder, decoder=decoder, backend="numpy")
    assert others_in(model=model, threads=2) == 0


class Twice(Sequential):
    """A network of somebody's own."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_a_network_of_somebodys_own_trains_in_one_process():
    encoder, decoder = Twice(Dense(12, 4)), Sequential(Dense(2, 12))
    assert others_in(model=VAE(encoder=encoder, decoder=decoder, backend="numpy"), threads=2) == 0


def test_an_optimizer_whose_step_was_wrapped_trains_in_one_process():
    model = VAE(12, 2, hidden=(7,), backend="numpy")
    optimizer = Adam(model.parameters)
    step, optimizer.step = optimizer.step, lambda: step()
    assert others_in(model=model, optimizer=optimizer, threads=2) == 0


def test_where_no_process_can_be_started_one_trains_alone(monkeypatch):
    def refuse(*arguments):
        raise OSError("no more processes")

    monkeypatch.setattr(processes.ProcessSteps, "__init__", refuse)
    assert others_in(threads=2) == 0


@pytest.mark.parametrize(
    ("weights", "batch", "expected"),
    [((784, 20, (400,)), 128, 2), ((64, 2, (128,)), 64, 1), ((784, 20, (400,)), 30, 1)],
)
def test_auto_takes_as_many_as_a_training_is_worth(weights, batch, expected, monkeypatch):
    monkeypatch.setattr(team, "n", 2)
    assert (
        processes.number("auto", VAE(*weights[:2], hidden=weights[2], backend="numpy"), batch)
        == expected
    )


def test_ctrl_c_leaves_no_process_and_the_last_epoch(tmp_path):
    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(2, run=tmp_path / "run", callback=stop)
    assert (tmp_path / "run" / "checkpoint.npz").exists()


def test_a_worker_that_is_killed_is_one_line(tmp_path):
    def kill(row):
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)
            process.join()

    with pytest.raises(RuntimeError, match="a worker process was ended from outside"):
        train(2, run=tmp_path / "run", callback=kill)
    assert (tmp_path / "run" / "checkpoint.npz").exists()


def test_an_error_in_a_worker_is_told(monkeypatch):
    loss, here = VAE.loss, os.getpid()

    def fail(self, *arguments, **named):
        if os.getpid() != here:
            raise MemoryError("no room for 3 bytes")
        return loss(self, *arguments, **named)

    monkeypatch.setattr(VAE, "loss", fail)
    with pytest.raises(MemoryError, match=r"a worker process failed \(MemoryError: no room for 3"):
        train(2)


def test_a_killed_worker_of_the_command_is_one_line_that_says_how_to_go_on(
    tmp_path, monkeypatch, capsys
):
    np.save(tmp_path / "x.npy", X.astype("float32"))
    begin = processes.ProcessSteps.start

    def kill(self, *arguments):
        self.processes[0].kill()
        self.processes[0].join()
        begin(self, *arguments)

    monkeypatch.setattr(processes.ProcessSteps, "start", kill)
    run = str(tmp_path / "run")
    command = ["--dataset", str(tmp_path / "x.npy"), "--out", run, "--threads", "2", "--quiet"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "ended from outside" in error and f"--resume {run}" in error and error.count("\n") == 1


def test_a_batch_larger_than_the_data_is_the_data():
    (one, _), (other, _) = train(1, batch_size=10**18), train(2, batch_size=10**18)
    np.testing.assert_allclose(other.parameters.theta, one.parameters.theta, rtol=1e-9, atol=1e-12)


def test_files_are_closed_when_a_training_ends():
    train(2)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        train(2)
    assert len(os.listdir("/proc/self/fd")) <= before


PARENT = """
import os, signal, numpy as np
from tinyvae import VAE, fit, threads
threads.CORES = 2
os.set_inheritable(1, True)
kill = lambda row: os.kill(os.getpid(), signal.SIGKILL)
fit(VAE(12, 2, hidden=(7,), backend="numpy"), np.ones((9, 12)), threads=2, callback=kill)
"""


def test_workers_end_where_their_parent_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    parent.stdout.read()  # comes to an end when the last process that holds it has ended
    assert parent.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("number", "line"),
    [("0", "of at least 1, not 0"), ("4", "at most 3, the cores at hand, not 4")],
)
def test_an_impossible_number_on_the_command_line_is_one_line(number, line, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--threads", number])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1


def test_a_run_that_goes_on_where_there_are_fewer_cores_takes_those(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X.astype("float32"))
    run = str(tmp_path / "run")
    quiet = ["--no-figures", "--quiet"]
    new = ["--dataset", str(tmp_path / "x.npy"), "--out", run, "--threads", "3", "--epochs", "1"]
    assert main([*new, *quiet]) == 0
    monkeypatch.setattr(threads, "CORES", 1)
    assert main(["--resume", run, "--epochs", "2", *quiet]) == 0


def test_a_callback_may_change_what_the_next_epoch_weighs():
    def change(model):
        def callback(row):
            model.reconstruction_weight, model.beta, model.free_bits = 0.5, 3.0, 0.6

        return callback

    ends = []
    for n in (1, 2):
        model = VAE(12, 2, hidden=(7,), dtype="float64", backend="numpy", free_bits=0.1)
        fit(model, X, epochs=2, threads=n, progress=False, callback=change(model))
        ends.append(model.parameters.theta)
    np.testing.assert_allclose(*ends, rtol=1e-9, atol=1e-12)


def test_a_process_too_many_ends_the_others(monkeypatch):
    start = multiprocessing.context.ForkProcess.start

    def refuse_the_second(process):
        if multiprocessing.active_children():
            raise OSError("no more processes")
        start(process)

    monkeypatch.setattr(multiprocessing.context.ForkProcess, "start", refuse_the_second)
    assert others_in(threads=3) == 0


def test_a_run_with_a_damaged_number_of_threads_is_one_line(tmp_path, capsys):
    np.save(tmp_path / "x.npy", X.astype("float32"))
    run, quiet = str(tmp_path / "own"), ["--no-figures", "--quiet"]
    main(["--dataset", str(tmp_path / "x.npy"), "--out", run, "--epochs", "1", *quiet])
    config = tmp_path / "own" / "config.json"
    config.write_text(config.read_text().replace('"threads": 1', '"threads": "many"'))
    assert main(["--resume", run, "--epochs", "2", *quiet]) == 2
    error = capsys.readouterr().err
    assert "not 'many'" in error and error.count("\n") == 1
