"""One call on a model: its training step is followed in PyTorch, JAX and NumPy."""

import numpy as np
import pytest

from tinyvae.audit import audit

QUICK = {  # one of each kind of model and of error; the others are marked slow
    "tutorial", "convolutional", "distributions", "conditional", "text", "a schedule",
    "decode(mu)", "mu and logvar returned exchanged", "one head twice", "softplus(logvar)",
    "the body of a loop", "teacher forcing", "mu left out", "rows shuffled", "z by NumPy",
    "vector-quantised", "a classifier beside", "total correlation",
    "sample() for rsample()", "encoder under no_grad", "mean over pixels", "data in [0, 255]",
}  # fmt: skip


@pytest.fixture
def models():
    torch = pytest.importorskip("torch")
    import audit_models

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield audit_models
    torch.set_num_threads(threads)


def names(kind: str) -> list:
    torch = pytest.importorskip("torch", reason="PyTorch's models")
    assert torch
    import audit_models

    marks = {True: (), False: (pytest.mark.slow,)}
    labels = getattr(audit_models, kind)
    return [pytest.param(label, marks=marks[label in QUICK]) for label in labels]


def run(model, x, **options):
    return audit(model, x, **options)


@pytest.mark.parametrize("label", names("RIGHT"))
def test_right_models_are_right_in_one_call(models, label):
    report = run(**models.RIGHT[label]())
    assert report.state == "right", str(report)


@pytest.mark.parametrize("label", names("OPEN"))
def test_what_is_no_plain_vae_is_not_judged(models, label):
    report = run(**models.OPEN[label]())
    assert report.state == "not judged", str(report)


@pytest.mark.parametrize("label", names("WRONG"))
def test_wrong_models_are_wrong_in_one_call(models, label):
    name, make = models.WRONG[label]
    report = run(**make())
    assert report.state == "wrong" and report.names == [name], str(report)


def test_the_weights_stay_as_they_were(models):
    arguments = models.RIGHT["an optimizer in the step"]()
    before = [p.clone() for p in arguments["model"].parameters()]
    run(**arguments)
    assert all((a == b).all() for a, b in zip(before, arguments["model"].parameters(), strict=True))


class Plain:
    """A VAE in NumPy."""

    def __init__(self, factor=0.5, rng=None, decodes_mu=False):
        weights = np.random.default_rng(0)
        self.w = [weights.normal(0, 0.3, s) for s in ((20, 8), (8, 3), (8, 3), (3, 20))]
        self.factor, self.rng, self.decodes_mu = factor, rng, decodes_mu

    def loss(self, x):
        h = np.tanh(x @ self.w[0])
        mu, s = h @ self.w[1], np.dot(h, self.w[2])
        eps = self.rng.standard_normal(mu.shape) if self.rng else np.random.randn(*mu.shape)  # noqa: NPY002
        z = mu if self.decodes_mu else mu + np.exp(self.factor * s) * eps
        y = z @ self.w[3]
        nll = np.sum(np.logaddexp(0, y) - x * y, axis=1)
        return np.mean(nll - 0.5 * np.sum(1 + s - mu**2 - np.exp(s), axis=1))


@pytest.mark.parametrize(
    "model, expected",
    [
        (Plain(), []),
        (Plain(rng=np.random.default_rng(0)), []),
        (Plain(factor=1.0), ["sampler-std"]),
        (Plain(decodes_mu=True), ["loss-deterministic"]),
    ],
)
def test_steps_of_numpy(model, expected):
    x = np.random.default_rng(1).random((16, 20))
    report = audit(model, x)
    assert report.names == expected and report.ok == (not expected), str(report)


@pytest.mark.parametrize("factor, expected", [(0.5, []), (1.0, ["sampler-std"])])
def test_steps_of_jax(factor, expected):
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    rng = np.random.default_rng(0)
    shapes = ((20, 8), (8, 3), (8, 3), (3, 20))
    weights = [jnp.asarray(rng.normal(0, 0.3, s), jnp.float32) for s in shapes]

    @jax.jit
    def step(w, x):
        h = jnp.tanh(x @ w[0])
        mu, s = h @ w[1], h @ w[2]
        z = mu + jnp.exp(factor * s) * jax.random.normal(jax.random.PRNGKey(0), mu.shape)
        y = z @ w[3]
        nll = jnp.sum(jax.nn.softplus(y) - x * y, axis=1)
        return jnp.mean(nll - 0.5 * jnp.sum(1 + s - mu**2 - jnp.exp(s), axis=1))

    x = jnp.asarray(rng.random((16, 20)), jnp.float32)
    report = audit(weights, x, step=step)
    assert report.names == expected and report.ok == (not expected), str(report)


@pytest.mark.parametrize("factor, expected", [(0.5, []), (1.0, ["sampler-std"])])
def test_steps_of_tensorflow(factor, expected):
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(0)
    shapes = {"e": (20, 8), "mu": (8, 3), "s": (8, 3), "d": (3, 20)}
    weights = {n: tf.Variable(rng.normal(0, 0.3, s).astype("float32")) for n, s in shapes.items()}

    @tf.function
    def step(w, x):
        h = tf.tanh(x @ w["e"])
        mu, s = h @ w["mu"], h @ w["s"]
        z = mu + tf.exp(factor * s) * tf.random.normal(tf.shape(mu))
        nll = 0.5 * tf.square(x - z @ w["d"])
        return tf.reduce_sum(nll) - 0.5 * tf.reduce_sum(1 + s - mu**2 - tf.exp(s))

    report = audit(weights, tf.constant(rng.random((16, 20)).astype("float32")), step=step)
    assert report.names == expected and report.ok == (not expected), str(report)


def test_validation_is_compared_with_training(models):
    def report(loss):
        model = models.Annealed()
        model.validation_step = lambda x, index: loss(*model(x)[:1], x)
        model.training_step = lambda x, index: models.tutorial_loss(
            *(lambda r, mu, s: (r, x, mu, s))(*model(x))
        )
        return {f.name: f for f in audit(model, models.images()).findings}["validation"]

    assert report(models.bce).kind == "note" and report(lambda r, x: None).kind == "not looked at"


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"step": lambda m, x: 0.0}, "pass x=, a batch"),
        ({"x": np.ones((4, 2)), "step": 3}, "step must be a function"),
        ({"x": np.ones((4, 2)), "step": lambda m, x: None}, "step returned nothing"),
        ({"x": np.ones((4, 2)), "sample": len}, "leave out sample="),
        ({"x": np.ones((4, 2))}, "has no training_step"),
    ],
)
def test_bad_input_gets_one_line(arguments, text):
    with pytest.raises((ValueError, TypeError), match=text) as raised:
        audit(object(), **arguments)
    assert "\n" not in str(raised.value)
