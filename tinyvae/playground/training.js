// A training that runs: model, optimizer, batches and noise, and the knobs that act on it. Knows
// of no page: the worker runs it, and tests do.

import { pixelFactor, planted } from "./errors.js";
import { fastest, PlainKernels } from "./kernels.js";
import { kl, Stream } from "./latent.js";
import { numbersFor, VAE } from "./model.js";
import { Adam } from "./optim.js";

export const BATCH = 64;
export const MAP = 15; // decoded images along each side of the plane
export const STRIP = 8; // pictures in a row below it
const ROWS = 128; // that pass through the model at once, when codes and pictures are asked for
const TOO_MUCH = 1e8; // nats: a loss of that size has run away
const TOO_FAR = 1000; // codes farther out than this have run away

export const DEFAULTS = {
  beta: 1,
  sigma: Math.SQRT1_2,
  lr: 0.002,
  noise: true,
  trains: "both",
  error: null,
  latent: 2,
  hidden: 128,
};

/** What model.js builds the playground's model from: one hidden layer of ReLU on either side. */
export function describe({ D, unit }, { latent: L, hidden: H, sigma }) {
  const shapes = {
    "encoder.0": [D, H],
    "encoder.1": [H, 2 * L],
    "decoder.0": [L, H],
    "decoder.1": [H, D],
  };
  return {
    kind: "VAE",
    n_features: D,
    latent_dim: L,
    n_classes: 0,
    encoder: ["Dense", "ReLU", "Dense"],
    decoder: ["Dense", "ReLU", "Dense", ...(unit ? ["Sigmoid"] : [])],
    likelihood: { kind: "Gaussian", sigma },
    parameters: Object.entries(shapes).flatMap(([name, [n_in, n_out]]) => [
      [`${name}.W`, [n_in, n_out]],
      [`${name}.b`, [n_out]],
    ]),
  };
}

export class Training {
  /**
   * data: {x (N, D), n_train, n_test, D, unit}, training rows first; wasm: the kernels' code;
   * run: what page.py says of a trained run, with its theta, to start from it; or null.
   */
  constructor(data, wasm, knobs, seed, run = null) {
    Object.assign(this, { data, wasm, seed, run, knobs: { ...knobs } });
    const description = run ?? describe(data, knobs);
    const kernels = fastest(wasm, numbersFor(description, ROWS));
    this.simd = !(kernels instanceof PlainKernels);
    this.description = description;
    this.model = new VAE(description, kernels, ROWS, run?.theta);
    this.streams = ["weights", "batches", "eps", "fresh"].map(
      (_, k) => new Stream(1000 * seed + k),
    );
    const [weights, , , fresh] = this.streams;
    this.fresh = (n) => fresh.normal(n);
    if (!run) this.model.initialize(normals(weights));
    this.optimizer = new Adam(this.model.parameters, kernels, { lr: knobs.lr });
    this.order = Uint32Array.from({ length: data.n_train }, (_, i) => i);
    this.place = data.n_train; // in the order: the first step shuffles it
    this.steps = 0;
    this.set({});
  }

  /** Turn knobs of the running model. */
  set(knobs) {
    Object.assign(this.knobs, knobs);
    const { beta, sigma, lr, trains, error } = this.knobs;
    const { model, data } = this;
    model.beta = trains === "reconstruction" ? 0 : beta;
    model.reconstruction_weight = trains === "kl" ? 0 : pixelFactor(error, data.D);
    if (model.likelihood.sigma && !model.likelihood.sigma.length) model.likelihood.sigma = sigma;
    model.latent = planted(error, this.fresh);
    this.optimizer.lr = lr;
  }

  /** Rows in a batch: fewer where there are fewer to train on. */
  get B() {
    return Math.min(BATCH, this.data.n_train);
  }

  /** D, the widths of the hidden layers, L. */
  get widths() {
    const layers = this.model.encoder.layers.filter(({ W }) => W);
    const hidden = layers.slice(0, -1).map(({ n_out }) => n_out);
    return [this.data.D, ...hidden, this.model.latent_dim];
  }

  get epoch() {
    return (this.steps * this.B) / this.data.n_train;
  }

  /** Draw a batch and noise, and take one step; the terms of the loss, in nats per example. */
  step() {
    const { model, B } = this;
    this.drawBatch();
    const terms = model.forward(B, this.noise(B, this.streams[2]));
    model.backward();
    this.optimizer.step();
    this.steps++;
    return terms;
  }

  drawBatch() {
    const {
      data: { x, D },
      model,
      order,
      B,
    } = this;
    if (this.place + B > order.length) {
      const random = this.streams[1].next;
      for (let i = order.length - 1; i > 0; i--) {
        const j = Math.floor(random() * (i + 1));
        [order[i], order[j]] = [order[j], order[i]];
      }
      this.place = 0;
    }
    for (let i = 0; i < B; i++) {
      const row = order[this.place++];
      model.x.set(x.subarray(row * D, (row + 1) * D), i * D);
    }
  }

  /** eps (n, L): draws from N(0, 1), or zeros where the noise is switched off. */
  noise(n, stream) {
    const size = n * this.model.latent_dim;
    return this.knobs.noise ? stream.normal(size) : new Float64Array(size);
  }

  /** Why these terms can't go on, in words; null while all is well. */
  trouble(terms) {
    if (!Number.isFinite(terms.loss)) return `the loss is no longer a number`;
    return Math.abs(terms.loss) > TOO_MUCH
      ? `the loss has run away to ${terms.loss.toExponential(0)} nats`
      : null;
  }

