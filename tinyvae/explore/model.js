// The autoencoder and the VAE, as in tinyvae/core/model.py: encode and decode, and the forward and
// backward pass of the loss, of a batch. Arrays are flat: x (B, D), z, mu, logvar, eps (B, L).

import { Dense, Parameters, ReLU, Sequential, Sigmoid, Softplus, Tanh } from "./layers.js";
import { Fill, Mixed } from "./columns.js";
import * as latent from "./latent.js";
import { Bernoulli, Gaussian } from "./likelihood.js";

const ACTIVATIONS = { ReLU, Tanh, Sigmoid, Softplus };
const LIKELIHOODS = {
  Gaussian: ({ sigma }) => new Gaussian(sigma),
  Bernoulli: () => new Bernoulli(),
  Mixed: (likelihood) => new Mixed(likelihood),
};

/** x → encoder → z → decoder → p(x|z). */
export class Autoencoder {
  /**
   * description: what payload.py says of the model; kernels: see kernels.js; rows: the largest
   * batch (more are passed block by block); theta: the weights, all 0 without.
   */
  constructor(description, kernels, rows, theta = null) {
    const { latent_dim, n_features, n_classes, likelihood } = description;
    Object.assign(this, { latent_dim, n_features, n_classes: n_classes ?? 0, kernels, rows });
    this.encoder = network("encoder", description);
    this.decoder = network("decoder", description);
    this.parameters = new Parameters({ encoder: this.encoder, decoder: this.decoder }, kernels);
    if (theta) this.parameters.theta.set(theta);
    this.likelihood = LIKELIHOODS[likelihood.kind](likelihood);
    for (const { layers } of [this.encoder, this.decoder]) {
      for (const layer of layers) layer.attach(kernels, rows);
    }
    this.likelihood.attach(kernels, rows, n_features);
    this.x = kernels.array(rows * (n_features + this.n_classes)); // the encoder's input
    this.z = kernels.array(rows * (latent_dim + this.n_classes)); // the decoder's input
    this.reconstruction_weight = 1;
  }

  /** Draw first weights as layers.py does; normal() draws from N(0, 1). */
  initialize(normal) {
    for (const { layers } of [this.encoder, this.decoder]) {
      for (const layer of layers) layer.initialize?.(normal);
    }
  }

  // ---- at the present weights, for any number of rows ----------------------------------------

  /** The code z (B, L) of x (B, D). */
  encode(x, label) {
    return this.pass(this.encoder, this.x, x, this.n_features, label);
  }

  /** y (B, D), which the likelihood turns into p(x|z). */
  decoder_output(z, label) {
    return this.pass(this.decoder, this.z, z, this.latent_dim, label);
  }

  /** x_hat (B, D), the mean of p(x|z). */
  decode(z, label) {
    return this.likelihood.mean(this.decoder_output(z, label));
  }

  /** −log p(x|z) of each example (B,), in nats; of one example, a number. */
  nll(z, x, label) {
    const { n_features: D, latent_dim: L, rows } = this;
    const N = z.length / L;
    const nll = new Float64Array(N);
    for (let i = 0; i < N; i += rows) {
      const y = this.decoder_output(z.slice(i * L, (i + rows) * L), label);
      nll.set(this.likelihood.forward(y, x.slice(i * D, (i + rows) * D)), i);
    }
    return N === 1 ? nll[0] : nll;
  }

  /** What a network makes of rows (N, n), passed through its input a block at a time. */
  pass(network, input, values, n, label) {
    const { rows } = this;
    const N = values.length / n;
    const width = network.n_out;
    const result = new input.constructor(N * width);
    for (let i = 0; i < N; i += rows) {
      const B = Math.min(rows, N - i);
      this.put(input, values.slice(i * n, (i + B) * n), n, label);
      result.set(network.forward(input, B).subarray(0, B * width), i * width);
    }
    return result;
  }

  /** Put rows (B, n) into an input; a conditional model gets the one-hot label beside each. */
  put(input, values, n, label) {
    const C = this.n_classes;
    if (!C) return input.set(values);
    for (let i = 0; i < values.length / n; i++) {
      const start = i * (n + C);
      input.set(values.slice(i * n, (i + 1) * n), start);
      input.fill(0, start + n, start + n + C);
      input[start + n + label] = 1;
    }
  }

  // ---- the loss and its gradient, of a batch that lies in this.x --------------------------------

  /** Terms {loss, reconstruction, kl} of the B rows in this.x, in nats per example. */
  forward(B) {
    this.B = B;
    this.z.set(this.encoder.forward(this.x, B).subarray(0, B * this.latent_dim));
    const reconstruction = this.reconstruct(B);
    return { loss: this.reconstruction_weight * reconstruction, reconstruction, kl: 0 };
  }

