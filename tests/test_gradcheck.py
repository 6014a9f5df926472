"""The gradient check itself: right gradients pass, however they are written; wrong ones are refused
with words that say what is wrong; kinks raise no alarm; the command's exit statuses and lines."""

import subprocess
import sys

import numpy as np
import pytest
import strict

from tinyvae import VAE
from tinyvae.cli.gradcheck import main
from tinyvae.core.latent import kl, kl_backward, reparameterize, reparameterize_backward
from tinyvae.core.layers import Dense, ReLU, Sequential, Tanh
from tinyvae.core.likelihood import Gaussian
from tinyvae.device import Backend
from tinyvae.gradcheck import check
from tinyvae.gradcheck import parts as parts_of_tinyvae
from tinyvae.gradcheck.differences import slopes


class Linear:
    """A learner's layer in plain NumPy, with weights of its own and einsum instead of matmul."""

    def __init__(self, n_in: int = 3, n_out: int = 2) -> None:
        rng = np.random.default_rng(1)
        self.W, self.b = rng.standard_normal((n_in, n_out)), np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return np.einsum("bi,ij->bj", x, self.W) + self.b

    def backward(self, dy):
        self.dW = np.einsum("bi,bj->ij", self.x, dy)
        self.db = np.einsum("bj->j", dy)
        return np.einsum("bj,ij->bi", dy, self.W)


class Declared(Linear):
    """The same with tinyvae's contract: declared shapes, gradients written into given arrays."""

    def __init__(self, n_in: int = 3, n_out: int = 2) -> None:
        self.shapes = {"W": (n_in, n_out), "b": (n_out,)}

    def backward(self, dy):
        self.dW[...] = self.x.T @ dy
        self.db[...] = dy.sum(axis=0)
        return dy @ self.W.T


def spoiled(spoil, n_in: int = 3, n_out: int = 2):
    """Return a right layer whose `backward` is followed by spoil(layer, dx, dy) → another dx."""

    class Spoiled(Declared):
        def backward(self, dy):
            dx = super().backward(dy)
            return spoil(self, dx, dy)

    return Spoiled(n_in, n_out)


# --- right gradients pass


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (4, 3), (7, 2)])
@pytest.mark.parametrize("kind", [Linear, Declared, Dense])
def test_right_layers_pass_at_every_shape(kind, shape, rng):
    report = check(kind(shape[1], 2), rng.standard_normal(shape))
    assert report.passed
    assert list(report.arrays) == ["x", "W", "b"]
    assert report.error < 1e-10


def test_a_layer_without_input_gets_one_that_fits():
    report = check(Linear(6, 2))
    assert report and report.arrays["x"].shape == (5, 6)


def test_layers_within_layers_are_checked(rng):
    class Network:
        def __init__(self):
            self.first, self.act, self.last = Linear(3, 4), Tanh(), Linear(4, 2)

        def forward(self, x):
            return self.last.forward(self.act.forward(self.first.forward(x)))

        def backward(self, dy):
            return self.first.backward(self.act.backward(self.last.backward(dy)))

    report = check(Network(), shape=(4, 3))
    assert report and list(report.arrays) == ["x", "first.W", "first.b", "last.W", "last.b"]
    report = check(Sequential(Dense(3, 4), ReLU(), Linear(4, 2)))
    assert report and list(report.arrays) == ["x", "0.W", "0.b", "1.W", "1.b"]


def test_a_layer_that_returns_its_input_or_reuses_its_output_passes():
    class Identity:
        def forward(self, x):
            return x

        def backward(self, dy):
            return dy

    class Reuses:
        def forward(self, x):
            self.y = getattr(self, "y", np.empty_like(x))
            return np.sin(x, out=self.y)

        def backward(self, dy):
            return dy * np.sqrt(1 - self.y**2)

    assert check(Identity())
    assert check(Reuses(), np.linspace(-1.0, 1.0, 6).reshape(2, 3))


def test_a_backward_pass_that_works_in_dy_passes_with_a_note():
    class InPlace(ReLU):
        def backward(self, dy):
            dy[self.y <= 0] = 0
            return dy

    report = check(InPlace())
    assert report and "changes dy in place" in str(report)


