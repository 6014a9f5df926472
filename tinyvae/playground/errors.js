// Errors that people make, to be planted: wrong functions in the place of those of latent.js, or a wrong
// weight; and the tests of which each error fails exactly one.

import * as latent from "./latent.js";

/** By their names in the knobs: what is wrong, beside what is right in latent.py, and who finds it. */
export const ERRORS = {
  sigma: {
    name: "σ = exp(logvar)",
    right: "sigma = exp(0.5 * logvar)",
    wrong: "sigma = exp(logvar)",
    place: "latent.py, reparameterize",
    finder: "sampler",
  },
  "fresh-noise": {
    name: "fresh noise in backward",
    right: "dlogvar = dz * 0.5 * sigma * eps",
    wrong: "dlogvar = dz * 0.5 * sigma * randn(B, L)",
    place: "latent.py, reparameterize_backward",
    finder: "gradient",
  },
  "pixel-mean": {
    name: "mean over pixels",
    right: "nll = (0.5 * (x - x_hat)**2 / sigma**2).sum(axis=1)",
    wrong: "nll = (0.5 * (x - x_hat)**2 / sigma**2).mean(axis=1)",
    place: "likelihood.py, Gaussian",
    finder: "sum",
  },
  "kl-sign": {
    name: "the KL's sign",
    right: "kl = 0.5 * (mu**2 + exp(logvar) - 1 - logvar)",
    wrong: "kl = 0.5 * (1 + logvar - mu**2 - exp(logvar))",
    place: "latent.py, kl",
    finder: "kl",
  },
  "kl-half": {
    name: "the KL without its ½",
    right: "kl = 0.5 * (mu**2 + exp(logvar) - 1 - logvar)",
    wrong: "kl = mu**2 + exp(logvar) - 1 - logvar",
    place: "latent.py, kl",
    finder: "kl",
  },
  "log-sigma": {
    name: "log σ² read as log σ",
    right: "kl = 0.5 * (mu**2 + exp(logvar) - 1 - logvar)",
    wrong: "kl = 0.5 * (mu**2 + exp(2 * logvar) - 1 - 2 * logvar)",
    place: "latent.py, kl",
    finder: "kl",
  },
};

/** The four functions of latent.js with an error (or null) in them; fresh(n) draws other noise. */
export function planted(error, fresh) {
  const { kl, kl_backward, reparameterize_backward } = latent;
  const wrong = {
    sigma: {
      reparameterize: (mu, logvar, eps) => mu.map((mu_j, j) => mu_j + Math.exp(logvar[j]) * eps[j]),
      reparameterize_backward: (dz, logvar, eps) => [
        dz,
        dz.map((dz_j, j) => dz_j * Math.exp(logvar[j]) * eps[j]),
      ],
    },
    "fresh-noise": {
      reparameterize_backward: (dz, logvar) =>
        reparameterize_backward(dz, logvar, fresh(dz.length)),
    },
    "kl-sign": {
      kl: (mu, logvar) => kl(mu, logvar).map((value) => -value),
      kl_backward: (dkl, mu, logvar) => kl_backward(-dkl, mu, logvar),
    },
    "kl-half": {
      kl: (mu, logvar) => kl(mu, logvar).map((value) => 2 * value),
      kl_backward: (dkl, mu, logvar) => kl_backward(2 * dkl, mu, logvar),
    },
    "log-sigma": {
      kl: (mu, s) => mu.map((mu_j, j) => 0.5 * (mu_j ** 2 + Math.exp(2 * s[j]) - 1 - 2 * s[j])),
      kl_backward: (dkl, mu, s) => [
        mu.map((mu_j) => dkl * mu_j),
        s.map((s_j) => dkl * (Math.exp(2 * s_j) - 1)),
      ],
    },
  };
  return { ...latent, ...wrong[error] };
}

/** The factor of the reconstruction: 1 / D where somebody took the mean over the pixels. */
export function pixelFactor(error, D) {
  return error === "pixel-mean" ? 1 / D : 1;
}

// ---- the tests -----------------------------------------------------------------------------------

const LOGVARS = [-3, -1, 1];

/** The standard deviation of 20,000 draws beside exp(½ logvar). */
export function samplerTest(functions, stream) {
  const n = 20000;
  const cases = LOGVARS.map((logvar) => {
    const eps = stream.normal(n);
    const z = functions.reparameterize(
      new Float64Array(n),
      eps.map(() => logvar),
      eps,
    );
    return { expected: Math.exp(0.5 * logvar), found: deviation(z) };
  });
  return verdict(cases, ({ expected, found }) => Math.abs(found / expected - 1) < 0.03);
}

/** The KL beside the mean of log q(z) − log p(z) over 40,000 draws of q. */
export function klTest(functions, stream) {
  const n = 40000;
  const zero = [0];
  const cases = LOGVARS.map((logvar, k) => {
    const mu = [1.2, -0.6, 0.9][k];
    const sigma = Math.exp(0.5 * logvar);
    const ratios = stream.normal(n).map((eps) => {
      const z = [mu + sigma * eps];
      return latent.log_normal(z, [mu], [logvar]) - latent.log_normal(z, zero, zero);
    });
    const [found] = functions.kl(Float64Array.of(mu), Float64Array.of(logvar));
    return { expected: mean(ratios), found, error: deviation(ratios) / Math.sqrt(n) };
  });
  return verdict(cases, ({ expected, found, error }) => Math.abs(found - expected) < 5 * error);
}

/** Does every pixel count? The loss of a picture with one pixel moved, beside ½ Δ(x − x̂)² / σ². */
export function sumTest(model) {
  const D = model.n_features;
  const eps = new Float64Array(model.latent_dim);
  const x = Float64Array.from(model.x.subarray(0, D));
  const place = Math.floor(D / 2);
  const y = model.decode(new Float64Array(model.latent_dim));
  const lossAt = (value) => {
    const moved = Float64Array.from(x);
    moved[place] = value;
    return model.reconstruction_weight * mean(model.likelihood.forward(y, moved, 1));
  };
  const sigma = model.likelihood.sigma.length
    ? model.likelihood.sigma[place]
    : model.likelihood.sigma;
  const expected = sigma ? (0.5 * ((y[place] - 1) ** 2 - y[place] ** 2)) / sigma ** 2 : -y[place]; // Bernoulli's softplus(y) − x y
  const cases = [{ expected, found: lossAt(1) - lossAt(0) }];
  model.z.set(eps);
  return verdict(cases, ({ found }) => Math.abs(found - expected) <= 1e-6 * Math.abs(expected));
}

function verdict(cases, isRight) {
  return { passed: cases.every(isRight), cases };
}

function mean(values) {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

function deviation(values) {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
}
