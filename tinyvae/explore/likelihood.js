// The likelihood p(x|z), as in tinyvae/core/likelihood.py: its mean x_hat, and the negative log
// likelihood nll of each example, in nats: a sum over the D dimensions of the data, never a mean.
// y and x are (B, D), flat.

import { sigmoid, softplus } from "./layers.js";

/** x ~ N(x_hat, σ²): the squared error, weighed by 1 / 2σ². sigma is a number, or one per feature. */
export class Gaussian {
  constructor(sigma) {
    this.sigma = sigma;
  }

  attach(kernels, rows, D) {
    this.D = D;
    this.dy = kernels.array(rows * D); // holds the error until `backward`
  }

  /** σ² of feature d. */
  variance(d) {
    return (this.sigma.length ? this.sigma[d] : this.sigma) ** 2;
  }

  /** x_hat, the mean of p(x|z), from the decoder's output. */
  mean(y) {
    return y;
  }

  /** nll (B,) of x under p(x|z); remembers the error for `backward`. */
  forward(y, x, B = y.length / this.D) {
    const { D, dy } = this;
    const nll = new Float64Array(B);
    let constant = 0;
    for (let d = 0; d < D; d++) constant += 0.5 * Math.log(2 * Math.PI * this.variance(d));
    const shared = this.sigma.length ? null : this.variance(0);
    for (let i = 0; i < B; i++) {
      let total = 0;
      for (let d = 0; d < D; d++) {
        const error = y[i * D + d] - x[i * D + d];
        dy[i * D + d] = error;
        total += shared === null ? (error * error) / this.variance(d) : error * error;
      }
      nll[i] = 0.5 * (shared === null ? total : total / shared) + constant;
    }
    return nll;
  }

  /** dy = dnll · (x_hat − x) / σ², for one dnll. */
  backward(dnll, B) {
    const { D, dy } = this;
    const shared = this.sigma.length ? null : dnll / this.variance(0);
    for (let i = 0; i < B * D; i++) dy[i] *= shared ?? dnll / this.variance(i % D);
    return dy;
  }
}

/** x ∈ {0, 1}, with the probability sigmoid(y) of a 1; y are the logits. */
export class Bernoulli {
  attach(kernels, rows, D) {
    this.D = D;
    this.dy = kernels.array(rows * D); // holds sigmoid(y) − x until `backward`
  }

  mean(y) {
    return y.map(sigmoid);
  }

  forward(y, x, B = y.length / this.D) {
    const { D, dy } = this;
    const nll = new Float64Array(B);
    for (let i = 0; i < B * D; i++) {
      nll[Math.floor(i / D)] += softplus(y[i]) - x[i] * y[i];
      dy[i] = sigmoid(y[i]) - x[i];
    }
    return nll;
  }

  backward(dnll, B) {
    const { D, dy } = this;
    for (let i = 0; i < B * D; i++) dy[i] *= dnll;
    return dy;
  }
}
