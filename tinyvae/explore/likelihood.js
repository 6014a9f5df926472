// The likelihood p(x|z), as in tinyvae/core/likelihood.py: its mean x_hat, and the negative log
// likelihood nll of one example, in nats: a sum over the D dimensions of the data, never a mean.

import { sigmoid, softplus } from "./layers.js";

/** x ~ N(x_hat, σ² I): the squared error, weighed by 1 / 2σ². */
export class Gaussian {
  constructor(sigma, output) {
    this.sigma = sigma;
    this.output = output; // "identity" or "sigmoid"
  }

  mean(y) {
    return this.output === "sigmoid" ? y.map(sigmoid) : y;
  }

  nll(y, x) {
    const variance = this.sigma ** 2;
    const x_hat = this.mean(y);
    let squared_error = 0;
    for (let d = 0; d < x.length; d++) squared_error += (x_hat[d] - x[d]) ** 2;
    return 0.5 * (squared_error / variance + x.length * Math.log(2 * Math.PI * variance));
  }
}

/** x ∈ {0, 1}, with the probability sigmoid(y) of a 1; y are the logits. */
export class Bernoulli {
  mean(y) {
    return y.map(sigmoid);
  }

  nll(y, x) {
    let nll = 0;
    for (let d = 0; d < x.length; d++) nll += softplus(y[d]) - x[d] * y[d];
    return nll;
  }
}
