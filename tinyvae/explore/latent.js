// The latent space, as in tinyvae/core/latent.py: how z is drawn from q(z|x) = N(mu, σ²), and how far
// q(z|x) is from the prior N(0, I). All arrays are (B, L), flat, or (L,) of one example.

/** z = mu + σ eps, a draw from N(mu, σ²) if eps is a draw from N(0, 1); σ = exp(½ logvar). */
export function reparameterize(mu, logvar, eps) {
  return mu.map((mu_j, j) => mu_j + Math.exp(0.5 * logvar[j]) * eps[j]);
}

/** dmu = dz and dlogvar = dz · ½ σ eps, for the same eps as in the forward pass. */
export function reparameterize_backward(dz, logvar, eps) {
  return [dz, dz.map((dz_j, j) => dz_j * 0.5 * Math.exp(0.5 * logvar[j]) * eps[j])];
}

/** KL(N(mu, σ²) ‖ N(0, 1)) of each latent dimension, in nats. */
export function kl(mu, logvar) {
  return mu.map((mu_j, j) => 0.5 * (mu_j * mu_j + Math.exp(logvar[j]) - 1 - logvar[j]));
}

/** dmu = dkl · mu and dlogvar = dkl · ½ (σ² − 1); dkl is one number. */
export function kl_backward(dkl, mu, logvar) {
  return [
    mu.map((mu_j) => dkl * mu_j),
    logvar.map((logvar_j) => dkl * 0.5 * (Math.exp(logvar_j) - 1)),
  ];
}

/** log N(z; mu, σ²) of a point (L,), summed over the dimensions, in nats. */
export function log_normal(z, mu, logvar) {
  let total = 0;
  for (let j = 0; j < z.length; j++) {
    const squared = (z[j] - mu[j]) ** 2 * Math.exp(-logvar[j]);
    total -= 0.5 * (Math.log(2 * Math.PI) + logvar[j] + squared);
  }
  return total;
}

/** logvar of N(mu, (scale · σ)²): log (scale σ)² = logvar + 2 log scale. */
export function scaled(logvar, scale) {
  return logvar.map((logvar_j) => logvar_j + 2 * Math.log(scale));
}

/** n draws from N(0, 1), two at a time by the transform of Box and Muller (1958). */
export function standardNormal(n, random = Math.random) {
  const eps = new Float64Array(n);
  for (let j = 0; j < n; j += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    eps[j] = radius * Math.cos(angle);
    if (j + 1 < n) eps[j + 1] = radius * Math.sin(angle);
  }
  return eps;
}

/** Uniform numbers in [0, 1) from a seed: the generator "mulberry32". Its state can be set. */
export class Stream {
  constructor(seed) {
    this.state = seed | 0;
    this.next = () => {
      this.state = (this.state + 0x6d2b79f5) | 0;
      let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  normal(n) {
    return standardNormal(n, this.next);
  }
}
