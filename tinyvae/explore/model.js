// The autoencoder and the VAE, as in tinyvae/core/model.py: encode and decode, one example at a time.

import { Dense, ReLU, Sequential, Sigmoid, Softplus, Tanh } from "./layers.js";
import { Bernoulli, Gaussian } from "./likelihood.js";

const ACTIVATIONS = { ReLU, Tanh, Sigmoid, Softplus };

/** x → encoder → z → decoder → x_hat. */
export class Autoencoder {
  /**
   * description: what page.py says of the model, and theta: all weights as one vector. Every
   * layer's W and b is a view into it.
   */
  constructor(description, theta) {
    this.latent_dim = description.latent_dim;
    this.n_features = description.n_features;
    this.n_classes = description.n_classes;
    const parameters = {};
    let start = 0;
    for (const [name, shape] of description.parameters) {
      const stop = start + shape.reduce((size, n) => size * n, 1);
      parameters[name] = theta.subarray(start, stop);
      start = stop;
    }
    this.encoder = network("encoder", description.encoder, parameters);
    this.decoder = network("decoder", description.decoder, parameters);
    const { kind, sigma, output } = description.likelihood;
    this.likelihood = kind === "Gaussian" ? new Gaussian(sigma, output) : new Bernoulli();
  }

  /** The code z (L,) of x (D,). */
  encode(x, label) {
    return this.encoder.forward(this.with_label(x, label));
  }

  /** y (D,), which the likelihood turns into p(x|z). */
  decoder_output(z, label) {
    return this.decoder.forward(this.with_label(z, label));
  }

  /** x_hat (D,), the mean of p(x|z). */
  decode(z, label) {
    return this.likelihood.mean(this.decoder_output(z, label));
  }

  /** −log p(x|z), in nats. */
  nll(z, x, label) {
    return this.likelihood.nll(this.decoder_output(z, label), x);
  }

  /** `vector` (n,) with the one-hot label beside it (n + C,), where the model is conditional. */
  with_label(vector, label) {
    if (!this.n_classes) return vector;
    const one_hot = new Float64Array(vector.length + this.n_classes);
    one_hot.set(vector);
    one_hot[vector.length + label] = 1;
    return one_hot;
  }
}

/** x → encoder → mu, logvar → z = mu + exp(½ logvar) eps → decoder → p(x|z). */
export class VAE extends Autoencoder {
  /** mu and logvar (L,) of q(z|x). */
  encode(x, label) {
    const h = super.encode(x, label); // (2L,)
    return [h.subarray(0, this.latent_dim), h.subarray(this.latent_dim)];
  }
}

/** Sequential, of layers named "Dense" or by their activation; 0, 1, … count the Dense ones. */
function network(prefix, names, parameters) {
  let n_dense = 0;
  const layers = names.map((name) => {
    if (name !== "Dense") return new ACTIVATIONS[name]();
    const place = `${prefix}.${n_dense++}`;
    return new Dense(parameters[`${place}.W`], parameters[`${place}.b`]);
  });
  return new Sequential(layers);
}
