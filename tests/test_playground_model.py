"""The model in JavaScript computes what the model in Python computes: terms, gradients, steps."""

import re
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest
from pages import KERNELS, browser, javascript, numbers, text

from tinyvae import VAE, Adam, Autoencoder
from tinyvae.explore.assemble import to_base64
from tinyvae.explore.payload import describe_model

fixtures = (browser, javascript)

MODELS = {
    "gaussian, sigmoid output": {"output": "sigmoid", "sigma": 0.7},
    "gaussian": {"output": "identity", "sigma": 1.3, "activation": "tanh"},
    "bernoulli": {"likelihood": "bernoulli", "activation": "softplus"},
    "sigmoid inside": {"output": "identity", "sigma": 0.5, "activation": "sigmoid"},
}
GRADIENT = """([description, kind, theta, x, eps, beta, weight]) => {
  const { VAE, Autoencoder, numbersFor } = model_js;
  const Model = description.kind === "VAE" ? VAE : Autoencoder;
  const B = numbers(x).length / description.n_features;
  const model = new Model(description, make(kind, numbersFor(description, B)), B, numbers(theta));
  Object.assign(model, { beta, reconstruction_weight: weight });
  model.x.set(numbers(x));
  const terms = model.forward(B, numbers(eps));
  model.backward();
  return { ...terms, grad: text(model.parameters.grad) };
}"""


def python_and_javascript(page, kind, model, x, eps, beta=1.0, weight=1.0):
    """Terms and gradient of a batch, in float64 NumPy and in the browser."""
    terms = model.forward(x, eps=eps) if isinstance(model, VAE) else model.forward(x)
    model.backward()
    there = page.evaluate(
        GRADIENT,
        [
            describe_model(model),
            kind,
            text(model.parameters.theta),
            text(x),
            text(eps),
            beta,
            weight,
        ],
    )
    return terms, model.parameters, there


def assert_close(terms, parameters, there, tolerance):
    """Compare the terms, and the gradient of each weight array by its norm."""
    for name in ("loss", "reconstruction", "kl"):
        assert there[name] == pytest.approx(float(getattr(terms, name)), rel=tolerance)
    grad, start = numbers(there["grad"]), 0
    for name, expected in parameters.gradients.items():
        found = grad[start : start + expected.size].reshape(expected.shape)
        start += expected.size
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error <= tolerance, (name, error)
    assert np.linalg.norm(grad - parameters.grad) <= tolerance * np.linalg.norm(parameters.grad)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("settings", MODELS)
def test_gradients_are_those_of_python(javascript, settings, kind):
    rng = np.random.default_rng(0)
    model = VAE(
        30, 3, hidden=(17, 9), beta=0.7, reconstruction_weight=1.9, dtype="float64",
        **MODELS[settings],
    )  # fmt: skip
    model.parameters.theta += 0.1 * rng.standard_normal(model.parameters.theta.size)
    for B in (1, 13):
        x, eps = rng.random((B, 30)), rng.standard_normal((B, 3))
        found = python_and_javascript(javascript, kind, model, x, eps, 0.7, 1.9)
        assert_close(*found, KERNELS[kind])


@pytest.mark.parametrize("kind", KERNELS)
def test_gradients_of_the_playgrounds_model_are_those_of_python(javascript, kind):
    rng = np.random.default_rng(1)
    model = VAE(784, 2, hidden=(128,), output="sigmoid", sigma=0.7, dtype="float64")
    x = rng.random((64, 784)) * (rng.random((64, 784)) < 0.2)
    found = python_and_javascript(javascript, kind, model, x, rng.standard_normal((64, 2)))
    assert_close(*found, KERNELS[kind])


def test_an_autoencoders_gradients_are_those_of_python(javascript):
    rng = np.random.default_rng(2)
    model = Autoencoder(20, 2, hidden=(8,), dtype="float64")
    found = python_and_javascript(javascript, "wasm", model, rng.random((6, 20)), np.zeros((6, 2)))
    assert_close(*found, KERNELS["wasm"])


STEPS = """([description, kind, theta, batches, noise, lr]) => {
  const { VAE, numbersFor } = model_js;
  const x = Float32Array.from(bytes(batches), (byte) => byte / 256), eps = numbers(noise);
  const { n_features: D, latent_dim: L } = description;
  const n = 90, B = x.length / D / n;
  const kernels = make(kind, numbersFor(description, B));
  const model = new VAE(description, kernels, B, numbers(theta));
  const optimizer = new optim_js.Adam(model.parameters, kernels, { lr });
  return Array.from({ length: n }, (_, k) => {
    model.x.set(x.subarray(k * B * D, (k + 1) * B * D));
    const { loss } = model.forward(B, eps.subarray(k * B * L, (k + 1) * B * L));
    model.backward();
    optimizer.step();
    return loss;
  });
}"""


