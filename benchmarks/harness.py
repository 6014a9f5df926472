"""What the benchmarks share: peers in processes of their own, shuffled rounds, medians and paired
ratios, the exponent of a growth, memory, and tables and files of results.

Machines drift and are shared, so what is compared takes turns in one run, in an order that is
shuffled anew in every round, and a ratio is the median of the ratios within the rounds.
"""

import argparse
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import about

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NEIGHBOUR = "print(flush=True)\nx = 1.0\nwhile True:\n    x = x * 1.0000001"
SECONDS = 0.15  # of steps that one measurement takes, about
NAMES = {
    "tinyvae": "tinyvae", "by hand": "tinyvae by hand", "torch": "PyTorch",
    "torch.compile": "torch.compile", "jax": "JAX",
    "cuda-graph": "PyTorch, CUDA graph", "jax-loop": "JAX, fori_loop", "numpy": "plain NumPy",
    "floor": "products alone",
}  # fmt: skip


class Peer:
    """A process that runs steps when it is asked to."""

    def __init__(self, script: str, *arguments: object) -> None:
        command = [sys.executable, str(HERE / script), *map(str, arguments)]
        self.errors = tempfile.TemporaryFile("w+")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=self.errors, text=True
        )

    def ready(self) -> bool:
        """Wait until it can be asked; False if it has ended instead."""
        return self.process.stdout.readline().startswith("ready")

    def ask(self, request: object) -> float:
        """Return the number with which the peer answers."""
        self.process.stdin.write(f"{request}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args[2]} ended: {self.reason()}")
        return float(answer)

    def ms(self, steps: int) -> float:
        """Return the milliseconds that each of so many steps took."""
        seconds = self.ask(steps)
        time.sleep(0.02)  # threads that spin after a product come to rest
        return 1e3 * seconds / steps

    def reason(self) -> str:
        """Return why it ended."""
        self.errors.seek(0)
        return reason(self.errors.read(), self.process.poll())

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()


@contextmanager
def peers(commands: dict[object, Sequence]) -> Iterator[dict[object, Peer]]:
    """Start a peer for each command; one that does not run is left out, with a line that says so.

    A key is the peer's name, or a tuple that begins with it.
    """
    started, running = {key: Peer(*command) for key, command in commands.items()}, {}
    try:
        for key, peer in started.items():
            if peer.ready():
                running[key] = peer
            else:
                peer.process.wait()
                name = key if isinstance(key, str) else key[0]
                if name == "tinyvae":
                    raise SystemExit(f"tinyvae does not run here: {peer.reason()}")
                left_out(name, peer.reason())
        yield running
    finally:
        for peer in started.values():
            peer.close()


def reason(stderr: str, status: int | None) -> str:
    """Return the line of stderr that names an exception; else its last line, or the exit status."""
    lines = [line.rstrip() for line in stderr.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return [f"exit status {status}", *lines[-1:], *named[-1:]][-1]


def left_out(name: str, reason: str) -> None:
    """Say on stderr that a peer does not run here."""
    print(f"{NAMES.get(name, name)} is left out: {reason}", file=sys.stderr, flush=True)


def take(engine: Any, step: int) -> None:
    """Take a step with one of tinyvae's engines, as the loop of `fit` does."""
    terms = engine.forward(engine.draw(step))
    engine.backward()
    engine.step()
    engine.note(step, terms)


@contextmanager
def neighbour() -> Iterator[None]:
    """Keep one core busy with something else meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()  # it runs
        yield
    finally:
        process.kill()
        process.wait()


def rounds(count: int, keys: Sequence, seed: int = 0) -> Iterator[list]:
    """Yield the keys `count` times, each time in another order."""
    rng = random.Random(seed)
    for _ in range(count):
        yield rng.sample(list(keys), len(keys))


def steps_for(peer: Peer) -> int:
    """Return how many steps take about `SECONDS`."""
    return max(5, int(SECONDS / (1e-3 * peer.ms(10))))


def paired(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Return the ratios a / b within the rounds."""
    return [x / y for x, y in zip(a, b, strict=True)]


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the median of the ratios a / b within the rounds."""
    return statistics.median(paired(a, b))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def exponent(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return p and its standard error, for values ∝ sizes^p over the upper half of the range.

    The upper half begins at the geometric mean of the least and the largest size. The error is that
    of a least-squares line through the logarithms; nan where there are only two points.
    """
    middle = math.sqrt(min(sizes) * max(sizes)) * (1 - 1e-9)
    points = [(math.log(s), math.log(v)) for s, v in zip(sizes, values, strict=True) if s >= middle]
    x, y = zip(*points, strict=True)
    slope, intercept = statistics.linear_regression(x, y)
    if len(x) < 3:
        return slope, math.nan
    squares = sum((b - intercept - slope * a) ** 2 for a, b in points)
    spread = sum((a - statistics.fmean(x)) ** 2 for a in x)
    return slope, math.sqrt(squares / (len(x) - 2) / spread)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    first, *others = (f"| {' | '.join(row)} |" for row in (header, *rows))
    return "\n".join([first, "|" + "---|" * len(header), *others])


def machine_line(result: dict) -> str:
    """Return the line that belongs under every table: date, machine, versions, load."""
    m = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    load = f"; load average {result['load']:.1f} at the start" if "load" in result else ""
    machine = f"{m['date']}; {m['processor']}, {m['cores']} cores; Python {m['python']}"
    gpu = f"{m['gpu']}; " if "gpu" in m else ""
    return f"{gpu}{machine}, {versions}{load}."


def options(doc: str, rounds: int) -> argparse.ArgumentParser:
    """Return a parser of what all scripts take."""
    summary, _, rest = doc.partition("\n\n")
    p = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--rounds", type=int, default=rounds, help=f"(default: {rounds})")
    p.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON and the figure")
    p.add_argument("--redraw", type=Path, metavar="JSON", help="table and figure of a kept result")
    return p


def add_peers(p: argparse.ArgumentParser, known: Sequence[str], default: Sequence[str]) -> None:
    """Add --peers: names with commas between them; tinyvae is always one of them."""

    def names(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name and name != "tinyvae"]
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return ["tinyvae", *chosen]

    p.add_argument("--peers", type=names, default=list(default), help=f"of {','.join(known)}")


def header() -> dict:
    """Return what every result begins with."""
    return {"machine": about(), "load": os.getloadavg()[0]}


def finish(result: dict, given: argparse.Namespace, name: str, table: Callable, draw: Callable):
    """Print the table, and leave NAME.json and NAME.png."""
    if given.redraw:
        result, name = json.loads(given.redraw.read_text()), given.redraw.stem
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.redraw:
        text = json.dumps(result, ensure_ascii=False) + "\n"
        (given.out / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"\n{table(result)}\n\n{machine_line(result)}")
    draw(result).savefig(given.out / f"{name}.png", dpi=144)
