// The kernels of a VAE's whole training step, for layers that are small enough to fit in one kernel
// each. tinyvae/engines/fused.py says what T, ACTIVATION, … stand for, and launches them in their order.
//
// Every layer's W (n_in, n_out) has its b (n_out) behind it in memory. So y = x W + b is one product
// (x 1) (W over b), with a 1 beside each row of x, and (x 1)ᵀ dy is dW over db. That 1 stands in the
// arrays of a layer's inputs, whose rows are a little longer than they need: see `stride`.

typedef long long Index;

struct alignas(4 * sizeof(T)) Four {
    T of[4];
};

// Numbers from one row of a matrix (n) in memory to the next: room for a 1, and for whole Fours.
__device__ int stride(int n) { return (n + 4) & ~3; }

// Begins to copy 4 numbers to shared memory, but zeros for those from `count` on. What is aligned
// is on its way while the thread goes on, and there after `arrived`.
__device__ void copy(T *to, const T *from, int count, bool aligned) {
#if __CUDA_ARCH__ >= 800
    constexpr int PART = 16 / sizeof(T);
    if (aligned) {
#pragma unroll
        for (int i = 0; i < 4; i += PART) {
            unsigned place = __cvta_generic_to_shared(to + i);
            int bytes = max(0, min(count - i, PART)) * sizeof(T);
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from + i),
                         "r"(bytes));
        }
        return;
    }
#endif
    for (int i = 0; i < 4; i++) to[i] = i < count ? from[i] : T(0);
}

// Ends a group of copies.
__device__ void end_of_group() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;");
#endif
}

// Waits until at most N groups of this thread's copies are still on their way.
template <int N>
__device__ void arrived() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

// A factor of a product, lines of K numbers each. Its rows in memory are these lines, or columns of
// them; `aligned`, if all rows begin at whole Fours.
struct Factor {
    const T *at;
    int stride, lines, K;
    bool aligned;
};

// A part of a factor in shared memory, LINES by BK, with the same rows as in memory.
template <int LINES, int BK, int THREADS, bool ROWS_ARE_LINES>
struct Tile {
    static constexpr int ROWS = ROWS_ARE_LINES ? LINES : BK, COLUMNS = ROWS_ARE_LINES ? BK : LINES;
    static constexpr int STRIDE = COLUMNS + 4;  // so that a warp's Fours are in different banks
    static constexpr int SIZE = ROWS * STRIDE, FOURS = ROWS * COLUMNS / 4;

    // Begins to copy the part of a factor from one of its lines, and from k, on.
    static __device__ void fetch(T *tile, const Factor &f, int line, int k) {
        const int top = ROWS_ARE_LINES ? line : k, left = ROWS_ARE_LINES ? k : line;
        const int rows = (ROWS_ARE_LINES ? f.lines : f.K) - top;
        const int columns = (ROWS_ARE_LINES ? f.K : f.lines) - left;
        const T *from = f.at + top * f.stride + left;
#pragma unroll
        for (int i = 0; i < (FOURS + THREADS - 1) / THREADS; i++) {
            const unsigned e = threadIdx.x + i * THREADS;
            const int row = e / (COLUMNS / 4), column = e % (COLUMNS / 4) * 4;
            if (FOURS % THREADS == 0 || e < FOURS)
                copy(tile + row * STRIDE + column, from + row * f.stride + column,
                     row < rows ? columns - column : 0, f.aligned);
        }
    }

    // The i-th line of the 4 that are a thread's, if its place among the threads is t.
    static __device__ int line(int t, int i) {
        return ROWS_ARE_LINES ? t + i * (LINES / 4) : 4 * t + i;
    }

    // x[i][j] = element k + j of that line, for 4 lines and 4 elements.
    static __device__ void read(const T *tile, int t, int k, T x[4][4]) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int place = ROWS_ARE_LINES ? line(t, i) * STRIDE + k : (k + i) * STRIDE + 4 * t;
            const Four four = *(const Four *)(tile + place);
#pragma unroll
            for (int j = 0; j < 4; j++) (ROWS_ARE_LINES ? x[i][j] : x[j][i]) = four.of[j];
        }
    }
};

