"""A training step of tinyvae beside PyTorch, torch.compile and JAX: interleaved, paired, medians.

    python -m pip install -e ".[bench]"
    python benchmarks/step.py                  # all sizes, minutes
    python benchmarks/step.py --threads 1 2    # with one thread and with two
    python benchmarks/step.py --busy           # also with one core kept busy by something else
    python benchmarks/step.py --long           # 3,000 steps: does anything decay?

Every peer is one process that lives through all rounds; in each round all peers of a size run
once, in shuffled order, so that whatever else the machine does falls on all of them. A ratio is the
median of the ratios within the rounds. With --busy each round has a quiet and a busy half, in
random order, so that a peer's slowing is paired too. Leaves step.json (step-busy, step-long) and a
figure of the same name; --redraw makes table and figure again from the JSON.
"""

import argparse
import contextlib
import statistics
import sys

import harness
from harness import NAMES, ratio
from peers import PEERS

SIZES = [(784, 400, 20, 128), (784, 500, 20, 100), (784, 200, 50, 100), (784, 1000, 50, 512)]
SIZES += [(64, 128, 2, 64)]
SEGMENT, SEGMENTS = 500, 6  # of --long


def measure(size: tuple, threads: int, given: argparse.Namespace, modes: tuple[str, ...]) -> dict:
    """Return milliseconds a step, by mode and peer, one number a round."""
    commands = {name: ("peers.py", name, *size, threads) for name in given.peers}
    found = {"size": size, "threads": threads}
    with harness.peers(commands) as peers:
        count = given.rounds
        steps = SEGMENT if given.long else harness.steps_for(peers["tinyvae"])
        count = SEGMENTS if given.long else count
        found |= {mode: {name: [] for name in peers} for mode in modes}
        halves = harness.rounds(count, modes, seed=1)
        for names, order in zip(harness.rounds(count, peers), halves, strict=True):
            for mode in order:
                with harness.neighbour() if mode == "busy" else contextlib.nullcontext():
                    for name in names:
                        found[mode][name].append(peers[name].ms(steps))
    medians = {n: f"{statistics.median(v):.3g} ms" for n, v in found["quiet"].items()}
    print(label(found), medians, file=sys.stderr, flush=True)
    return found


def label(case: dict) -> str:
    """Return a case's size and threads."""
    D, H, L, B = case["size"]
    threads = "1 thread" if case["threads"] == 1 else f"{case['threads']} threads"
    return f"{D}-{H}-{L}, {B}, {threads}"


def slowing(case: dict, name: str) -> float:
    """Return a peer's time beside a busy neighbour over its quiet time."""
    return ratio(case["busy"][name], case["quiet"][name])


def relative_slowing(case: dict, name: str) -> list[float]:
    """Return tinyvae's slowing over another's, round by round."""
    ours, theirs = (harness.paired(case["busy"][n], case["quiet"][n]) for n in ("tinyvae", name))
    return harness.paired(ours, theirs)


def table(result: dict) -> str:
    """Return the results as a Markdown table."""
    return {"step": steps_table, "step-busy": busy_table, "step-long": long_table}[result["name"]](
        result["cases"]
    )


def steps_table(cases: list[dict]) -> str:
    """Each peer's time, and tinyvae's over it."""
    others = list(dict.fromkeys(n for c in cases for n in c["quiet"] if n != "tinyvae"))
    rows = []
    for case in cases:
        times = case["quiet"]
        row = [label(case), f"{statistics.median(times['tinyvae']):.3g} ms"]
        for name in others:
            row.append("–")
            if name in times:
                median = statistics.median(times[name])
                row[-1] = f"{ratio(times['tinyvae'], times[name]):.2f} ({median:.3g} ms)"
        rows.append(row)
    head = ["size (D-H-L, batch)", "tinyvae", *(f"ratio to {NAMES[n]}" for n in others)]
    return harness.markdown(head, rows)


def busy_table(cases: list[dict]) -> str:
    """How many times slower each peer is beside a busy neighbour, and tinyvae relative to it."""
    names = list(dict.fromkeys(n for case in cases for n in case["quiet"]))
    rows = []
    for case in cases:
        row = [label(case)]
        for name in names:
            row.append(f"{slowing(case, name):.2f}×" if name in case["quiet"] else "–")
        for name in ("jax", "torch"):
            shown = "–"
            if name in case["quiet"]:
                shown = f"{statistics.median(relative_slowing(case, name)):.2f}"
            row.append(shown)
        rows.append(row)
    head = ["busy over quiet", *(NAMES[n] for n in names), "tinyvae's over JAX's", "over PyTorch's"]
    return harness.markdown(head, rows)


def long_table(cases: list[dict]) -> str:
    """Milliseconds a step in each 500 steps of 3,000."""
    head = ["steps", *(f"{i * SEGMENT + 1:,}–{(i + 1) * SEGMENT:,}" for i in range(SEGMENTS))]
    tables = []
    for case in cases:
        times = case["quiet"]
        rows = []
        for name, ms in times.items():
            drift = ms[-1] / ms[0]
            ours = times["tinyvae"][-1] / times["tinyvae"][0]
            shown = [f"{value:.3g} ms" for value in ms]
            rows.append([NAMES[name], *shown, f"{drift:.2f}", f"{ours / drift:.2f}"])
        columns = [*head, "last over first", "tinyvae's over its"]
        tables.append(f"{label(case)}:\n\n{harness.markdown(columns, rows)}")
    return "\n\n".join(tables)


