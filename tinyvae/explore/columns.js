// What tables add, as in tinyvae/core/columns.py: cells that are missing, NaN in x, and kinds of columns
// side by side. The explorer trains nothing: there is a forward pass alone.

import { sigmoid, softplus } from "./layers.js";

/** The first layer of an encoder whose x may lack cells: y = x, but 0 where x is missing; with mask
 * columns, the 1 or 0 of each (observed or not) stand beside x. */
export class Fill {
  constructor(n_in, mask) {
    Object.assign(this, { n_in, mask, n_out: n_in + mask });
  }

  attach(kernels, rows) {
    this.y = kernels.array(rows * this.n_out);
  }

  forward(x, B) {
    const { n_in, n_out, mask, y } = this;
    for (let i = 0; i < B; i++) {
      for (let d = 0; d < n_in; d++) {
        const value = x[i * n_in + d];
        y[i * n_out + d] = Number.isNaN(value) ? 0 : value;
        if (d < mask) y[i * n_out + n_in + d] = Number.isNaN(value) ? 0 : 1;
      }
    }
    return y;
  }
}

/** Kinds of columns side by side: columns is a list of [kind, n], sigma a number or one per column.
 * nll is a sum over the observed cells. */
export class Mixed {
  constructor({ sigma, columns }) {
    this.sigma = sigma;
    let start = 0;
    this.blocks = columns.map(([kind, n]) => ({ kind, start, stop: (start += n) }));
    this.D = start;
  }

  attach() {}

  /** The mean of p(x|z): numbers, and probabilities. */
  mean(y) {
    const x_hat = y.slice();
    this.each(y, (kind, from, to) => {
      if (kind === "gaussian") return;
      const logs = kind === "categorical" ? logSoftmax(y.subarray(from, to)) : null;
      for (let k = from; k < to; k++) x_hat[k] = logs ? Math.exp(logs[k - from]) : sigmoid(y[k]);
    });
    return x_hat;
  }

  forward(y, x, B = y.length / this.D) {
    const nll = new Float64Array(B);
    this.each(y, (kind, from, to, row) => {
      const logs = kind === "categorical" ? logSoftmax(y.subarray(from, to)) : null;
      for (let k = from; k < to; k++) {
        if (Number.isNaN(x[k])) continue;
        if (logs) nll[row] -= x[k] * logs[k - from];
        else if (kind === "bernoulli") nll[row] += softplus(y[k]) - x[k] * y[k];
        else nll[row] += this.gaussian(y[k] - x[k], k % this.D);
      }
    });
    return nll;
  }

  /** −log N(error; 0, σ²) of column d. */
  gaussian(error, d) {
    const variance = (this.sigma.length ? this.sigma[d] : this.sigma) ** 2;
    return 0.5 * ((error * error) / variance + Math.log(2 * Math.PI * variance));
  }

  /** Call use(kind, from, to, row) for each block of each row of y (B, D). */
  each(y, use) {
    for (let row = 0; row < y.length / this.D; row++) {
      for (const { kind, start, stop } of this.blocks) {
        use(kind, row * this.D + start, row * this.D + stop, row);
      }
    }
  }
}

/** y_k − log Σ e^y, with the largest y taken out. */
function logSoftmax(y) {
  const largest = Math.max(...y);
  const total = y.reduce((sum, value) => sum + Math.exp(value - largest), 0);
  return Array.from(y, (value) => value - largest - Math.log(total));
}
