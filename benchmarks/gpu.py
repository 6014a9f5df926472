"""A training step on a GPU: tinyvae beside PyTorch (eager, compiled, captured by hand) and JAX.

    python -m pip install -e ".[cupy,bench]" "jax[cuda13]"     # PyTorch in its build for CUDA
    python benchmarks/gpu.py                   # minutes
    python benchmarks/gpu.py --tf32            # products in TF32, for all
    python benchmarks/gpu.py --device cpu      # no GPU: whether the peers' code runs, nothing more

As `step.py` does it: persistent processes, shuffled rounds, medians, paired ratios. A measurement
is wall time over many steps, none of which waits for the device; the last one does. Products are
true float32 unless --tf32 is given. `epochs` are 10 of 60,000 rows that are on the device already:
tinyvae's by `fit`, from checking its input to capturing its graph, the peers' by steps that are
compiled and captured before. Leaves gpu.json (gpu-tf32) and a figure of the same name.
"""

import argparse
import ctypes
import statistics
import sys

import harness
from gpu_peers import PEERS
from harness import NAMES, ratio

SIZES = {
    "cuda": [(784, 400, 20, 128), (784, 4096, 64, 4096)],
    "cpu": [(784, 400, 20, 128), (64, 128, 2, 64)],
}
EPOCHS = {"cuda": 10, "cpu": 1}


def gpu_name() -> str:
    """Return the name of the first GPU, or "" where there is none that works."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            cuda = ctypes.CDLL(library)
        except OSError:
            continue
        count, device, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(100)
        if cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value:
            cuda.cuDeviceGet(ctypes.byref(device), 0)
            cuda.cuDeviceGetName(name, len(name), device)
            return name.value.decode()
    return ""


def measure(size: tuple[int, ...], given: argparse.Namespace) -> dict:
    """Return each peer's milliseconds a step and seconds of the epochs, one number a round."""
    commands = {
        name: ("gpu_peers.py", name, *size, given.device, int(given.tf32)) for name in given.peers
    }
    with harness.peers(commands) as peers:
        found = {"size": size, "ms": {name: [] for name in peers}, "epochs": {}}
        steps = {name: harness.steps_for(peer) for name, peer in peers.items()}
        for order in harness.rounds(given.rounds, peers):
            for name in order:
                found["ms"][name].append(peers[name].ms(steps[name]))
        if size == SIZES[given.device][0]:
            for order in harness.rounds(min(given.rounds, 3), peers):
                for name in order:
                    seconds = peers[name].ask(f"epochs {EPOCHS[given.device]}")
                    found["epochs"].setdefault(name, []).append(seconds)
    print(label(size), {n: time(v) for n, v in found["ms"].items()}, file=sys.stderr, flush=True)
    return found


def label(size: tuple[int, ...]) -> str:
    """Return a size as text."""
    return "{}-{}-{}, {}".format(*size)


def time(ms: list[float]) -> str:
    """Return the median of times given in milliseconds."""
    median = statistics.median(ms)
    return f"{median:.3g} ms" if median >= 1 else f"{1e3 * median:.3g} µs"


def table(result: dict) -> str:
    """Return the results as a Markdown table, a row for each peer and size."""
    rows = []
    for case in result["cases"]:
        for name, ms in case["ms"].items():
            row = [label(case["size"]), NAMES[name], time(ms)]
            row.append(f"{ratio(case['ms']['tinyvae'], ms):.2f}")
            floor = case["ms"].get("floor")
            row.append(f"{ratio(floor, ms):.0%}" if floor else "–")
            seconds = case["epochs"].get(name)
            row.append(f"{statistics.median(seconds):.2f} s" if seconds else "–")
            rows.append(row)
    epochs = "10 epochs" if result["device"] == "cuda" else "an epoch"
    head = [
        "size (D-H-L, batch)",
        "",
        "a step",
        "tinyvae's over it",
        "of the products' rate",
        epochs,
    ]
    lines = [harness.markdown(head, rows)]
    if result["device"] == "cpu":
        lines.insert(0, "On the processor: whether the code runs, not how fast it is.\n")
    return "\n".join(lines)


def draw(result: dict):
    """Draw the figure: a row for each size, each peer's time over tinyvae's."""
    import drawing

    return drawing.house(_draw)(result)


def _draw(result: dict):
    import drawing

    cases = result["cases"]
    where = "a GPU" if result["device"] == "cuda" else "no GPU: a trial run of the code"
    precision = "TF32" if result["tf32"] else "float32"
    subtitle = (
        f"Each peer's time over tinyvae's in the same round, {precision}: right of the red line,"
        " tinyvae is faster. Dots are medians, bars the middle half of the rounds."
    )
    fig = drawing.page(9.4, 1.85 + 0.8 * len(cases), f"A training step on {where}", subtitle)
    ax = drawing.panel(fig, 2.1, 1.3, 6.95, 0.8 * len(cases) - 0.2)
    rows = []
    for i, case in enumerate(cases):
        ours = case["ms"]["tinyvae"]
        values = {n: harness.paired(v, ours) for n, v in case["ms"].items() if n != "tinyvae"}
        rows.append({name: harness.quartiles(v) for name, v in values.items()})
        size, batch = label(case["size"]).split(", ")
        place = {"transform": ax.get_yaxis_transform(), "ha": "right"}
        ax.text(-0.02, i - 0.05, f"{size}, batch {batch}", weight="bold", **place)
        ax.text(-0.02, i + 0.2, f"tinyvae: {time(ours)}", color=drawing.GREY, size=7.5, **place)
    drawing.dots(ax, rows, drawing.COLOURS["tinyvae"])
    names = [n for n in drawing.COLOURS if any(n in row for row in rows)]
    drawing.legend(fig, names, drawing.MARGIN, 1.02)
    drawing.footer(fig, result)
    return fig


def main() -> None:
    """Measure, print, and leave the result; or say that there is no GPU."""
    p = harness.options(__doc__, rounds=15)
    p.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="(default: cuda)")
    p.add_argument("--tf32", action="store_true", help="let products round their input to TF32")
    harness.add_peers(p, PEERS, PEERS)
    given = p.parse_args()
    result = harness.header() | {"device": given.device, "tf32": given.tf32, "cases": []}
    if not given.redraw:
        if given.device == "cuda":
            name = gpu_name()
            if not name:
                p.exit(
                    2, "gpu.py: no CUDA device works here; --device cpu tries the code without\n"
                )
            result["machine"]["gpu"] = name
        result["cases"] = [measure(size, given) for size in SIZES[given.device]]
    name = "gpu-trial" if given.device == "cpu" else "gpu-tf32" if given.tf32 else "gpu"
    harness.finish(result, given, name, table, draw)


if __name__ == "__main__":
    main()