FUNCTIONS = {
    "a number": (lambda x: x**3, lambda x: 3 * x**2, (2.0,)),
    "a scalar of an array": (lambda x: (x**2).sum(), lambda x: 2 * x, (np.arange(4.0),)),
    "an array, by its sum": (np.sin, np.cos, (np.arange(4.0),)),
    "a backward pass": (lambda x: x**2, lambda dy, x: dy * 2 * x, (np.arange(6.0).reshape(2, 3),)),
    "two inputs": (lambda x, y: x * y, lambda x, y: (y, x), (np.arange(3.0), np.ones(3))),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_pairs_of_functions_pass(case):
    value, gradient, inputs = FUNCTIONS[case]
    assert check(value, gradient, *inputs)


def test_a_backward_function_takes_the_inputs_that_it_names(rng):
    mu, logvar, eps = rng.standard_normal((3, 4, 2))
    report = check(reparameterize, reparameterize_backward, mu, logvar, eps)
    assert report and list(report.arrays) == ["mu", "logvar"]
    assert "eps is held still" in str(report)
    assert check(reparameterize, reparameterize_backward, mu, logvar, eps=eps)
    assert check(kl, kl_backward, mu, logvar)


def test_models_with_weights_in_lists_and_dicts_pass(rng):
    class Model:
        def __init__(self):
            self.params = [rng.standard_normal((3, 2)), rng.standard_normal(2)]
            self.grads = [np.zeros((3, 2)), np.zeros(2)]

        def forward(self, x):
            self.x, self.y = x, np.tanh(x @ self.params[0] + self.params[1])
            return 0.5 * float((self.y**2).sum())

        def backward(self):
            d = self.y * (1 - self.y**2)
            self.grads[0][...], self.grads[1][...] = self.x.T @ d, d.sum(axis=0)

    class ByName(Model):
        def __init__(self):
            super().__init__()
            self.W, self.b = self.params
            self.params = {"W": self.W, "b": self.b}
            self.grads = {}

        def forward(self, x):
            self.x, self.y = x, np.tanh(x @ self.W + self.b)
            return 0.5 * (self.y**2).sum()

        def backward(self):
            d = self.y * (1 - self.y**2)
            self.grads = {"W": self.x.T @ d, "b": d.sum(axis=0)}

    x = rng.standard_normal((4, 3))
    assert list(check(Model(), x).arrays) == ["params[0]", "params[1]"]
    assert check(Model(), x) and check(ByName(), x)


def test_a_vae_passes_and_stays_as_it_is(rng):
    vae = VAE(6, 2, hidden=(5,), dtype="float64", backend="numpy")
    theta, x = vae.parameters.theta.copy(), rng.random((4, 6))
    report = check(vae, x, eps=rng.standard_normal((4, 2)))
    assert report and list(report.arrays) == list(vae.parameters)
    np.testing.assert_array_equal(vae.parameters.theta, theta)


def test_a_layer_and_its_input_stay_as_they_are(rng):
    layer, x = Linear(), rng.standard_normal((4, 3))
    W, x_before = layer.W.copy(), x.copy()
    check(layer, x)
    np.testing.assert_array_equal(layer.W, W)
    np.testing.assert_array_equal(x, x_before)
    assert not hasattr(layer, "dW")


# --- wrong gradients are refused, in the right words


def scale_W(factor):
    return lambda layer, dx, dy: np.multiply(layer.dW, factor, out=layer.dW) is None or dx


def add_to_W(term):
    return lambda layer, dx, dy: np.add(layer.dW, term(layer), out=layer.dW) is None or dx


def zero_row(layer, dx, dy):
    layer.dW[0] = 0
    return dx


def overwrite_x(layer, dx, dy):
    layer.x[...] = 0
    return dx


def rebind(layer, dx, dy):
    layer.dW = layer.dW.copy()
    return dx


ERRORS = {
    "sign": (scale_W(-1), "W: -1 times the right value in every entry (the sign is flipped)"),
    "half": (scale_W(0.5), "a 2 forgotten"),
    "double": (scale_W(2), "a ½ forgotten"),
    "batch mean": (scale_W(1 / 5), "1/B with B = 5: divided by B once too often"),
    "no batch mean": (scale_W(5), "B = 5: the mean's 1/B is missing"),
    "another factor": (scale_W(1.37), "W: 1.37 times the right value"),
    "zero": (scale_W(0), "W: zero throughout"),
    "zero in a row": (zero_row, "zero where it should not be in 2 of 6 entries (row 0)"),
    "a forgotten term": (add_to_W(lambda layer: 0.1 * layer.W), "term is missing: -0.1 · W"),
    "a constant term": (add_to_W(lambda layer: 0.25), "a term is missing: -0.25 has to be added"),
    "dx divided by B": (lambda layer, dx, dy: dx / 5, "x: 0.2 times the right value"),
    "dx transposed": (lambda layer, dx, dy: dx.T, "dx has the shape (3, 5), but x has (5, 3)"),
    "no dx": (lambda layer, dx, dy: None, "backward returns None"),
    "nan": (lambda layer, dx, dy: dx * np.nan, "nan or inf in dx"),
    "x overwritten": (overwrite_x, "backward changes x in place"),
    "dW is another array": (rebind, "backward makes a new dW"),
    "no pattern": (lambda layer, dx, dy: np.tanh(dx), "no simple pattern"),
}


@pytest.mark.parametrize("error", ERRORS)
def test_a_planted_error_is_refused_and_named(error):
    spoil, words = ERRORS[error]
    report = check(spoiled(spoil))
    assert not report
    assert words in str(report)


def test_a_transposed_gradient_is_named():
    def transpose(layer, dx, dy):
        layer.dW[...] = layer.dW.T.copy()
        return dx

    report = check(spoiled(transpose, 3, 3))
    assert not report and "W: transposed" in str(report)


def test_a_forgotten_dy_is_named():
    class Forgets(Tanh):
        def backward(self, dy):
            return 1 - self.y**2

    assert "the factor dy is missing" in str(check(Forgets()))


def test_a_gradient_that_is_added_instead_of_written_is_named():
    class Adds(Declared):
        def backward(self, dy):
            self.dW += self.x.T @ dy
            self.db += dy.sum(axis=0)
            return dy @ self.W.T

    report = check(Adds())
    assert not report
    assert "backward adds to the gradient of W, b (+=)" in str(report)
    assert all(array.passed for array in report.arrays.values())


def test_a_forgotten_gradient_is_named():
    class Forgets(Linear):
        def backward(self, dy):
            self.dW = self.x.T @ dy
            return dy @ self.W.T

    report = check(Forgets())
    assert not report and "b has no gradient: backward leaves no db" in str(report)


def test_fresh_noise_in_the_forward_pass_is_named(rng):
    vae = VAE(6, 2, hidden=(5,), dtype="float64", backend="numpy")
    report = check(vae, rng.random((4, 6)))
    assert not report and "pass it in, as in check(model, x, eps=eps)" in str(report)


def test_other_noise_in_the_backward_pass_is_named(rng):
    class Redraws(VAE):
        def backward(self):
            self.eps = self.noise.standard_normal(self.eps.shape)
            super().backward()

    vae = Redraws(6, 2, hidden=(5,), dtype="float64", backend="numpy")
    report = check(vae, rng.random((4, 6)), eps=rng.standard_normal((4, 2)))
    assert not report and "does it draw noise of its own" in str(report)


def test_the_report_tells_where_an_error_enters_a_model(rng):
    class NoKL(VAE):
        def backward(self):
            self.counts = 0.0
            super().backward()

    vae = NoKL(6, 2, hidden=(5,), dtype="float64", backend="numpy")
    report = check(vae, rng.random((4, 6)), eps=rng.standard_normal((4, 2)))
    assert not report
    assert "right down to decoder.0.W and wrong from encoder.1.b on" in str(report)


def test_the_report_holds_the_worst_entry():
    def spoil(layer, dx, dy):
        layer.dW[2, 1] += 0.5
        return dx

    report = check(spoiled(spoil))
    worst = report.worst
    assert (worst.name, worst.index) == ("W", (2, 1))
    assert worst.analytic - worst.numeric == pytest.approx(0.5)
    assert report.error == worst.error == report.arrays["W"].error > 0.1
    assert report.arrays["x"].error < 1e-10
    assert f"W[2, 1]: backward says {worst.analytic:.6g}" in str(report)


def test_an_error_of_one_in_a_million_is_refused():
    assert not check(spoiled(scale_W(1 + 1e-6)))
    assert check(spoiled(scale_W(1 + 1e-9)))


# --- kinks


def test_a_relu_at_zero_raises_no_alarm():
    report = check(ReLU(), np.array([[0.0, 1.0, -1.0, 2.0], [3.0, 0.0, 0.5, -2.0]]))
    assert report
    assert (report.arrays["x"].kinks, report.arrays["x"].checked) == (2, 6)
    assert "2 left out: on a kink" in str(report)


def test_a_relu_at_nothing_but_zeros_is_checked_beside_them():
    report = check(ReLU(), np.zeros((3, 4)))
    assert report and report.arrays["x"].checked == 12
    assert "beside it" in str(report)


def test_kinks_do_not_hide_a_wrong_gradient():
    class WrongSide(ReLU):
        def backward(self, dy):
            return dy * (self.y == 0)

    class Wild(ReLU):
        def backward(self, dy):
            return np.where(self.y == 0, 7.0, dy * (self.y > 0))

    assert not check(WrongSide(), np.zeros((3, 4)))
    assert not check(Wild(), np.array([[0.0, 1.0, 2.0, 3.0, 4.0]]))


def test_a_network_with_dead_units_raises_no_alarm(rng):
    vae = VAE(6, 2, hidden=(5,), dtype="float64", backend="numpy")  # biases of 0
    assert check(vae, np.zeros((3, 6)), eps=rng.standard_normal((3, 2)))


def test_a_function_of_steps_cannot_be_confirmed():
    report = check(lambda x: np.round(x, 5), lambda x: np.ones_like(x), np.linspace(0.0, 1.0, 6))
    assert not report


# --- scale and precision


@pytest.mark.parametrize(
    ("f", "slope", "at"),
    [
        (np.sin, np.cos, 1.0),
        (lambda x: np.sin(50 * x), lambda x: 50 * np.cos(50 * x), 0.3),
        (np.log, lambda x: 1 / x, 1e-4),
        (np.exp, np.exp, 20.0),
        (lambda x: x**2, lambda x: 2 * x, 1e6),
        (lambda x: np.maximum(x, 0), lambda x: 1.0, 1e-5),  # near a kink, but not on it
    ],
)
def test_differences_stay_far_below_the_tolerance(f, slope, at):
    x = np.array([at])
    start = float(f(x)[0])
    with np.errstate(invalid="ignore"):  # a step below 0 for log
        found = slopes(lambda: float(f(x)[0]) - start, x, [(0,)], abs(start), 1e-7)
    assert found.slope[0] == pytest.approx(slope(at), rel=2e-9)
    assert not found.kink[0] and x[0] == at


def test_a_gradient_of_zero_is_compared_on_an_absolute_scale(rng):
    class Centred(Linear):  # y does not depend on b
        def forward(self, x):
            y = super().forward(x)
            return y - y.mean(axis=0)

        def backward(self, dy):
            return super().backward(dy - dy.mean(axis=0))

    class Wrong(Centred):
        def backward(self, dy):
            dx = super().backward(dy)
            self.db = np.full(2, 1e-8)
            return dx

    report = check(Centred())
    assert report and "too small to be told from rounding" in str(report)
    assert not check(Wrong())


def test_large_arrays_are_checked_at_random_entries(rng):
    report = check(Dense(40, 30), entries=20)
    assert report and report.arrays["W"].checked == 20
    assert "20 of 1200" in str(report) and "drawn at random" in str(report)
    assert str(report) == str(check(Dense(40, 30), entries=20))


def test_whole_numbers_are_held_still_and_nothing_moved_is_no_pass():
    rows = np.array([2, 0, 1])
    report = check(lambda x, i: x[i], lambda dy, x, i: dy[np.argsort(i)], np.ones((3, 2)), rows)
    assert report and "i holds int64 and is held still" in str(report)
    assert not check(lambda x: x * 2.0, lambda x: 2.0, rows)


def test_float32_tells_less(rng):
    slightly = spoiled(scale_W(1.001))
    assert not check(slightly)
    report = check(slightly, dtype="float32")
    assert report and report.dtype == "float32"
    assert not check(spoiled(scale_W(0.5)), dtype="float32")


def test_a_layer_that_loses_precision_is_named():
    class Loses(Linear):
        def forward(self, x):
            return super().forward(x).astype("float32")

    assert "forward turns float64 into float32" in str(check(Loses()))


# --- what cannot be checked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((object(),), "object has no forward and no backward"),
        ((Dense,), "Dense is a class: give an object of it"),
        ((np.sin, 1.0), "sin needs its gradient beside it"),
        ((Gaussian(0.3), np.ones((2, 3))), "Gaussian.forward needs 2 inputs"),
    ],
)
def test_what_cannot_be_checked_is_told(arguments, words):
    with pytest.raises(TypeError, match=words):
        check(*arguments)


