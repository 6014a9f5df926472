// Where matrices are multiplied: in plain JavaScript, which one can read, or by the same sums in
// WebAssembly (kernels.ts), eight at a time and about eight times as fast. Both have the same methods, and
// a model is handed one of them. All matrices are flat arrays, row after row.

/** The reference, in float32 or float64; also for browsers without WebAssembly SIMD. */
export class PlainKernels {
  constructor(Float = Float32Array) {
    this.Float = Float;
  }

  /** An array of n zeros. */
  array(n) {
    return new this.Float(n);
  }

  /** y (B, n_out) = x (B, n_in) W (n_in, n_out) + b (n_out,). */
  affine(y, x, W, b, B) {
    const n_out = b.length;
    const n_in = W.length / n_out;
    for (let i = 0; i < B; i++) {
      const start = i * n_out;
      for (let j = 0; j < n_out; j++) y[start + j] = b[j];
      for (let p = 0; p < n_in; p++) addRow(y, start, x[i * n_in + p], W, p * n_out, n_out);
    }
  }

  /** dW (n_in, n_out) = xᵀ dy, and db (n_out,) = Σ_batch dy, from x (B, n_in) and dy (B, n_out). */
  weightGradients(dW, db, x, dy, B) {
    const n_out = db.length;
    const n_in = dW.length / n_out;
    dW.fill(0);
    db.fill(0);
    for (let i = 0; i < B; i++) {
      const start = i * n_out;
      for (let p = 0; p < n_in; p++) addRow(dW, p * n_out, x[i * n_in + p], dy, start, n_out);
      addRow(db, 0, 1, dy, start, n_out);
    }
  }

  /** dx (B, n_in) = dy (B, n_out) Wᵀ. */
  inputGradient(dx, dy, W, B, n_out) {
    const n_in = W.length / n_out;
    for (let i = 0; i < B; i++) {
      for (let p = 0; p < n_in; p++) {
        let total = 0;
        for (let j = 0; j < n_out; j++) total += dy[i * n_out + j] * W[p * n_out + j];
        dx[i * n_in + p] = total;
      }
    }
  }

  /** M ← β1 M + g, V ← β2 V + g², θ ← θ − a M / (√V + ε). */
  adam(theta, g, M, V, a, beta1, beta2, epsilon) {
    for (let i = 0; i < theta.length; i++) {
      M[i] = beta1 * M[i] + g[i];
      V[i] = beta2 * V[i] + g[i] * g[i];
      theta[i] -= (a * M[i]) / (Math.sqrt(V[i]) + epsilon);
    }
  }
}

/** to[start …] += factor · from[first …], n numbers. */
function addRow(to, start, factor, from, first, n) {
  if (factor === 0) return; // most pixels are empty
  for (let j = 0; j < n; j++) to[start + j] += factor * from[first + j];
}

/** The same by WebAssembly, in float32; its arrays lie in its own memory of `capacity` numbers. */
export class WasmKernels {
  constructor(bytes, capacity) {
    const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * capacity) / 65536) + 2 });
    const module = new WebAssembly.Module(bytes);
    this.wasm = new WebAssembly.Instance(module, { env: { memory } }).exports;
    this.memory = memory;
    this.top = 65536; // the first page is left to the compiler
    this.spare = null; // for a transposed matrix
  }

  array(n) {
    const array = new Float32Array(this.memory.buffer, this.top, n);
    this.top += (4 * n + 63) & ~63;
    return array;
  }

  affine(y, x, W, b, B) {
    const n_out = b.length;
    const n_in = W.length / n_out;
    this.wasm.matmul(at(y), at(x), n_in, 1, at(W), at(b), B, n_out, n_in);
  }

  weightGradients(dW, db, x, dy, B) {
    const n_out = db.length;
    const n_in = dW.length / n_out;
    this.wasm.matmul(at(dW), at(x), 1, n_in, at(dy), 0, n_in, n_out, B);
    this.wasm.sumRows(at(db), at(dy), B, n_out);
  }

  inputGradient(dx, dy, W, B, n_out) {
    const n_in = W.length / n_out;
    if (!this.spare || this.spare.length < W.length) this.spare = this.array(W.length);
    this.wasm.transpose(at(this.spare), at(W), n_in, n_out);
    this.wasm.matmul(at(dx), at(dy), n_out, 1, at(this.spare), 0, B, n_in, n_out);
  }

  adam(theta, g, M, V, a, beta1, beta2, epsilon) {
    this.wasm.adam(at(theta), at(g), at(M), at(V), theta.length, a, beta1, beta2, epsilon);
  }
}

/** The address of an array in the memory of WebAssembly. */
const at = (array) => array.byteOffset;

/**
 * The fastest kernels that run here: WebAssembly's if the browser has it with SIMD, else the plain
 * ones. `capacity`: how many numbers the arrays of the model take together (`numbersFor`).
 */
export function fastest(bytes, capacity) {
  try {
    return new WasmKernels(bytes, capacity);
  } catch {
    return new PlainKernels();
  }
}
