"""Trainings on several cores, and beside other threads and processes: the same bits, and an end."""

import copy
import json
import multiprocessing
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from tinyvae import IWAE, VAE, Adam, Autoencoder, fit, load, save, threads
from tinyvae.cli.train import main
from tinyvae.evaluate import elbo
from tinyvae.gradcheck import check
from tinyvae.threads import team

X = np.random.default_rng(0).random((257, 300), dtype="float32")
LABELS = np.arange(257) % 3
KINDS = {
    "sigma of the batch": (VAE, {"sigma": "auto"}),
    "bernoulli": (VAE, {"likelihood": "bernoulli"}),
    "free bits": (VAE, {"free_bits": 0.4}),
    "conditional": (VAE, {"n_classes": 3}),
    "iwae": (IWAE, {"sigma": "auto", "importance_samples": 3}),
    "autoencoder": (Autoencoder, {}),
}


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    """Pretend that there are three cores."""
    monkeypatch.setattr(threads, "CORES", 3)


def make(kind="bernoulli", dtype="float32"):
    """Return a model whose products are worth three threads."""
    kind, options = KINDS[kind]
    return kind(300, 2, hidden=(480,), dtype=dtype, backend="numpy", seed=3, **options)


def train(n, kind="bernoulli", dtype="float32", **options):
    """Return the model and the history of two epochs, whose last batch has one row."""
    model = make(kind, dtype)
    labels = LABELS if model.n_classes else None
    options = {"epochs": 2, "batch_size": 128, "progress": False, "labels": labels} | options
    return model, fit(model, X, lr=0.01, threads=n, **options)


def in_thread(function, *arguments):
    """Return what a call returns in a thread of its own."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it hangs"
    return results[0]


def theta(n=2):
    return train(n)[0].parameters.theta


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_gives_the_same_bits(kind, dtype):
    (one, alone), (other, shared) = train(1, kind, dtype), train(3, kind, dtype)
    np.testing.assert_array_equal(other.parameters.theta, one.parameters.theta)
    for row, expected in zip(shared, alone, strict=True):
        for name in ("loss", "reconstruction", "kl"):
            assert row[name] == expected[name]


@pytest.mark.parametrize("n", [1, 2])
def test_a_thread_that_is_not_the_main_one_gives_the_same_bits(n):
    np.testing.assert_array_equal(in_thread(theta, n), theta(n))


@pytest.mark.parametrize("numbers", [(2, 2), (2, 1), (3, 1)])
def test_two_trainings_side_by_side_each_have_their_number_of_threads(numbers):
    before = team.n, blas()
    expected = [theta(n) for n in numbers]
    found = {}
    pair = [
        threading.Thread(target=lambda i=i, n=n: found.update({i: theta(n)}), daemon=True)
        for i, n in enumerate(numbers)
    ]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join(60)
    for i, value in enumerate(expected):
        np.testing.assert_array_equal(found[i], value)
    assert (team.n, blas()) == before


def blas():
    """Return how many threads each matrix library may use."""
    libraries = ThreadpoolController().lib_controllers
    return [library.get_num_threads() for library in libraries if library.user_api == "blas"]


def test_the_matrix_library_is_held_in_any_thread_and_left_to_others():
    def held():
        with team.using(2):
            return blas()

    with team.using(2):
        pass
    before = blas()
    assert set(in_thread(held)) <= {1} and blas() == before


POOL = """
import hashlib, multiprocessing, sys
import numpy as np
from tinyvae import VAE, fit, threads
threads.CORES = 2

