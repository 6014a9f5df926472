"""A training step of tinyvae beside PyTorch, torch.compile and JAX: interleaved, paired, medians.

    python -m pip install -e ".[bench]"
    python benchmarks/step.py                  # all sizes, a few minutes
    python benchmarks/step.py --busy           # the same, with one core kept busy by something else
    python benchmarks/step.py --long           # 3,000 steps: does anything decay?

Every peer is one process that lives through all rounds; in each round all peers of a size run
once, in shuffled order, so that whatever else the machine does falls on all of them. A ratio is the
median of the ratios within the rounds.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import about

HERE = Path(__file__).parent
SIZES = [(784, 400, 20, 128), (784, 500, 20, 100), (784, 200, 50, 100), (784, 1000, 50, 512)]
SIZES += [(64, 128, 2, 64)]
PEERS = ("tinyvae", "torch", "torch.compile", "jax", "floor")
BURN = "x = 1.0\nwhile True:\n    x = x * 1.0000001"


class Peer:
    """A process that runs steps when asked to."""

    def __init__(self, name: str, size: tuple[int, ...], threads: int) -> None:
        numbers = [str(number) for number in (*size, threads)]
        command = [sys.executable, str(HERE / "peers.py"), name, *numbers]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        if not self.process.stdout.readline().startswith("ready"):
            raise RuntimeError(f"{name} does not run here; is the extra 'bench' installed?")

    def seconds(self, steps: int) -> float:
        """Return the seconds that so many steps took."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def compare(size: tuple[int, ...], names: list[str], rounds: int, threads: int) -> dict:
    """Return milliseconds a step of each peer, one number a round."""
    peers = {name: Peer(name, size, threads) for name in names}
    rng = random.Random(0)
    steps = max(5, int(0.15 / (peers["tinyvae"].seconds(10) / 10)))
    found = {name: [] for name in names}
    for _ in range(rounds):
        for name in rng.sample(names, len(names)):
            found[name].append(1e3 * peers[name].seconds(steps) / steps)
            time.sleep(0.02)  # threads that spin after a product come to rest
    for peer in peers.values():
        peer.close()
    return found


def summary(found: dict) -> dict:
    """Return each peer's median, and the median of tinyvae's ratio to it within the rounds."""
    ours = found["tinyvae"]
    return {
        name: {
            "ms": statistics.median(times),
            "ratio": statistics.median(a / b for a, b in zip(ours, times, strict=True)),
        }
        for name, times in found.items()
    }


def long_run(threads: int) -> dict:
    """Return milliseconds a step of tinyvae, for each 500 of 3,000 steps."""
    peer = Peer("tinyvae", SIZES[0], threads)
    found = [1e3 * peer.seconds(500) / 500 for _ in range(6)]
    peer.close()
    return {"ms": found, "last over first": found[-1] / found[0]}


def table(results: dict) -> str:
    """Return the results as a Markdown table."""
    names = list(next(iter(results.values())))
    others = [name for name in names if name != "tinyvae"]
    lines = [
        "| size (D-H-L, batch) | tinyvae | " + " | ".join(f"ratio to {n}" for n in others) + " |",
        "|---" * (len(others) + 2) + "|",
    ]
    for size, result in results.items():
        ratios = " | ".join(f"{result[n]['ratio']:.2f} ({result[n]['ms']:.2f} ms)" for n in others)
        lines.append(f"| {size} | {result['tinyvae']['ms']:.2f} ms | {ratios} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write step.json."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--peers", default=",".join(PEERS))
    p.add_argument("--sizes", type=int, nargs="*", help="which of the sizes, from 0")
    p.add_argument("--busy", action="store_true", help="keep one core busy meanwhile")
    p.add_argument("--long", action="store_true", help="3,000 steps of tinyvae alone")
    p.add_argument("--out", type=Path, default=None, help="write JSON there")
    options = p.parse_args()

    burner = subprocess.Popen([sys.executable, "-c", BURN]) if options.busy else None
    try:
        if options.long:
            results = {"long": long_run(options.threads)}
            print(results["long"])
        else:
            results = {}
            sizes = [SIZES[i] for i in options.sizes] if options.sizes else SIZES
            for size in sizes:
                label = "{}-{}-{}, {}".format(*size)
                found = compare(size, options.peers.split(","), options.rounds, options.threads)
                results[label] = summary(found)
                print(label, {n: round(r["ms"], 3) for n, r in results[label].items()}, flush=True)
            print("\n" + table(results))
    finally:
        if burner:
            burner.kill()
    if options.out:
        content = about() | {"threads": options.threads, "busy": options.busy, "results": results}
        options.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
