"""How time and memory of a step grow with hidden width, latent width, batch and threads.

    python benchmarks/scaling.py                              # tinyvae alone, minutes
    python benchmarks/scaling.py --peers torch,jax            # and its peers
    python benchmarks/scaling.py --sweeps hidden batch        # some of the four

One number is swept at a time, the others stay those of 784-400-20, batch 128. All points of a sweep
take turns in shuffled rounds; medians. The exponent p of time ∝ size^p is the slope of a line
through the logarithms over the upper half of the range, with its standard error. Memory is the most
that a process held, beyond one that has the library imported and the training rows in place. Leaves
scaling.json and scaling.png.
"""

import argparse
import math
import os
import statistics
import sys

import harness
from harness import NAMES, exponent, ratio
from peers import PEERS

D, H, L, B = 784, 400, 20, 128
SWEEPS = {
    "hidden": (64, 128, 256, 512, 1024, 2048, 4096),
    "latent": (2, 8, 32, 128, 512, 2048),
    "batch": (16, 32, 64, 128, 256, 512, 1024, 2048),
    "threads": (1, 2, 4, 8, 16, 32),
}
TITLES = {
    "hidden": "hidden width H", "latent": "latent width L", "batch": "batch B",
    "threads": "threads, batch 512, H 1000",
}  # fmt: skip
MB = 1e6


def sizes(sweep: str) -> list[int]:
    """Return the sweep's sizes, no more threads than there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [size for size in SWEEPS[sweep] if sweep != "threads" or size <= cores]


def case(sweep: str, size: int, threads: int) -> tuple[int, ...]:
    """Return D, H, L, B and threads of a point."""
    return {
        "hidden": (D, size, L, B, threads),
        "latent": (D, H, size, B, threads),
        "batch": (D, H, L, size, threads),
        "threads": (D, 1000, 50, 512, size),
    }[sweep]


def measure(sweep: str, given: argparse.Namespace) -> dict:
    """Return, by peer, the sweep's sizes, milliseconds a step (a number a round) and memory."""
    points = [(name, size) for name in given.peers for size in sizes(sweep)]
    commands = {
        (name, size): ("peers.py", name, *case(sweep, size, given.threads)) for name, size in points
    }
    with harness.peers(commands) as peers:
        steps = {point: harness.steps_for(peer) for point, peer in peers.items()}
        ms = {point: [] for point in peers}
        for order in harness.rounds(given.rounds, peers):
            for point in order:
                ms[point].append(peers[point].ms(steps[point]))
        memory = {point: peer.ask("memory") for point, peer in peers.items()}
    found = {}
    for name, size in ms:
        columns = found.setdefault(name, {"sizes": [], "ms": [], "memory": []})
        columns["sizes"].append(size)
        columns["ms"].append(ms[name, size])
        columns["memory"].append(memory[name, size])
    print(f"{sweep}: measured", file=sys.stderr, flush=True)
    return found


def medians(columns: dict) -> list[float]:
    """Return the median milliseconds a step at each size."""
    return [statistics.median(times) for times in columns["ms"]]


def told(sizes: list[int], values: list[float]) -> str:
    """Return the exponent with its standard error."""
    p, error = exponent(sizes, values)
    return f"{p:.2f}" if math.isnan(error) else f"{p:.2f} ± {error:.2f}"


def speedups(columns: dict) -> list[str]:
    """Return how many times faster each number of threads is than the first."""
    return [f"{ratio(columns['ms'][0], ms):.2f}×" for ms in columns["ms"]]


def table(result: dict) -> str:
    """Return a table for each sweep, and one of the exponents."""
    parts, exponents = [], []
    for sweep, found in result["sweeps"].items():
        header = [TITLES[sweep]] + [f"{n:,}" for n in next(iter(found.values()))["sizes"]]
        rows = []
        for name, columns in found.items():
            times = medians(columns)
            rows.append([f"{NAMES[name]}, ms", *(f"{value:.3g}" for value in times)])
            if sweep == "threads":
                rows.append([f"{NAMES[name]}, speed-up", *speedups(columns)])
            memory = [f"{value / MB:,.0f}" for value in columns["memory"]]
            rows.append([f"{NAMES[name]}, MB", *memory])
            if sweep != "threads":
                both = [told(columns["sizes"], values) for values in (times, columns["memory"])]
                exponents.append([f"{TITLES[sweep]}, {NAMES[name]}", *both])
        parts.append(harness.markdown(header, rows))
    head = ["exponent over the upper half", "time", "memory"]
    return "\n\n".join([harness.markdown(head, exponents), *parts])


