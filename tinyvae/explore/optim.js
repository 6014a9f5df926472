// The optimizer, as in tinyvae/core/optim.py: it sees a model as two flat vectors, θ and g.

const TINY = 1e-30; // moments below it become 0: processors are many times slower on denormal numbers

/**
 * Adam (Kingma & Ba 2015), with M = m / (1 − β1) and V = v / (1 − β2) in the place of m and v, as
 * optim.py derives it: θ ← θ − a M / (√V + ε / s).
 */
export class Adam {
  constructor(
    { theta, grad },
    kernels,
    { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = {},
  ) {
    Object.assign(this, { theta, grad, kernels, lr, beta1, beta2, epsilon, t: 0 });
    this.M = kernels.array(theta.length);
    this.V = kernels.array(theta.length);
  }

  /** Move θ once. */
  step() {
    const { beta1, beta2, lr, epsilon, M, V } = this;
    const t = ++this.t;
    const s = Math.sqrt((1 - beta2) / (1 - beta2 ** t));
    const a = (lr * (1 - beta1)) / (1 - beta1 ** t) / s;
    this.kernels.adam(this.theta, this.grad, M, V, a, beta1, beta2, epsilon / s);
    if (t % 100) return;
    for (let i = 0; i < M.length; i++) {
      if (Math.abs(M[i]) < TINY) M[i] = 0;
      if (V[i] < TINY) V[i] = 0;
    }
  }
}
