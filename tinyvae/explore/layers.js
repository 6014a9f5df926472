// The layers of the encoder and the decoder, as in tinyvae/core/layers.py: the forward pass alone, and
// for one example: x is a vector (n_in,), y a vector (n_out,). Numbers here are float64, the
// weights keep the precision that they were stored in.

/** y = x W + b: every output is a weighted sum of all inputs, plus a constant. */
export class Dense {
  constructor(W, b) {
    this.W = W; // (n_in, n_out), row after row
    this.b = b; // (n_out,)
  }

  forward(x) {
    const { W, b } = this;
    const n_out = b.length;
    const y = Float64Array.from(b);
    for (let i = 0; i < x.length; i++) {
      const x_i = x[i];
      const row = i * n_out;
      for (let j = 0; j < n_out; j++) y[j] += x_i * W[row + j];
    }
    return y;
  }
}

/** y = max(x, 0). */
export class ReLU {
  forward(x) {
    return x.map((x_i) => Math.max(x_i, 0));
  }
}

/** y = tanh x. */
export class Tanh {
  forward(x) {
    return x.map(Math.tanh);
  }
}

/** y = 1 / (1 + e^(−x)). */
export class Sigmoid {
  forward(x) {
    return x.map(sigmoid);
  }
}

/** y = log(1 + e^x), a smooth ReLU. */
export class Softplus {
  forward(x) {
    return x.map(softplus);
  }
}

/** Layers one after another: y = f_n(… f_2(f_1(x))). */
export class Sequential {
  constructor(layers) {
    this.layers = layers;
  }

  forward(x) {
    for (const layer of this.layers) x = layer.forward(x);
    return x;
  }
}

/** 1 / (1 + e^(−x)), as ½ tanh(½ x) + ½, which never overflows. */
export function sigmoid(x) {
  return 0.5 * Math.tanh(0.5 * x) + 0.5;
}

/** log(1 + e^x), as max(x, 0) + log(1 + e^(−|x|)). */
export function softplus(x) {
  return Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0);
}