// c(m, n) = Σ_k a(m, k) b(n, k), for the lines m of a and n of b.
//
// A block has BM × BN elements. It goes along k in steps of BK, whose parts of a and b it copies to
// shared memory STAGES - 1 steps ahead of their use. Each thread has 4 × 4 elements, and each of G
// groups of threads every G-th four of k: their sums are added in the end, in a fixed order.
template <int BM, int BN, int BK, int G, int STAGES>
struct Product {
    static constexpr int GROUP = BM / 4 * (BN / 4), THREADS = G * GROUP, SHARE = BM * BN / THREADS;
    static_assert(SHARE * THREADS == BM * BN && BK % (4 * G) == 0, "uneven shares");

    // The i-th of the SHARE elements that a thread completes.
    static __device__ void element(int i, int &m, int &n) {
        const unsigned e = threadIdx.x + i * THREADS;
        m = blockIdx.y * BM + e / BN, n = blockIdx.x * BN + e % BN;
    }

    // Calls end(i, m, n, c) for each of them.
    template <bool A_ROWS_ARE_LINES, bool B_ROWS_ARE_LINES, class End>
    static __device__ void compute(const Factor &a, const Factor &b, End end) {
        using TileA = Tile<BM, BK, THREADS, A_ROWS_ARE_LINES>;
        using TileB = Tile<BN, BK, THREADS, B_ROWS_ARE_LINES>;
        constexpr int BOTH = TileA::SIZE + TileB::SIZE, SUMS = G * BM * BN;
        __shared__ Four memory[(STAGES * BOTH > SUMS ? STAGES * BOTH : SUMS) / 4];
        T *shared = (T *)memory;
        const int steps = (a.K + BK - 1) / BK;
        auto fetch = [&](int step) {
            if (step < steps) {
                T *tile = shared + step % STAGES * BOTH;
                TileA::fetch(tile, a, blockIdx.y * BM, step * BK);
                TileB::fetch(tile + TileA::SIZE, b, blockIdx.x * BN, step * BK);
            }
            end_of_group();
        };
        const int group = threadIdx.x / GROUP, t = threadIdx.x % GROUP;
        const int t_m = t / (BN / 4), t_n = t % (BN / 4);
        T sum[4][4] = {};
#pragma unroll
        for (int step = 0; step < STAGES - 1; step++) fetch(step);
        for (int step = 0; step < steps; step++) {
            arrived<STAGES - 2>();
            __syncthreads();  // for all threads; and none is still at what is overwritten now
            fetch(step + STAGES - 1);
            const T *tile = shared + step % STAGES * BOTH;
#pragma unroll
            for (int four = 0; four < BK / (4 * G); four++) {
                const int k = 4 * (four * G + group);
                T x[4][4], y[4][4];
                TileA::read(tile, t_m, k, x);
                TileB::read(tile + TileA::SIZE, t_n, k, y);
#pragma unroll
                for (int e = 0; e < 4 * 4 * 4; e++) {
                    const int m = e / 4 % 4, n = e % 4, k = e / 16;
                    sum[m][n] += x[m][k] * y[n][k];
                }
            }
        }
        arrived<0>();
        __syncthreads();
#pragma unroll
        for (int e = 0; e < 4 * 4; e++) {
            const int m = TileA::line(t_m, e / 4), n = TileB::line(t_n, e % 4);
            shared[(group * BM + m) * BN + n] = sum[e / 4][e % 4];
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < SHARE; i++) {
            int m, n;
            element(i, m, n);
            T c = T(0);
#pragma unroll
            for (int g = 0; g < G; g++) c += shared[g * BM * BN + threadIdx.x + i * THREADS];
            if (m < a.lines && n < b.lines) end(i, m, n, c);
        }
    }
};

