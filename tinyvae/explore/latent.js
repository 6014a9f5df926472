// The latent space, as in tinyvae/core/latent.py: how z is drawn from q(z|x) = N(mu, σ²), and how far
// q(z|x) is from the prior N(0, I). All vectors are (L,).

/** z = mu + σ eps, a draw from N(mu, σ²) if eps is a draw from N(0, 1); σ = exp(½ logvar). */
export function reparameterize(mu, logvar, eps) {
  return mu.map((mu_j, j) => mu_j + Math.exp(0.5 * logvar[j]) * eps[j]);
}

/** KL(N(mu, σ²) ‖ N(0, 1)) of each latent dimension, in nats. */
export function kl(mu, logvar) {
  return mu.map((mu_j, j) => 0.5 * (mu_j * mu_j + Math.exp(logvar[j]) - 1 - logvar[j]));
}

/** logvar of N(mu, (scale · σ)²): log (scale σ)² = logvar + 2 log scale. */
export function scaled(logvar, scale) {
  return logvar.map((logvar_j) => logvar_j + 2 * Math.log(scale));
}

/** n draws from N(0, 1), two at a time by the transform of Box and Muller (1958). */
export function standardNormal(n) {
  const eps = new Float64Array(n);
  for (let j = 0; j < n; j += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    const angle = 2 * Math.PI * Math.random();
    eps[j] = radius * Math.cos(angle);
    if (j + 1 < n) eps[j + 1] = radius * Math.sin(angle);
  }
  return eps;
}
