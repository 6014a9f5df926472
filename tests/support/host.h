// Runs CUDA kernels on the host, one block after another: every thread of a block is a coroutine,
// which gives way to the next one at __syncthreads().

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

using std::abs, std::exp, std::expm1, std::log, std::min, std::sqrt, std::tanh;

template <class N>
N max(N a, N b) {  // as CUDA's: of a NaN and a number, the number
    return a != a ? b : b < a ? a : b != b ? a : b;
}

struct Dim {
    unsigned x, y;
};

namespace host {
    struct Thread {
        ucontext_t context;
        std::vector<char> stack = std::vector<char>(1 << 16);
        bool done;
    };
    static std::vector<Thread *> threads;
    static ucontext_t scheduler;
    static Dim thread, block, block_dim, grid_dim;
    static void (*body)(void **);
    static void **arguments;

    static void enter() {
        body(arguments);
        threads[thread.x]->done = true;
        swapcontext(&threads[thread.x]->context, &scheduler);
    }

    static void run(void (*kernel)(void **), unsigned x, unsigned y, unsigned size, void **given) {
        body = kernel, arguments = given, block_dim = {size, 1}, grid_dim = {x, y};
        while (threads.size() < size) threads.push_back(new Thread);
        for (block.y = 0; block.y < y; block.y++)
            for (block.x = 0; block.x < x; block.x++) {
                for (unsigned i = 0; i < size; i++) {
                    Thread &t = *threads[i];
                    getcontext(&t.context);
                    t.context.uc_stack.ss_sp = t.stack.data();
                    t.context.uc_stack.ss_size = t.stack.size();
                    t.done = false;
                    makecontext(&t.context, enter, 0);
                }
                for (unsigned left = size; left;)
                    for (thread.x = 0; thread.x < size; thread.x++) {
                        if (threads[thread.x]->done) continue;
                        swapcontext(&scheduler, &threads[thread.x]->context);
                        left -= threads[thread.x]->done;
                    }
            }
    }

    template <class... P, size_t... I>
    void call(void (*kernel)(P...), void **given, std::index_sequence<I...>) {
        kernel(*(P *)given[I]...);
    }

    template <class... P>
    void call(void (*kernel)(P...), void **given) {
        call(kernel, given, std::index_sequence_for<P...>());
    }
}

#define threadIdx host::thread
#define blockIdx host::block
#define blockDim host::block_dim
#define gridDim host::grid_dim
#define __syncthreads() swapcontext(&host::threads[host::thread.x]->context, &host::scheduler)
#define LAUNCHABLE(name)                                                                       \
    extern "C" void launch_##name(unsigned x, unsigned y, unsigned threads, void **arguments) { \
        host::run([](void **a) { host::call(name, a); }, x, y, threads, arguments);             \
    }