def test_errors_of_the_learners_own_code_are_theirs():
    class Raises(Linear):
        def forward(self, x):
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        check(Raises())


# --- the command


def test_every_part_of_tinyvae_passes(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    for part in ("Dense", "ReLU", "KL", "reparameterize", "Bernoulli", "Autoencoder", "VAE, free"):
        assert part in out
    assert out.count(" pass\n") == 34 and "FAIL" not in out


def test_every_part_passes_on_a_device():
    parts = parts_of_tinyvae.all_parts(Backend("strict", strict))
    assert all(report for part in parts for report in part.reports)


def test_float32_says_what_it_cannot_tell(capsys):
    assert main(["--dtype", "float32"]) == 0
    assert "no error below 0.01" in capsys.readouterr().out


def test_a_wrong_part_is_shown_and_ends_with_1(capsys, monkeypatch):
    monkeypatch.setattr(parts_of_tinyvae, "kl_backward", lambda dkl, mu, logvar: (dkl * mu, -dkl))
    assert main([]) == 1
    out = capsys.readouterr().out
    assert out.count(" FAIL\n") >= 1 and "worst entry, logvar[" in out


LAYERS = """
class Linear:
    def __init__(self, n_in, n_out):
        self.shapes = {"W": (n_in, n_out)}

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW[...] = self.x.T @ dy
        return dy @ self.W.T

class Half(Linear):
    def backward(self, dy):
        return 0.5 * super().backward(dy)

class NoBackward:
    def forward(self, x):
        return x

class Raises(Linear):
    def forward(self, x):
        return x[:, 100]

class Stops(Linear):
    def forward(self, x):
        raise RuntimeError("no such table")

class Nan(Linear):
    def forward(self, x):
        return super().forward(x) * float("nan")

class Short(Linear):
    def backward(self, dy):
        return super().backward(dy)[0]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with a file of layers, not imported before."""
    (tmp_path / "my_layers.py").write_text(LAYERS)
    (tmp_path / "broken.py").write_text("x = (")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield tmp_path
    sys.modules.pop("my_layers", None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("my_layers:Linear", "Linear(4, 3) passes"),
        ("my_layers.py:Linear", "Linear(4, 3) passes"),
        ("my_layers:Linear --args 3,n_out=2 --shape 7,3", "7×3"),
        (
            "tinyvae.core.layers:Dense --dtype float32",
            "Dense(4, 3) passes the gradient check (float32",
        ),
    ],
)
def test_a_class_of_ones_own_is_found_built_and_checked(folder, capsys, arguments, words):
    assert main(arguments.split()) == 0
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ("my_layers:Half", 1, "x: 0.5 times the right value in every entry"),
        ("my_layers:Nan", 1, "forward returns nan or inf"),
        ("my_layers:Short", 1, "dx has the shape (4,), but x has (5, 4)"),
        ("my_layers:Raises", 1, "raises IndexError: index 100 is out of bounds"),
        ("my_layers:NoBackward", 2, "NoBackward has no backward"),
        ("my_layers:Linaer", 2, "my_layers has no 'Linaer'; its classes: Linear, Half"),
        ("my_layers:Linear --args 3", 2, "give its arguments (n_in, n_out) with --args"),
        ("my_layers:Linear --shape 4,a", 2, "positive whole numbers such as 4,3, not '4,a'"),
        ("my_layers", 2, "write module:Layer or path/to/file.py:Layer"),
        ("no_such_module:X", 2, "there is no module 'no_such_module'"),
        ("no_such_file.py:X", 2, "there is no file no_such_file.py"),
        ("broken:X", 2, "broken cannot be imported: SyntaxError"),
        ("--shape 4,3", 2, "name it as module:Layer"),
        ("--dtype float16", 2, "invalid choice: 'float16'"),
    ],
)
def test_what_is_wrong_ends_with_one_clear_line(folder, capsys, arguments, status, words):
    try:
        found = main(arguments.split())
    except SystemExit as end:
        found = end.code
    printed = capsys.readouterr()
    assert found == status
    assert words in printed.out + printed.err
    assert printed.err.count("\n") <= 1 and "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("layer", "hint"), [("Raises", True), ("Raises --shape 4,3", False), ("Stops", False)]
)
def test_a_shape_is_asked_for_only_where_it_may_be_the_cause(folder, capsys, layer, hint):
    assert main(f"my_layers:{layer}".split()) == 1
    assert ("--shape" in capsys.readouterr().err) == hint


def test_cupy_without_a_gpu_is_told_in_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["--backend", "cupy"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_module_runs_without_a_warning():
    command = [sys.executable, "-W", "error", "-m", "tinyvae.gradcheck", "tinyvae.core.layers:ReLU"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ReLU() passes" in done.stdout


@pytest.mark.gpu
def test_every_part_passes_on_a_gpu():
    assert main(["--backend", "cupy"]) == 0


def test_an_empty_input_is_named():
    with pytest.raises(ValueError, match=r"^x is empty, of the shape \(0, 2\): give it"):
        check(Dense(2, 3), np.ones((0, 2)))