def draw(result: dict):
    """Draw the figure that belongs to the table."""
    import drawing

    draw_one = draw_long if result["name"] == "step-long" else draw_ratios
    return drawing.house(draw_one)(result)


def draw_ratios(result: dict):
    """A row for each size: every peer's time, or its slowing, over tinyvae's."""
    import drawing

    cases, busy = result["cases"], result["name"] == "step-busy"
    title = "A training step" if not busy else "Beside a busy neighbour"
    subtitle = (
        "Each peer's time over tinyvae's in the same round: right of the red line, tinyvae is"
        " faster. Dots are medians, bars the middle half of the rounds."
    )
    if busy:
        subtitle = (
            "How many times as long a step takes when something else keeps one core busy. Dots are"
            " medians, bars the middle half of the rounds; at the line nothing has changed."
        )
    height = 1.75 + 0.62 * len(cases)
    fig = drawing.page(9.4, height, title, subtitle)
    left = 2.1
    ax = drawing.panel(fig, left, 1.3, 9.4 - left - drawing.MARGIN, 0.62 * len(cases) - 0.3)
    rows = []
    for i, case in enumerate(cases):
        quiet, ours = case["quiet"], case["quiet"]["tinyvae"]
        if busy:
            values = {n: harness.paired(case["busy"][n], quiet[n]) for n in quiet}
        else:
            values = {n: harness.paired(quiet[n], ours) for n in quiet if n != "tinyvae"}
        rows.append({name: harness.quartiles(v) for name, v in values.items()})
        size, batch, threads = label(case).split(", ")
        place = {"transform": ax.get_yaxis_transform(), "ha": "right"}
        ax.text(-0.02, i - 0.05, f"{size}, batch {batch}", weight="bold", **place)
        ours = f"{statistics.median(ours):.3g} ms with {threads}"
        ax.text(-0.02, i + 0.24, ours, color=drawing.GREY, size=7.5, **place)
    drawing.dots(ax, rows, drawing.GREY if busy else drawing.COLOURS["tinyvae"])
    drawing.legend(fig, [n for n in drawing.COLOURS if any(n in row for row in rows)], left, 1.05)
    drawing.footer(fig, result)
    return fig


def draw_long(result: dict):
    """A panel for each size: milliseconds a step along 3,000 steps."""
    import drawing

    cases = result["cases"]
    subtitle = "Milliseconds a step, each over 500 steps; all peers take turns in one run."
    fig = drawing.page(9.4, 1.0 + 2.75 * len(cases), "3,000 steps: does anything decay?", subtitle)
    for i, case in enumerate(cases):
        ax = drawing.panel(fig, 0.8, 1.2 + 2.75 * i, 6.6, 1.8)
        ends = [(i + 1) * SEGMENT for i in range(SEGMENTS)]
        for name, ms in case["quiet"].items():
            width = 2.4 if name == "tinyvae" else 1.6
            ax.plot(ends, ms, "o-", color=drawing.COLOURS[name], lw=width, ms=4)
        low = 0.12 * max(max(ms) for ms in case["quiet"].values())
        last = -low
        for name, ms in sorted(case["quiet"].items(), key=lambda item: item[1][-1]):
            last = max(ms[-1], last + low)  # labels keep their distance
            text = f"{NAMES[name]}, {ms[-1] / ms[0]:.2f}× the first"
            ax.annotate(
                text, (ends[-1] + 60, last), color=drawing.COLOURS[name], va="center",
                annotation_clip=False,
            )  # fmt: skip
        ax.set(xticks=ends, ylim=(0, None), title=label(case), ylabel="ms", xlabel="step")
        ax.set_xticks(ends, [f"{end:,}" for end in ends])
        ax.grid(axis="y", color="#eceef1", lw=0.8)
    drawing.footer(fig, result)
    return fig


def main() -> None:
    """Measure, print, and leave the result."""
    p = harness.options(__doc__, rounds=15)
    p.add_argument("--threads", type=int, nargs="+", default=[2], metavar="N", help="(default: 2)")
    harness.add_peers(p, PEERS, PEERS)
    p.add_argument(
        "--sizes", type=int, nargs="+", choices=range(len(SIZES)), help="some of the five"
    )
    mode = p.add_mutually_exclusive_group()
    mode.add_argument("--busy", action="store_true", help="quiet, and beside a busy neighbour")
    mode.add_argument("--long", action="store_true", help="3,000 steps, of the first size")
    given = p.parse_args()
    name = "step-busy" if given.busy else "step-long" if given.long else "step"
    result = harness.header() | {"name": name, "rounds": given.rounds, "cases": []}
    modes = ("quiet", "busy") if given.busy else ("quiet",)
    if not given.redraw:
        sizes = [SIZES[i] for i in given.sizes or ([0] if given.long else range(len(SIZES)))]
        for size in sizes:
            for threads in given.threads:
                result["cases"].append(measure(size, threads, given, modes))
    harness.finish(result, given, name, table, draw)


if __name__ == "__main__":
    main()
