"""From nothing to a trained model: how long until it is as good as is asked for; and memory.

    python -m pip install -e ".[bench]"
    python benchmarks/train.py --data-dir DIR           # digits and MNIST, 20 minutes
    python benchmarks/train.py --tasks digits           # the bundled digits alone, minutes

`digits` is what `python -m tinyvae.train` trains (784-256-128-2 on 4,500 bundled digits, 20 epochs,
batches of 100), `mnist` is 784-400-20 with a Bernoulli likelihood, 10 epochs, batches of 128, from
the IDX files in DIR. Every run is a process of its own, with an empty compile cache; in each round
all peers run once, in shuffled order and with a seed of the round. The loss on the test images is
computed by one function for all, and says after which epoch a model was as good as the task asks.
Leaves train.json and train.png.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness
from harness import NAMES
from train_peers import TASKS, TRAIN

PHASES = {
    "import": "start and import", "data": "reading the data", "first": "model and first step",
    "trained": "all other steps",
}  # fmt: skip
PACKAGES = {"tinyvae": ["tinyvae"], "torch": ["torch", "numpy"], "jax": ["jax"]}
MB = 1e6


def run(name: str, task: str, seed: int, given: argparse.Namespace) -> dict:
    """Train in a new process; return the seconds of each phase and until the task's ELBO (infinite
    where it was not reached), peak memory and test loss."""
    epochs = given.epochs or TASKS[task].epochs
    folder = [str(given.data_dir)] if given.data_dir else []
    command = [sys.executable, str(harness.HERE / "train_peers.py"), name, task]
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache}
        start = time.monotonic()
        done = subprocess.run(
            [*command, str(given.threads), str(epochs), str(seed), *folder],
            capture_output=True, text=True, env=environment,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(harness.reason(done.stderr, done.returncode))
    found = json.loads(done.stdout.splitlines()[-1])
    seconds, before = {}, start
    for phase in PHASES:
        seconds[phase] = found["moments"].get(phase, before) - before
        before += seconds[phase]
    losses = found["test_losses"]
    seconds["reached"] = seconds_until(TASKS[task].target, found["ends"], losses) - start
    return seconds | {"total": before - start, "peak": found["peak"], "loss": losses[-1]}


def seconds_until(elbo: float, ends: list[float], losses: list[float]) -> float:
    """Return the end of the first epoch after which a test ELBO was reached, or infinity."""
    pairs = zip(ends, losses, strict=True)
    return next((end for end, loss in pairs if -loss >= elbo), math.inf)


def measure(task: str, given: argparse.Namespace) -> dict[str, list[dict]]:
    """Return each peer's runs; a peer that does not run here is left out."""
    found = {name: [] for name in given.peers}
    for seed, order in enumerate(harness.rounds(given.rounds, given.peers)):
        for name in order:
            if name not in found:
                continue
            try:
                found[name].append(run(name, task, seed, given))
            except RuntimeError as error:
                if name == "tinyvae" or found[name]:
                    raise
                harness.left_out(name, str(error))
                del found[name]
                continue
            print(f"{task}, {NAMES[name]}: {found[name][-1]['total']:.1f} s", file=sys.stderr)
    return found


