"""Threads for large products: the same results, whatever goes wrong."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from tinyvae import VAE, Adam, Dense, Sequential, threads
from tinyvae.evaluate.evaluation import log_likelihood
from tinyvae.threads import ThreadedOps, set_threads, team

OPS = ThreadedOps()

LARGE = [(128, 400, 784), (100, 200, 783), (130, 777, 401)]


@pytest.fixture(params=[2, 3])
def several(request, monkeypatch):
    """Use so many threads, whatever the machine has."""
    monkeypatch.setattr(team, "n", request.param)


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(team, "n", 2)


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("turned", [False, True])
def test_a_large_product_is_the_product(shape, turned, several, rng):
    m, k, n = shape
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    b = np.ascontiguousarray(b.T).T if turned else b
    np.testing.assert_allclose(OPS.matmul(a, b), a @ b, rtol=1e-10, atol=1e-12)


def test_a_large_product_is_cut_up(two, monkeypatch, rng):
    given = []
    monkeypatch.setattr(team, "start", lambda calls: given.extend(calls) or start(calls))
    start = type(team).start.__get__(team)
    OPS.matmul(*rng.standard_normal((2, 400, 400)))
    assert len(given) == 1


@pytest.mark.parametrize("n", [1, 2])
def test_a_small_product_stays_in_one_piece(n, monkeypatch, rng):
    monkeypatch.setattr(team, "n", n)
    monkeypatch.setattr(team, "start", None)
    a, b = rng.standard_normal((2, 20, 20))
    np.testing.assert_array_equal(OPS.matmul(a, b), a @ b)


def test_a_product_is_written_into_an_array(two, rng):
    a, b = rng.standard_normal((2, 400, 400))
    out = np.empty((400, 400))
    OPS.matmul(a, b, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-10, atol=1e-12)


def trained(n: int, dtype: str = "float64") -> list[np.ndarray]:
    """Return what a few steps on batches of 130 rows make, with n threads."""
    vae = VAE(300, 3, hidden=(401,), likelihood="bernoulli", dtype=dtype, backend="numpy")
    optimizer, x = Adam(vae.parameters), np.random.default_rng(0).random((130, 300), dtype=dtype)
    with team.using(n):
        for _ in range(3):
            vae.forward(x)
            vae.backward()
            optimizer.step()
    return [vae.parameters.theta, vae.parameters.grad]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_in_threads_ends_as_it_does_in_one(dtype):
    for one, other in zip(trained(1, dtype), trained(2, dtype), strict=True):
        np.testing.assert_array_equal(one, other)


KERNELS = """
import numpy as np
from tinyvae import threads
rng, ops, threads.CORES = np.random.default_rng(0), threads.ThreadedOps(), 5
for dtype in ("float32", "float64"):
    for m in (48, 49, 71, 72, 97, 100, 121, 128, 200, 500):
        a, b = rng.standard_normal((m, 784)).astype(dtype), rng.standard_normal((784, 501))
        b = b.astype(dtype)
        for a, b in ((a, b), (np.asfortranarray(a), b), (a, np.asfortranarray(b))):
            with threads.team.using(1):
                one = ops.matmul(a, b)
            for n in (2, 3, 4, 5):
                with threads.team.using(n):
                    assert (ops.matmul(a, b) == one).all(), (dtype, m, n)
"""


@pytest.mark.parametrize("kernel", ["", "Haswell", "Nehalem"])
def test_products_have_the_same_bits_with_every_kernel(kernel):
    """Of the matrix library: this machine's, that of AMD's and older Intel's, one without AVX."""
    environment = os.environ | ({"OPENBLAS_CORETYPE": kernel} if kernel else {})
    cpu = Path("/proc/cpuinfo")
    if kernel and not (cpu.exists() and "avx2" in cpu.read_text()):
        pytest.skip("the processor lacks what this kernel needs")
    subprocess.run([sys.executable, "-c", KERNELS], env=environment, check=True)


def test_ranges_make_up_the_whole(several):
    seen = np.zeros(3 * threads.LONG + 1)

    def count(start, stop):
        seen[start:stop] += 1

    OPS.over(count, seen.size)
    assert (seen == 1).all()


def test_an_error_in_another_thread_is_raised_here_and_harms_nothing(two):
    def fail(start, stop):
        if start:
            raise ValueError(f"from {start}")

    with pytest.raises(ValueError, match=f"from {threads.LONG}"):
        OPS.over(fail, 2 * threads.LONG)
    OPS.over(lambda start, stop: None, 2 * threads.LONG)


def test_ctrl_c_waits_for_the_other_threads(two):
    begun, ended = threading.Event(), []

    def work(start, stop):
        if start:
            begun.set()
            sum(range(10**5))
            ended.append(True)
        else:
            begun.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        OPS.over(work, 2 * threads.LONG)
    assert ended


