// The arithmetic of kernels.js for WebAssembly, four float32 numbers at a time (SIMD). Addresses are
// in bytes, sizes and strides in numbers. Built by AssemblyScript 0.28.20:
//   npx --package assemblyscript@0.28.20 asc kernels.ts -o kernels.wasm -O3 --noAssert \
//     --enable simd --runtime stub --importMemory

/** out (M, N) = a (M, P) · b (P, N) + bias (N,), where a[i, p] lies at a + 4 (i · row + p · column);
 *  without a bias if its address is 0. Four rows and eight columns of out are summed at a time. */
export function matmul(
  out: usize, a: usize, row: i32, column: i32, b: usize, bias: usize, M: i32, N: i32, P: i32,
): void {
  const N8 = N & ~7;
  const next = column << 2;
  for (let j = 0; j < N8; j += 8) {
    let b0 = f32x4.splat(0), b1 = f32x4.splat(0);
    if (bias) { b0 = v128.load(bias + (j << 2)); b1 = v128.load(bias + (j << 2), 16); }
    let i = 0;
    for (; i + 4 <= M; i += 4) {
      let c00 = b0, c01 = b1, c10 = b0, c11 = b1, c20 = b0, c21 = b1, c30 = b0, c31 = b1;
      let a0 = a + ((i * row) << 2), a1 = a0 + (row << 2), a2 = a1 + (row << 2), a3 = a2 + (row << 2);
      let from = b + (j << 2);
      for (let p = 0; p < P; p++) {
        const w0 = v128.load(from), w1 = v128.load(from, 16);
        let x = v128.load_splat<f32>(a0);
        c00 = f32x4.add(c00, f32x4.mul(x, w0)); c01 = f32x4.add(c01, f32x4.mul(x, w1));
        x = v128.load_splat<f32>(a1);
        c10 = f32x4.add(c10, f32x4.mul(x, w0)); c11 = f32x4.add(c11, f32x4.mul(x, w1));
        x = v128.load_splat<f32>(a2);
        c20 = f32x4.add(c20, f32x4.mul(x, w0)); c21 = f32x4.add(c21, f32x4.mul(x, w1));
        x = v128.load_splat<f32>(a3);
        c30 = f32x4.add(c30, f32x4.mul(x, w0)); c31 = f32x4.add(c31, f32x4.mul(x, w1));
        from += N << 2; a0 += next; a1 += next; a2 += next; a3 += next;
      }
      let to = out + ((i * N + j) << 2);
      v128.store(to, c00); v128.store(to, c01, 16); to += N << 2;
      v128.store(to, c10); v128.store(to, c11, 16); to += N << 2;
      v128.store(to, c20); v128.store(to, c21, 16); to += N << 2;
      v128.store(to, c30); v128.store(to, c31, 16);
    }
    for (; i < M; i++) {
      let c0 = b0, c1 = b1, a0 = a + ((i * row) << 2), from = b + (j << 2);
      for (let p = 0; p < P; p++) {
        const x = v128.load_splat<f32>(a0);
        c0 = f32x4.add(c0, f32x4.mul(x, v128.load(from)));
        c1 = f32x4.add(c1, f32x4.mul(x, v128.load(from, 16)));
        from += N << 2; a0 += next;
      }
      const to = out + ((i * N + j) << 2);
      v128.store(to, c0); v128.store(to, c1, 16);
    }
  }
  for (let j = N8; j < N; j++) for (let i = 0; i < M; i++) {
    let c: f32 = bias ? load<f32>(bias + (j << 2)) : 0;
    let a0 = a + ((i * row) << 2), from = b + (j << 2);
    for (let p = 0; p < P; p++) { c += load<f32>(a0) * load<f32>(from); a0 += next; from += N << 2; }
    store<f32>(out + ((i * N + j) << 2), c);
  }
}

/** out (C, R) = a (R, C) transposed, eight by eight. */
export function transpose(out: usize, a: usize, R: i32, C: i32): void {
  for (let i = 0; i < R; i += 8) for (let j = 0; j < C; j += 8)
    for (let k = i; k < min(i + 8, R); k++) for (let l = j; l < min(j + 8, C); l++)
      store<f32>(out + ((l * R + k) << 2), load<f32>(a + ((k * C + l) << 2)));
}

/** out (N,) = the sum of the rows of a (M, N). */
export function sumRows(out: usize, a: usize, M: i32, N: i32): void {
  memory.fill(out, 0, N << 2);
  for (let i = 0; i < M; i++) for (let j = 0; j < N; j++) {
    const to = out + (j << 2);
    store<f32>(to, load<f32>(to) + load<f32>(a + ((i * N + j) << 2)));
  }
}

/** M ← β1 M + g, V ← β2 V + g², θ ← θ − a M / (√V + ε), n numbers each: see optim.js. */
export function adam(
  theta: usize, g: usize, M: usize, V: usize, n: i32, a: f32, beta1: f32, beta2: f32, epsilon: f32,
): void {
  const A = f32x4.splat(a), B1 = f32x4.splat(beta1), B2 = f32x4.splat(beta2);
  const E = f32x4.splat(epsilon);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const o = i << 2;
    const d = v128.load(g + o);
    const m = f32x4.add(f32x4.mul(B1, v128.load(M + o)), d);
    const v = f32x4.add(f32x4.mul(B2, v128.load(V + o)), f32x4.mul(d, d));
    v128.store(M + o, m);
    v128.store(V + o, v);
    const step = f32x4.div(f32x4.mul(A, m), f32x4.add(f32x4.sqrt(v), E));
    v128.store(theta + o, f32x4.sub(v128.load(theta + o), step));
  }
  for (; i < n; i++) {
    const o = i << 2;
    const d = load<f32>(g + o);
    const m = beta1 * load<f32>(M + o) + d, v = beta2 * load<f32>(V + o) + d * d;
    store<f32>(M + o, m);
    store<f32>(V + o, v);
    store<f32>(theta + o, load<f32>(theta + o) - a * m / (sqrt<f32>(v) + epsilon));
  }
}
