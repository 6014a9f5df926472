// The layers of the encoder and the decoder, as in tinyvae/core/layers.py: forward and backward pass of
// a batch. x is (B, n_in), y (B, n_out), flat and row after row. dfoo is ∂loss/∂foo. A layer
// owns the arrays that it returns, as long as the largest batch; the activations change theirs in place.

/** y = x W + b. W, b, dW and db are views into θ and g, which `Parameters` sets. */
export class Dense {
  constructor(n_in, n_out, initialization = "glorot") {
    Object.assign(this, { n_in, n_out, initialization });
  }

  /** Make room for batches of at most so many rows. */
  attach(kernels, rows) {
    this.kernels = kernels;
    this.y = kernels.array(rows * this.n_out);
    this.dx = kernels.array(rows * this.n_in);
  }

  /** First values of W as in layers.py; normal() draws from N(0, 1). */
  initialize(normal) {
    const { n_in, n_out } = this;
    const glorot = Math.sqrt(2 / (n_in + n_out));
    const scale = { he: Math.sqrt(2 / n_in), glorot, small: 0.3 * glorot }[this.initialization];
    for (let i = 0; i < this.W.length; i++) this.W[i] = scale * normal();
    this.b.fill(0);
  }

  forward(x, B) {
    this.x = x;
    this.kernels.affine(this.y, x, this.W, this.b, B);
    return this.y;
  }

  /** dW = xᵀ dy, db = Σ_batch dy, dx = dy Wᵀ. */
  backward(dy, B, need_dx = true) {
    this.kernels.weightGradients(this.dW, this.db, this.x, dy, B);
    if (!need_dx) return null;
    this.kernels.inputGradient(this.dx, dy, this.W, B, this.n_out);
    return this.dx;
  }
}

/** A function of every number by itself: y = f(x), dx = dy · slope(y). */
class Activation {
  constructor(n) {
    this.n_in = this.n_out = n;
  }

  attach() {}

  forward(x, B) {
    const n = B * this.n_out;
    for (let i = 0; i < n; i++) x[i] = this.f(x[i]);
    this.y = x;
    return x;
  }

  backward(dy, B) {
    const { y } = this;
    const n = B * this.n_out;
    for (let i = 0; i < n; i++) dy[i] *= this.slope(y[i]);
    return dy;
  }
}

/** y = max(x, 0); its derivative at 0 is set to 0. */
export class ReLU extends Activation {
  f(x) {
    return x > 0 ? x : 0 * x; // NaN stays NaN
  }
  slope(y) {
    return y > 0 ? 1 : 0;
  }
}

/** y = tanh x; dx = dy (1 − y²). */
export class Tanh extends Activation {
  f(x) {
    return Math.tanh(x);
  }
  slope(y) {
    return 1 - y * y;
  }
}

/** y = 1 / (1 + e^(−x)); dx = dy y (1 − y). */
export class Sigmoid extends Activation {
  f(x) {
    return sigmoid(x);
  }
  slope(y) {
    return y * (1 - y);
  }
}

/** y = log(1 + e^x), a smooth ReLU; dx = dy sigmoid(x), and sigmoid(x) = 1 − e^(−y). */
export class Softplus extends Activation {
  f(x) {
    return softplus(x);
  }
  slope(y) {
    return -Math.expm1(-y);
  }
}

/** Layers one after another: y = f_n(… f_2(f_1(x))). */
export class Sequential {
  constructor(layers) {
    this.layers = layers;
  }

  forward(x, B) {
    for (const layer of this.layers) x = layer.forward(x, B);
    return x;
  }

  /** The chain rule, from the last layer to the first; null where dx is not needed. */
  backward(dy, B, need_dx = true) {
    for (let k = this.layers.length - 1; k >= 0; k--) {
      dy = this.layers[k].backward(dy, B, need_dx || k > 0);
    }
    return dy;
  }
}

/** All weights of some networks as one vector θ, and their gradient as one vector g. */
export class Parameters {
  /** networks: {encoder, decoder}; names are "encoder.0.W" and so on, counting the Dense layers. */
  constructor(networks, kernels) {
    const places = Object.entries(networks).flatMap(([prefix, { layers }]) =>
      layers
        .filter((layer) => layer instanceof Dense)
        .map((layer, k) => ({ layer, name: `${prefix}.${k}` })),
    );
    const size = places.reduce((n, { layer }) => n + (layer.n_in + 1) * layer.n_out, 0);
    this.theta = kernels.array(size);
    this.grad = kernels.array(size);
    this.views = {}; // name → view into θ
    this.gradients = {}; // name → the same view into g
    let start = 0;
    for (const { layer, name } of places) {
      for (const [attribute, n] of [
        ["W", layer.n_in * layer.n_out],
        ["b", layer.n_out],
      ]) {
        layer[attribute] = this.theta.subarray(start, start + n);
        layer[`d${attribute}`] = this.grad.subarray(start, start + n);
        this.views[`${name}.${attribute}`] = layer[attribute];
        this.gradients[`${name}.${attribute}`] = layer[`d${attribute}`];
        start += n;
      }
    }
  }
}

/** 1 / (1 + e^(−x)); where e^(−x) overflows, 1 / ∞ = 0. */
export function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

/** log(1 + e^x), as max(x, 0) + log(1 + e^(−|x|)). */
export function softplus(x) {
  return Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0);
}