def test_ctrl_c_during_the_wait_is_raised_when_the_call_is_made():
    class Interrupted:
        looks = 0

        def __enter__(self):
            self.looks += 1
            if self.looks == 1:
                raise KeyboardInterrupt

        def __exit__(self, *error):
            pass

    call = threads.Call(divmod, 1, 0)
    call.make()
    call.done = done = Interrupted()
    pressed, error = call.errors_when_done()
    assert isinstance(pressed, KeyboardInterrupt) and isinstance(error, ZeroDivisionError)
    assert done.looks == 2


def test_a_call_is_made_once_by_whoever_begins_it_first():
    made = []
    call = threads.Call(made.append, 1)
    several = [threading.Thread(target=call.make) for _ in range(8)]
    for thread in several:
        thread.start()
    call.make()
    for thread in several:
        thread.join()
    assert call.errors_when_done() == [] and made == [1]


def test_where_no_thread_can_be_started_all_is_done_here(two, monkeypatch):
    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    other, seen = type(team)(2), []
    other.together([(seen.append, n) for n in range(3)])
    assert seen == [0, 1, 2] and other.queue.empty()


def test_numpys_error_state_holds_in_every_thread(two):
    def divide(start, stop):
        if start:
            np.ones(1) / np.zeros(1)

    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        OPS.over(divide, 2 * threads.LONG)


def blas_threads() -> list[int]:
    libraries = ThreadpoolController().lib_controllers
    return [library.num_threads for library in libraries if library.user_api == "blas"]


def test_the_matrix_library_is_held_to_one_thread_meanwhile():
    before = blas_threads()
    with team.using(2):
        assert team.n == 2 and set(blas_threads()) <= {1}
    assert blas_threads() == before


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (0, "threads .or 'auto'. must be a whole number of at least 1, not 0"),
        ("many", "threads .or 'auto'. must be a whole number of at least 1, not 'many'"),
        (5, "threads must be at most 4, the cores at hand, not 5"),
    ],
)
def test_an_impossible_number_of_threads_is_one_line(wanted, line, monkeypatch):
    monkeypatch.setattr(threads, "CORES", 4)
    with pytest.raises(ValueError, match=line):
        set_threads(wanted)


def test_auto_heeds_what_the_environment_says(monkeypatch):
    monkeypatch.setattr(threads, "CORES", 4)
    monkeypatch.setattr(team, "n", 1)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    set_threads("auto")
    assert team.n == 3


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 32),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 32),
        ({}, 32),
    ],
)
def test_a_containers_quota_bounds_the_cores(files, expected, tmp_path, monkeypatch):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(32), raising=False)
    monkeypatch.setattr(threads, "CGROUPS", tmp_path)
    assert threads.cores() == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_fork_of_the_process_starts_threads_of_its_own(two, rng):
    a, b = rng.standard_normal((2, 400, 400))
    expected = OPS.matmul(a, b)
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(OPS.matmul(a, b), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_evaluation_in_threads_says_what_it_says_in_one(monkeypatch, rng):
    vae = VAE(784, 2, hidden=(30,), likelihood="bernoulli", backend="numpy")
    x = (rng.random((30, 784)) < 0.2).astype("float32")
    found = []
    for n in (1, 2):
        monkeypatch.setattr(team, "n", n)
        found.append(log_likelihood(vae, x, samples=20).log_likelihood)
    np.testing.assert_allclose(*found, rtol=1e-6)


class Reusing:
    """A ReLU of somebody's own that writes its gradient over what it gave to the next layer."""

    def forward(self, x):
        self.y = np.maximum(x, 0)
        return self.y

    def backward(self, dy):
        return np.multiply(dy, self.y > 0, out=self.y)


def test_a_layer_that_reuses_its_memory_keeps_its_gradient(monkeypatch, rng):
    found = []
    x, eps = rng.random((200, 300)), rng.standard_normal((200, 3))
    for n in (1, 2):
        monkeypatch.setattr(team, "n", n)
        encoder = Sequential(Dense(300, 401), Reusing(), Dense(401, 401), Reusing(), Dense(401, 6))
        decoder = Sequential(Dense(3, 300))
        vae = VAE(encoder=encoder, decoder=decoder, dtype="float64", backend="numpy")
        vae.forward(x, eps=eps)
        vae.backward()
        found.append(vae.parameters.grad)
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-9)


def test_callers_side_by_side_leave_the_matrix_library_as_it_was(two, rng):
    a, b = rng.standard_normal((2, 400, 400))
    before = blas_threads()
    callers = [threading.Thread(target=OPS.matmul, args=(a, b)) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert blas_threads() == before