  /** Write the loss's gradient into g. */
  backward() {
    this.encoder.backward(this.backward_to_z(), this.B, false);
  }

  /** The mean of −log p(x|z) over the batch. */
  reconstruct(B) {
    return sum(this.likelihood.forward(this.decoder.forward(this.z, B), this.x, B)) / B;
  }

  /** dz (B, L). */
  backward_to_z() {
    const { B } = this;
    return this.decoder.backward(this.likelihood.backward(this.reconstruction_weight / B, B), B);
  }
}

/** x → encoder → mu, logvar → z = mu + exp(½ logvar) eps → decoder → p(x|z). */
export class VAE extends Autoencoder {
  constructor(description, kernels, rows, theta = null) {
    super(description, kernels, rows, theta);
    this.dh = kernels.array(rows * 2 * this.latent_dim);
    this.beta = 1;
    this.latent = latent; // its four functions; the playground plants wrong ones
  }

  /** mu and logvar (B, L) of q(z|x). */
  encode(x, label) {
    return this.split(super.encode(x, label));
  }

  /** The encoder's output (B, 2L) as mu and logvar (B, L), copied. */
  split(h) {
    const L = this.latent_dim;
    const [mu, logvar] = [0, 1].map(() => new h.constructor(h.length / 2));
    for (let i = 0; i < mu.length; i++) {
      const place = 2 * L * Math.floor(i / L) + (i % L);
      mu[i] = h[place];
      logvar[i] = h[place + L];
    }
    return [mu, logvar];
  }

  /** Terms of the B rows in this.x, with the noise eps (B, L). */
  forward(B, eps) {
    const { latent } = this;
    const h = this.encoder.forward(this.x, B).subarray(0, 2 * B * this.latent_dim);
    const [mu, logvar] = this.split(h);
    Object.assign(this, { B, mu, logvar, eps });
    this.z.set(latent.reparameterize(mu, logvar, eps));
    const reconstruction = this.reconstruct(B);
    const kl = sum(latent.kl(mu, logvar)) / B;
    return {
      loss: this.reconstruction_weight * reconstruction + this.beta * kl,
      reconstruction,
      kl,
    };
  }

  /** Write the loss's gradient into g, for the same eps as in the forward pass. */
  backward() {
    const { B, mu, logvar, eps, latent, latent_dim: L, dh } = this;
    const dz = this.backward_to_z().slice(0, B * L);
    const [dmu, dlogvar] = latent.reparameterize_backward(dz, logvar, eps);
    const [dmu_kl, dlogvar_kl] = latent.kl_backward(this.beta / B, mu, logvar);
    for (let i = 0; i < B * L; i++) {
      const place = 2 * L * Math.floor(i / L) + (i % L);
      dh[place] = dmu[i] + dmu_kl[i];
      dh[place + L] = dlogvar[i] + dlogvar_kl[i];
    }
    this.encoder.backward(dh, B, false);
  }
}

/** Sequential, of layers named "Dense" or by their activation; 0, 1, … count the Dense ones. */
function network(prefix, description) {
  const shapes = Object.fromEntries(description.parameters);
  const names = description[prefix];
  let n =
    (prefix === "encoder" ? description.n_features : description.latent_dim) +
    (description.n_classes ?? 0);
  let n_dense = 0;
  const layers = names.map((name, k) => {
    if (name === "Fill") {
      const fill = new Fill(n, description.mask);
      n = fill.n_out;
      return fill;
    }
    if (name !== "Dense") return new ACTIVATIONS[name](n);
    const [n_in, n_out] = shapes[`${prefix}.${n_dense++}.W`];
    n = n_out;
    const last = !names.slice(k + 1).includes("Dense");
    const follower = last ? null : names[k + 1];
    const rectified = follower === "ReLU" || follower === "Softplus";
    const end = prefix === "decoder" ? "small" : "glorot";
    return new Dense(n_in, n_out, last ? end : rectified ? "he" : "glorot");
  });
  return Object.assign(new Sequential(layers), { n_out: n });
}

/** How many numbers the arrays of a model and of Adam take together, and some to spare. */
export function numbersFor({ parameters, n_features, latent_dim, n_classes, mask }, rows) {
  let [weights, largest, widths] = [0, 0, 0];
  for (const [, shape] of parameters) {
    const size = shape.reduce((product, n) => product * n, 1);
    weights += size;
    largest = Math.max(largest, size);
    if (shape.length === 2) widths += shape[0] + shape[1];
  }
  widths += 3 * (n_features + (n_classes ?? 0)) + (mask ?? 0) + 4 * latent_dim + 4 * (n_classes ?? 0);
  return 4 * weights + largest + rows * widths + 4096;
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