def bits(_=None):
    vae = VAE(300, 2, hidden=(480,), likelihood="bernoulli", backend="numpy")
    fit(vae, np.random.default_rng(0).random((257, 300)), 2, threads=2, progress=False)
    return hashlib.sha256(vae.parameters.theta.tobytes()).hexdigest()

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(len({bits(), *pool.map(bits, range(1)), bits()}))
"""


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_daemonic_pool_gives_the_same_bits(how, tmp_path):
    if how not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {how} here")
    (tmp_path / "pool.py").write_text(POOL)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "pool.py"), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_threads_that_multiply_matrices_leave_a_training_its_bits_and_its_end():
    expected, other, stop = theta(), make(), threading.Event()

    def multiply():
        a = np.ones((300, 300))
        while not stop.is_set():
            a @ a
            other.reconstruct(X[:100])

    busy = [threading.Thread(target=multiply, daemon=True) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        np.testing.assert_array_equal(in_thread(theta), expected)
        np.testing.assert_array_equal(theta(), expected)
    finally:
        stop.set()


CALLS = {
    "encode": lambda model: model.encode(X[:40]),
    "decode": lambda model: model.decode(np.zeros((3, 2))),
    "reconstruct": lambda model: model.reconstruct(X[:40]),
    "sample": lambda model: model.sample(4),
    "noise": lambda model: model.sample(4, noise=True),
    "elbo": lambda model: elbo(model, X[:20], samples=2),
    "copy": lambda model: copy.copy(model),
    "deepcopy": lambda model: copy.deepcopy(model),
    "pickle": lambda model: pickle.loads(pickle.dumps(model)).encode(X[:2]),
}


def during(call):
    """Train a model while another thread calls `call(model)`; return θ and what was raised."""
    model, raised, begun, stop = make(), [], threading.Event(), threading.Event()

    def again():
        begun.wait()
        while not stop.is_set() and not raised:
            try:
                call(model)
            except Exception as error:
                raised.append(error)

    beside = threading.Thread(target=again, daemon=True)
    beside.start()
    fit(model, X, 3, lr=0.01, threads=2, progress=False, callback=lambda row: begun.set())
    stop.set()
    beside.join(60)
    assert not beside.is_alive()
    return model.parameters.theta, raised


@pytest.mark.parametrize("name", CALLS)
def test_what_only_reads_a_model_may_be_called_while_it_is_trained(name):
    found, raised = during(CALLS[name])
    assert not raised
    np.testing.assert_array_equal(found, train(2, epochs=3)[0].parameters.theta)


@pytest.mark.parametrize("name", ["forward", "backward", "fit", "load", "gradcheck"])
def test_what_would_mix_with_a_training_is_one_line_and_the_training_goes_on(name, tmp_path):
    path = save(make(), tmp_path / "m.npz")
    calls = {
        "load": lambda model: load(path, model=model),
        "gradcheck": lambda model: check(model, X[:2]),
        "forward": lambda model: model.forward(X[:5]),
        "backward": lambda model: model.backward(),
        "fit": lambda model: fit(model, X, 1, progress=False),
    }
    found, raised = during(calls[name])
    assert [type(error) for error in raised] == [RuntimeError]
    assert str(raised[0]).startswith("another thread is training this model: wait for it, or give")
    np.testing.assert_array_equal(found, train(2, epochs=3)[0].parameters.theta)


def test_the_backward_of_another_threads_forward_is_one_line():
    model = make()
    in_thread(model.forward, X[:5])
    with pytest.raises(RuntimeError, match="the last forward was another thread's"):
        model.backward()
    model.forward(X[:5])
    model.backward()


def test_a_copy_made_in_a_callback_can_be_trained_in_any_thread():
    model, copies = make(), []
    fit(model, X, 1, progress=False, callback=lambda row: copies.append(copy.deepcopy(model)))
    in_thread(lambda: fit(copies[0], X, 1, progress=False))


def test_where_no_thread_can_be_started_this_one_does_all(monkeypatch):
    expected = theta()

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(team, "workers", 0)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    np.testing.assert_array_equal(theta(), expected)


def test_a_resumed_training_ends_with_the_same_bits(tmp_path):
    whole, _ = train(2, run=tmp_path / "whole")
    train(3, run=tmp_path / "parts", callback=lambda row: row["epoch"] == 1)
    resumed, _ = train(1, run=tmp_path / "parts", resume=True)  # whatever the number of threads
    np.testing.assert_array_equal(resumed.parameters.theta, whole.parameters.theta)


def test_a_run_that_goes_on_with_another_blas_or_numpy_says_so(tmp_path, capsys):
    run = tmp_path / "run"
    train(1, run=run, callback=lambda row: row["epoch"] == 1)
    config = json.loads((run / "config.json").read_text())
    assert config["versions"]["numpy"] == np.__version__
    assert config["versions"]["blas"] == team.library != ""
    config["versions"] |= {"numpy": "1.0", "blas": "openblas 0.3 Zen"}
    (run / "config.json").write_text(json.dumps(config))
    capsys.readouterr()
    train(1, run=run, resume=True)
    numpy, blas = capsys.readouterr().err.splitlines()
    assert numpy.startswith(f"note: numpy was 1.0, and is {np.__version__}: ")
    assert blas.startswith(f"note: blas was openblas 0.3 Zen, and is {team.library}: ")


def test_ctrl_c_leaves_the_last_epoch_and_a_model_that_may_be_used(tmp_path):
    def stop(row):
        raise KeyboardInterrupt

    model = make()
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, 2, run=tmp_path / "run", callback=stop, progress=False, threads=2)
    assert (tmp_path / "run" / "checkpoint.npz").exists()
    in_thread(lambda: (model.forward(X[:3]), model.backward()))


def test_two_threads_may_train_two_models_by_hand():
    def by_hand():
        model = make()
        optimizer = Adam(model.parameters)
        for _ in range(4):
            model.forward(X[:128])
            model.backward()
            optimizer.step()
        return model.parameters.theta

    with team.using(2):
        expected = by_hand()
    found = []
    pair = [threading.Thread(target=lambda: found.append(by_hand())) for _ in range(2)]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()
    for value in found:
        np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-5)


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
    np.save(tmp_path / "x.npy", X[:41, :12])
    run = str(tmp_path / "run")
    quiet = ["--no-figures", "--quiet"]
    new = ["--dataset", str(tmp_path / "x.npy"), "--out", run, "--threads", "3", "--epochs", "1"]
    assert main([*new, *quiet]) == 0
    monkeypatch.setattr(threads, "CORES", 1)
    assert main(["--resume", run, "--epochs", "2", *quiet]) == 0


def test_a_run_with_a_damaged_number_of_threads_is_one_line(tmp_path, capsys):
    np.save(tmp_path / "x.npy", X[:41, :12])
    run, quiet = str(tmp_path / "own"), ["--no-figures", "--quiet"]
    new = ["--dataset", str(tmp_path / "x.npy"), "--out", run, "--epochs", "1", "--threads", "1"]
    main([*new, *quiet])
    config = tmp_path / "own" / "config.json"
    config.write_text(config.read_text().replace('"threads": 1', '"threads": "many"'))
    assert main(["--resume", run, "--epochs", "2", *quiet]) == 2
    error = capsys.readouterr().err
    assert "not 'many'" in error and error.count("\n") == 1