  // ---- what is seen of it -------------------------------------------------------------------------

  /** mu and logvar (N, L) of the test rows. */
  codes() {
    const { x, n_train, D } = this.data;
    return this.model.encode(x.subarray(n_train * D));
  }

  /** The mean terms over the test rows at noise that is the same in every call. */
  test([mu, logvar]) {
    const { x, n_train, n_test, D } = this.data;
    const z = this.model.latent.reparameterize(mu, logvar, this.noise(n_test, new Stream(17)));
    const reconstruction = mean(this.model.nll(z, x.subarray(n_train * D)));
    return { reconstruction, kl: sum(this.model.latent.kl(mu, logvar)) / n_test };
  }

  /** The mean KL of each latent dimension (L,) over the test rows, by the right formula. */
  use([mu, logvar]) {
    const L = this.model.latent_dim;
    const total = new Float64Array(L);
    kl(mu, logvar).forEach((value, i) => (total[i % L] += value / this.data.n_test));
    return total;
  }

  /** How one x (D,) passes through the machine with noise eps (L,), and the gradients that come back. */
  machine(x, eps) {
    const { model, knobs } = this;
    const noise = knobs.noise ? eps : new Float64Array(eps.length);
    model.x.set(x);
    const terms = model.forward(1, noise);
    const x_hat = model.likelihood.mean(model.decoder.layers.at(-1).y.slice(0, model.n_features));
    const dz = model.backward_to_z().slice(0, model.latent_dim);
    const { mu, logvar, latent, beta } = model;
    const [dmu, dlogvar] = latent.reparameterize_backward(dz, logvar, noise);
    const [dmu_kl, dlogvar_kl] = latent.kl_backward(beta, mu, logvar);
    const z = latent.reparameterize(mu, logvar, noise);
    return { ...terms, x_hat, mu, logvar, eps: noise, z, dz, dmu, dlogvar, dmu_kl, dlogvar_kl };
  }

  /**
   * The forces on the codes of the first n test rows: −∂reconstruction/∂mu and −∂KL/∂mu (n, L),
   * the mean over noise and its mirror image.
   */
  forces(n) {
    const {
      model,
      data: { x, n_train, D },
    } = this;
    const L = model.latent_dim;
    const stream = new Stream(23);
    const [pull, push] = [new Float32Array(n * L), new Float32Array(n * L)];
    for (let i = 0; i < n; i += ROWS) {
      const B = Math.min(ROWS, n - i);
      const eps = this.noise(B, stream);
      for (const sign of [1, -1]) {
        model.x.set(x.subarray((n_train + i) * D, (n_train + i + B) * D));
        model.forward(
          B,
          eps.map((e) => sign * e),
        );
        const dz = model.backward_to_z();
        for (let k = 0; k < B * L; k++) push[i * L + k] -= (B * dz[k]) / 2;
      }
      const [dmu] = model.latent.kl_backward(model.beta, model.mu, model.logvar);
      for (let k = 0; k < B * L; k++) pull[i * L + k] = -dmu[k];
    }
    return { push, pull };
  }

  // ---- copies ----------------------------------------------------------------------------------------

  /** All that the next step depends on. */
  state() {
    const { model, optimizer, streams, order, place, steps } = this;
    return {
      theta: model.parameters.theta.slice(),
      M: optimizer.M.slice(),
      V: optimizer.V.slice(),
      t: optimizer.t,
      streams: streams.map(({ state }) => state),
      order: order.slice(),
      place,
      steps,
    };
  }

  /** Go on from a state. */
  restore({ theta, M, V, t, streams, order, place, steps }) {
    this.model.parameters.theta.set(theta);
    this.optimizer.M.set(M);
    this.optimizer.V.set(V);
    this.optimizer.t = t;
    this.streams.forEach((stream, k) => (stream.state = streams[k]));
    this.order.set(order);
    Object.assign(this, { place, steps });
  }

  /** A second training that goes on from here, with the same batches and noise, and other knobs. */
  fork(knobs) {
    const { data, wasm, seed, run } = this;
    const copy = new Training(data, wasm, { ...this.knobs, ...knobs }, seed, run);
    copy.restore(this.state());
    return copy;
  }

  /** The same model in float64 by the plain kernels, for a check of gradients; and its batch. */
  inFloat64(rows) {
    const {
      knobs,
      data: { x, D },
      description,
    } = this;
    const model = new VAE(
      description,
      new PlainKernels(Float64Array),
      rows,
      this.model.parameters.theta,
    );
    const { beta, reconstruction_weight, likelihood } = this.model;
    Object.assign(model, { beta, reconstruction_weight });
    if (likelihood.sigma) model.likelihood.sigma = likelihood.sigma;
    model.latent = planted(knobs.error, this.fresh);
    model.x.set(x.subarray(0, rows * D));
    return model;
  }
}

/** A function that draws from N(0, 1), two at a time. */
function normals(stream) {
  const spare = [];
  return () => {
    if (!spare.length) spare.push(...stream.normal(2));
    return spare.pop();
  };
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values) {
  return values.length ? sum(values) / values.length : values;
}

/** Whether codes (N, L) have run away. */
export function ranAway(mu) {
  return mu.some((value) => !(Math.abs(value) < TOO_FAR));
}