def requirements(roots: list[str]) -> set[str]:
    """Return the installed distributions that these need, themselves included."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    seen, waiting = set(), list(roots)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # it comes with something else, or is not needed here
        seen.add(name)
        parsed = map(Requirement, needed)
        waiting += [r.name for r in parsed if not r.marker or r.marker.evaluate({"extra": ""})]
    return seen


def installed_bytes(names: set[str]) -> int:
    """Return what the files of these distributions take on disk.

    A distribution that lists no files (one that is installed as a link to its source) counts with
    the folder of its package.
    """
    files = set()
    for name in names:
        distribution = importlib.metadata.distribution(name)
        if distribution.read_text("RECORD"):
            files |= {Path(distribution.locate_file(file)) for file in distribution.files}
        spec = importlib.util.find_spec(name.replace("-", "_"))
        folders = (spec and spec.submodule_search_locations) or []
        if not any(path.is_relative_to(folder) for folder in folders for path in files):
            files |= {path for folder in folders for path in Path(folder).rglob("*")}
    return sum(path.stat().st_size for path in files if path.is_file())


def median(runs: list[dict], what: str) -> float:
    """Return the median over the runs."""
    return statistics.median(run[what] for run in runs)


def times_ours(task: dict, name: str, what: str = "total") -> float:
    """Return the median, over the rounds, of a peer's time over tinyvae's."""
    theirs, ours = ([run[what] for run in task[n]] for n in (name, "tinyvae"))
    return harness.ratio(theirs, ours)


def table(result: dict) -> str:
    """Return a table for each task, and one of what is installed."""
    parts = []
    for task, found in result["tasks"].items():
        rows = []
        for name, runs in found.items():
            phases = [f"{median(runs, phase):.2f} s" for phase in PHASES]
            total = []
            for what in ("reached", "total"):
                total += [f"{median(runs, what):.2f} s", f"{times_ours(found, name, what):.2f}×"]
            memory = f"{median(runs, 'peak') / MB:,.0f} MB"
            rows.append([NAMES[name], *total, *phases, memory, f"{median(runs, 'loss'):.2f}"])
        until = f"start to a test ELBO of {TASKS[task].target:g}".replace("-", "−")
        head = [task, until, "over tinyvae's", "start to trained", "over tinyvae's"]
        head += [*PHASES.values(), "peak memory"]
        parts.append(harness.markdown([*head, "test loss, nats"], rows))
    rows = [
        [NAMES[name], f"{size / MB:,.0f} MB", f"{len(packages)}: {', '.join(packages)}"]
        for name, (size, packages) in result["installed"].items()
    ]
    parts.append(harness.markdown(["with all requirements", "on disk", "packages"], rows))
    return "\n\n".join(parts)


def draw(result: dict):
    """Draw the figure: what each part takes, the memory, and the size on disk."""
    import drawing

    return drawing.house(_draw)(result)


def _draw(result: dict):
    import drawing
    from matplotlib.patches import Patch

    tasks, colours = result["tasks"], dict(zip(PHASES, SHADES, strict=True))
    titles = {"digits": "5,000 digits", "mnist": "MNIST"}
    subtitle = "Seconds from the start of a process to a trained model; medians."
    fig = drawing.page(9.4, 5.9, "From nothing to trained", subtitle)
    keys = [Patch(color=colours[phase], label=text) for phase, text in PHASES.items()]
    place = {"loc": "upper left", "bbox_to_anchor": (1.24 / 9.4, 1 - 0.84 / 5.9)}
    fig.legend(handles=keys, ncols=4, borderpad=0, handlelength=1, columnspacing=1.4, **place)
    for i, (task, found) in enumerate(tasks.items()):
        ax = drawing.panel(fig, 1.3 + 4.5 * i, 1.5, 2.5, 1.5)
        ax.set_title(f"{titles[task]}, {result['epochs'][task]} epochs", pad=8)
        for y, runs in enumerate(found.values()):
            left = 0.0
            for phase in PHASES:
                width = median(runs, phase)
                ax.barh(y, width, 0.62, left, color=colours[phase])
                left += width
        totals = [median(runs, "total") for runs in found.values()]
        notes = [
            f"{total:.1f} s, {times_ours(found, n):.1f}×"
            for n, total in zip(found, totals, strict=True)
        ]
        bars(ax, list(found), totals, notes)
    last = list(tasks)[-1]
    peaks = {n: median(runs, "peak") / MB for n, runs in tasks[last].items()}
    disk = {n: size / MB for n, (size, _) in result["installed"].items()}
    memory = (f"Peak memory, {titles[last]}, MB", peaks)
    for i, (title, values) in enumerate((memory, ("Installed, MB", disk))):
        ax = drawing.panel(fig, 1.3 + 4.5 * i, 3.7, 2.5, 0.36 * len(values))
        ax.set_title(title, pad=8)
        colour = [drawing.COLOURS[name] for name in values]
        ax.barh(range(len(values)), list(values.values()), 0.62, color=colour)
        notes = [f"{v:,.0f}, {v / values['tinyvae']:.1f}×" for v in values.values()]
        bars(ax, list(values), list(values.values()), notes)
    drawing.footer(fig, result)
    return fig


SHADES = ("#c9ced6", "#8d96a5", "#c4ae1a", "#2d4060")  # of the phases


def bars(ax, names: list[str], ends: list[float], notes: list[str]) -> None:
    """Name the bars of an axes, and write at their ends."""
    ax.set_yticks(range(len(names)), [NAMES[name] for name in names])
    ax.tick_params(axis="y", length=0, labelcolor="#1f2430")
    ax.get_yticklabels()[names.index("tinyvae")].set_weight("bold")
    ax.set(xlim=(0, max(ends) * 1.02), ylim=(len(names) - 0.5, -0.5))
    ax.locator_params(axis="x", nbins=5)
    for y, (end, note) in enumerate(zip(ends, notes, strict=True)):
        ax.annotate(
            note, (end, y), (4, 0), textcoords="offset points", va="center", annotation_clip=False
        )


def main() -> None:
    """Measure, print, and leave the result."""
    p = harness.options(__doc__, rounds=5)
    p.add_argument(
        "--tasks", nargs="+", choices=list(TASKS), help="(default: both, as far as can be)"
    )
    p.add_argument("--data-dir", type=Path, metavar="DIR", help="where MNIST's IDX files are")
    p.add_argument("--threads", type=int, default=2, metavar="N", help="(default: 2)")
    harness.add_peers(p, list(TRAIN), TRAIN)
    p.add_argument("--epochs", type=int, metavar="N", help="instead of 20 and 10, to try it out")
    given = p.parse_args()
    result = harness.header() | {"name": "train", "threads": given.threads, "tasks": {}}
    if not given.redraw:
        tasks = given.tasks or (["digits", "mnist"] if given.data_dir else ["digits"])
        if "mnist" in tasks and not given.data_dir:
            p.error("mnist needs --data-dir DIR, the folder of its IDX files")
        result["epochs"] = {task: given.epochs or TASKS[task].epochs for task in tasks}
        result["tasks"] = {task: measure(task, given) for task in tasks}
        needed = {name: requirements(roots) for name, roots in PACKAGES.items()}
        result["installed"] = {
            name: (installed_bytes(names), sorted(names)) for name, names in needed.items() if names
        }
    harness.finish(result, given, "train", table, draw)


if __name__ == "__main__":
    main()