@pytest.mark.parametrize("kind", ["wasm", "plain32"])
def test_90_steps_of_adam_end_where_python_ends(javascript, kind):
    rng = np.random.default_rng(3)
    model = VAE(784, 2, hidden=(32,), output="sigmoid", sigma=0.5**0.5, dtype="float64")
    theta = model.parameters.theta.copy()
    optimizer = Adam(model.parameters, lr=2e-3)
    x = rng.integers(256, size=(90, 16, 784)) * (rng.random((90, 16, 784)) < 0.2)
    eps, losses = rng.standard_normal((90, 16, 2)), []
    for batch, noise in zip(x, eps, strict=True):
        losses.append(float(model.forward(batch / 256, eps=noise).loss))
        model.backward()
        optimizer.step()
    arguments = [
        describe_model(model),
        kind,
        text(theta),
        to_base64(x.astype(np.uint8)),
        text(eps),
        2e-3,
    ]
    there = javascript.evaluate(STEPS, arguments)
    np.testing.assert_allclose(there, losses, rtol=0, atol=1e-4)


def test_any_number_of_rows_passes_block_by_block(javascript):
    model = VAE(12, 3, hidden=(8,), sigma=1.0, dtype="float64")
    rng = np.random.default_rng(4)
    x, z = rng.random((11, 12)), rng.standard_normal((11, 3))
    there = javascript.evaluate(
        """([description, theta, x, z]) => {
          const { VAE, numbersFor } = model_js;
          const kernels = make("wasm", numbersFor(description, 4));
          const model = new VAE(description, kernels, 4, numbers(theta));
          const [points, rows] = [numbers(z), numbers(x)];
          const [mu, logvar] = model.encode(rows);
          return [mu, logvar, model.decode(points), model.nll(points, rows)].map((a) => [...a]);
        }""",
        [describe_model(model), text(model.parameters.theta), text(x), text(z)],
    )
    expected = [*model.encode(x), model.decode(z)]
    nll = model.likelihood.nll(model.decoder_output(z), model.as_batch(x))
    for found, array in zip(there, [*expected, nll], strict=True):
        np.testing.assert_allclose(found, array.ravel(), rtol=1e-5, atol=1e-6)


def test_a_gaussian_may_have_a_sigma_for_each_feature(javascript):
    rng = np.random.default_rng(6)
    x, y, sigma = *rng.random((2, 4, 3)), np.array([0.1, 1.0, 20.0])
    there = javascript.evaluate(
        """([sigma, y, x]) => {
          const likelihood = new likelihood_js.Gaussian([...numbers(sigma)]);
          likelihood.attach(make("plain64"), 4, 3);
          const nll = [...likelihood.forward(numbers(y), numbers(x))];
          return [nll, [...likelihood.backward(0.25, 4)]];
        }""",
        [text(sigma), text(y), text(x)],
    )
    error = (y - x) / sigma
    nll = 0.5 * (error**2).sum(axis=1) + np.log(np.sqrt(2 * np.pi) * sigma).sum()
    np.testing.assert_allclose(there[0], nll)
    np.testing.assert_allclose(there[1], (0.25 * error / sigma).ravel())


def test_the_kernels_are_what_their_source_compiles_to(tmp_path):
    """With the compiler at hand: npm install assemblyscript@0.28.20."""
    asc = shutil.which("asc")
    if asc is None:
        pytest.skip("no AssemblyScript compiler on the PATH: npm install -g assemblyscript@0.28.20")
    source = resources.files("tinyvae.explore") / "kernels.ts"
    wanted = re.search(r"AssemblyScript ([\d.]+):", source.read_text("utf-8"))[1]
    if wanted not in subprocess.run([asc, "--version"], capture_output=True, text=True).stdout:
        pytest.skip(f"kernels.wasm was built by AssemblyScript {wanted}, this is another")
    options = ["-O3", "--noAssert", "--enable", "simd", "--runtime", "stub", "--importMemory"]
    out = tmp_path / "kernels.wasm"
    subprocess.run([asc, str(source), "-o", str(out), *options], check=True)
    built = resources.files("tinyvae.explore") / "kernels.wasm"
    assert out.read_bytes() == built.read_bytes()