def draw(result: dict):
    """Draw the figure: time above, memory below, a column for each sweep."""
    import drawing

    return drawing.house(_draw)(result)


def _draw(result: dict):
    import drawing

    sweeps = result["sweeps"]
    width = 1.55 + 2.35 * (len(sweeps) - 1) + 1.5
    subtitle = (
        f"784-400-20, batch 128, threads: {result['threads']}; one number changed at a time. p is"
        " the exponent over the upper half of the range, with its standard error."
    )
    fig = drawing.page(max(width, 6.0), 5.6, "How a training step grows", subtitle)
    names = [n for n in drawing.COLOURS if any(n in found for found in sweeps.values())]
    if len(names) > 1:
        drawing.legend(fig, names, 0.95, 0.98)
    axes = {}
    for i, (sweep, found) in enumerate(sweeps.items()):
        for row, what in enumerate(("ms", "memory")):
            ax = drawing.panel(fig, 0.95 + 2.35 * i, 1.45 + 1.95 * row, 1.85, 1.45)
            axes[sweep, what] = ax
            for name, columns in found.items():
                ns = columns["sizes"]
                ys = medians(columns) if what == "ms" else [v / MB for v in columns["memory"]]
                ax.plot(ns, ys, "o-", color=drawing.COLOURS[name], ms=4, lw=1.8)
            ours = found["tinyvae"]
            ys = medians(ours) if what == "ms" else ours["memory"]
            ax.set(xscale="log", yscale="log")
            drawing.ticks(ax.xaxis, shown(ours["sizes"]), brief)
            ax.margins(x=0.25 if len(ours["sizes"]) < 3 else 0.06)
            ax.grid(axis="y", color="#eceef1", lw=0.8)
            if what == "ms":
                ax.set_title(TITLES[sweep], pad=8)
            text = f"p = {told(ours['sizes'], ys)}" if sweep != "threads" else ""
            if sweep == "threads" and what == "ms":
                text = f"{ours['sizes'][-1]} threads: {speedups(ours)[-1]} as fast"
            ax.text(0.05, 0.96, text, transform=ax.transAxes, va="top", color=drawing.INK)
    for what, label in (("ms", "ms a step"), ("memory", "memory, MB")):
        row = [axes[sweep, what] for sweep in sweeps]
        low = min(ax.get_ylim()[0] for ax in row)
        high = 2.2 * max(ax.get_ylim()[1] for ax in row)  # room for the text
        for ax in row:
            ax.set_ylim(low, high)
            drawing.ticks(ax.yaxis, [10.0**k for k in range(-3, 6) if low <= 10.0**k <= high])
            ax.tick_params(labelleft=ax is row[0])
        row[0].set_ylabel(label)
    drawing.footer(fig, result)
    return fig


def shown(sizes: list[int]) -> list[int]:
    """Return the sizes to write at an axis: every other one, if they are many."""
    return sizes if len(sizes) < 4 else sizes[::2]


def brief(size: float) -> str:
    """Return a size, thousands of 1,024 as k."""
    return f"{size / 1024:g}k" if size >= 1024 else f"{size:g}"


def main() -> None:
    """Measure, print, and leave the result."""
    p = harness.options(__doc__, rounds=9)
    p.add_argument("--sweeps", nargs="+", choices=list(SWEEPS), default=list(SWEEPS))
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the other sweeps (1)")
    harness.add_peers(p, PEERS, ["tinyvae"])
    given = p.parse_args()
    result = harness.header() | {"name": "scaling", "threads": given.threads, "sweeps": {}}
    if not given.redraw:
        result["sweeps"] = {sweep: measure(sweep, given) for sweep in given.sweeps}
    harness.finish(result, given, "scaling", table, draw)


if __name__ == "__main__":
    main()