// The sum over a block's threads, the same for all of them, in a fixed order.
__device__ T block_sum(T value) {
    __shared__ T parts[1024];
    __syncthreads();
    parts[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    return parts[0];
}

// batch (B, D): rows of x, from the line of `order` for this step; now (3): this step's numbers.
extern "C" __global__ void gather(
    int B, int D, int width, const T *x, const Index *order, const Index *position, const T *table,
    T *batch, T *now
) {
    const int e = blockIdx.x * blockDim.x + threadIdx.x, i = e / (D + 1), j = e % (D + 1);
    if (i < B) batch[i * stride(D) + j] = j < D ? x[order[*position * width + i] * D + j] : T(1);
    if (e < 3) now[e] = table[*position * 3 + e];
}

__device__ T activation(T x) { return ACTIVATION; }
__device__ T slope(T y) { return SLOPE; }  // the activation's derivative, from its value

// y (B, n) = x W + b, of a layer with k inputs; with an activation but for a network's last layer.
template <class End>
__device__ void dense(int B, int k, int n, const T *x, const T *W, int aligned, End end) {
    Factor inputs = {x, stride(k), B, k + 1, true}, weights = {W, n, n, k + 1, aligned == 1};
    Product<FORWARD>::compute<true, false>(inputs, weights, end);
}

extern "C" __global__ void hidden(
    int B, int k, int n, const T *x, const T *W, int aligned, T *y
) {
    dense(B, k, n, x, W, aligned, [=](int, int i, int j, T c) {
        y[i * stride(n) + j] = activation(c);
        if (j == 0) y[i * stride(n) + n] = T(1);
    });
}

extern "C" __global__ void last(int B, int k, int n, const T *x, const T *W, int aligned, T *y) {
    dense(B, k, n, x, W, aligned, [=](int, int i, int j, T c) { y[i * stride(n) + j] = c; });
}

// z (B, L) = mu + exp(½ logvar) eps, from the encoder's output h (B, 2L); and on to the next step.
extern "C" __global__ void reparameterize(
    int B, int L, const T *h, const T *eps, T *z, Index *position
) {
    const int e = blockIdx.x * blockDim.x + threadIdx.x, i = e / L, j = e % L;
    const T *mu = h + i * stride(2 * L), *logvar = mu + L;
    if (i < B) z[i * stride(L) + j] = mu[j] + exp(T(0.5) * logvar[j]) * eps[e];
    if (i < B && j == 0) z[i * stride(L) + L] = T(1);
    if (e == 0) ++*position;
}

// Of the decoder's output y (B, n): dy, and, of each block, the sum of what LIKELIHOOD calls `term`.
extern "C" __global__ void output(
    int B, int k, int n, const T *x, const T *W, int aligned, const T *target, T scale, T *dy,
    T *terms
) {
    T total = T(0);
    dense(B, k, n, x, W, aligned, [&](int, int i, int j, T y) {
        T t = target[i * stride(n) + j], term, d;
        LIKELIHOOD;
        total += term;
        dy[i * stride(n) + j] = d * scale;
    });
    total = block_sum(total);
    if (threadIdx.x == 0) terms[blockIdx.y * gridDim.x + blockIdx.x] = total;
}

// σ² of sigma="auto", from the sums of squared errors; and dy, by its factor scale / σ².
extern "C" __global__ void calibrate(
    int B, int n, int count, const T *terms, T smallest, T scale, T *dy, T *variance
) {
    T total = T(0);
    for (int i = threadIdx.x; i < count; i += blockDim.x) total += terms[i];
    total = max(block_sum(total) / (T(B) * T(n)), smallest);
    const int e = blockIdx.x * blockDim.x + threadIdx.x;
    if (e < B * n) dy[e / n * stride(n) + e % n] *= scale / total;
    if (e == 0) *variance = total;
}

// The KL of each latent dimension, a block for each: the mean over the batch.
extern "C" __global__ void kl(int B, int L, const T *h, T *divergence) {
    T total = T(0);
    for (int i = threadIdx.x; i < B; i += blockDim.x) {
        const T *row = h + i * stride(2 * L), mu = row[blockIdx.x], logvar = row[L + blockIdx.x];
        total += T(0.5) * (mu * mu + (expm1(logvar) - logvar));
    }
    total = block_sum(total);
    if (threadIdx.x == 0) divergence[blockIdx.x] = total / T(B);
}

// dx (B, k) = dy Wᵀ, of a layer with n outputs, from dy (B, n).
template <class End>
__device__ void inputs_backward(
    int B, int k, int n, const T *dy, const T *W, int aligned, End end
) {
    Factor gradients = {dy, stride(n), B, n, true}, weights = {W, n, k, n, aligned == 1};
    Product<BACKWARD>::compute<true, true>(gradients, weights, end);
}

// dx of a layer whose inputs x come from an activation: on to that activation's input.
extern "C" __global__ void hidden_backward(
    int B, int k, int n, const T *dy, const T *W, int aligned, const T *x, T *dx
) {
    inputs_backward(B, k, n, dy, W, aligned, [=](int, int i, int j, T c) {
        dx[i * stride(k) + j] = c * slope(x[i * stride(k) + j]);
    });
}

// dz (B, L) of the decoder's first layer, and on to dh (B, 2L): through z and through the KL.
extern "C" __global__ void latent_backward(
    int B, int L, int n, const T *dy, const T *W, int aligned, const T *h, const T *eps,
    const T *now, const T *divergence, T free_bits, T *dh
) {
    inputs_backward(B, L, n, dy, W, aligned, [=](int, int i, int j, T dz) {
        const T *mu = h + i * stride(2 * L), *logvar = mu + L, sigma = exp(T(0.5) * logvar[j]);
        T *dmu = dh + i * stride(2 * L), *dlogvar = dmu + L, beta = now[0];
        T dkl = free_bits == T(0) || divergence[j] > free_bits ? beta / T(B) : T(0);
        dmu[j] = dz + dkl * mu[j];
        dlogvar[j] = dz * T(0.5) * sigma * eps[i * L + j]
            + dkl * T(0.5) * expm1(logvar[j]);
    });
}

// dW over db of a layer with k inputs x (B, k), from dy (B, n), and the optimizer's step on them.
extern "C" __global__ void weights_backward(
    int B, int k, int n, const T *x, const T *dy, const T *now, T beta1, T beta2, T *dW, T *M, T *V,
    T *W
) {
    using Gradient = Product<WEIGHTS>;
    const T step = now[1], epsilon = now[2];
    T m[Gradient::SHARE], v[Gradient::SHARE], w[Gradient::SHARE];
#pragma unroll
    for (int e = 0; e < Gradient::SHARE; e++) {  // read now, they are there when the product is
        int i, j;
        Gradient::element(e, i, j);
        if (i <= k && j < n) m[e] = M[i * n + j], v[e] = V[i * n + j], w[e] = W[i * n + j];
    }
    Factor inputs = {x, stride(k), k + 1, B, true}, gradients = {dy, stride(n), n, B, true};
    Gradient::compute<false, false>(inputs, gradients, [&](int e, int i, int j, T g) {
        OPTIMIZER;
        dW[i * n + j] = g, M[i * n + j] = m[e], V[i * n + j] = v[e], W[i * n + j] = w[e];
    });
}

// A line of the log (steps, 4): loss, reconstruction, KL, σ² (of a Gaussian), of the step before
// `position`.
extern "C" __global__ void note(
    int B, int n, int L, int count, const T *terms, const T *divergence, const T *sigma2,
    T free_bits, T weight, const T *now, const Index *position, T *lines
) {
    T total = T(0), all = T(0), counted = T(0);
    for (int i = threadIdx.x; i < count; i += blockDim.x) total += terms[i];
    for (int j = threadIdx.x; j < L; j += blockDim.x) {
        all += divergence[j];
        counted += max(divergence[j], free_bits);
    }
    total = block_sum(total), all = block_sum(all), counted = block_sum(counted);
    if (threadIdx.x) return;
    T variance = *sigma2, reconstruction = RECONSTRUCTION, *line = lines + (*position - 1) * 4;
    line[0] = weight * reconstruction + now[0] * counted;
    line[1] = reconstruction;
    line[2] = all;
    line[3] = variance;
}
