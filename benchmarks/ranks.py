"""Data-parallel training on 1 and 2 ranks, measured; on 8, 64 and 512, a model on paper.

    python -m pip install -e ".[mpi]"
    python benchmarks/ranks.py      # minutes; writes ranks.json, ranks.md, ranks.png to results/

Strong scaling keeps the batch and adds ranks; weak scaling keeps the rows of a rank. The matrix
library has one thread a rank. Rounds alternate between the numbers of ranks, so that whatever else
the machine does falls on both; a ratio is the median of the ratios within the rounds.

**The model.** A step of B rows on N ranks takes

    T(N, B) = c0 + c1 B / N  +  n B (1 − 1/N)  +  2 α log2 N + β · 2 (N − 1) / N · bytes of g

Adam and the calls themselves (c0), the rows of the rank (c1 each), the noise of the other ranks'
rows, which every rank draws too so that an example meets the same noise whatever N (n a row), and
an all-reduce in two phases (Thakur et al. 2005). c0, c1, n, α, β are fitted to the fastest rounds
measured here, α and β between two processes of one machine; a second prediction takes a network
instead. Efficiency is T(1, B) / (N T(N, B)).
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from machine import about

from tinyvae import VAE, Adam
from tinyvae.engines.communicator import find
from tinyvae.engines.partition import DataParallel
from tinyvae.engines.ranks import RankNoise

HERE = Path(__file__).parent
D, HIDDEN, L = 784, 400, 20
BATCHES = (64, 128, 256, 512, 1024)
FLOATS = (100, 1000, 10_000, 100_000, 1_000_000, 4_000_000)
RANKS = (1, 2, 8, 64, 512)
TARGET = 0.8
CURVES = {128: "#a42200", 512: "#2d4060", 4096: "#08904f"}  # colours, by rows a rank
NETWORK = {"alpha": 20e-6, "beta": 1 / 1.25e9}  # assumed: 10 Gbit/s, 20 µs a message


def median_seconds(run: object, times: int) -> float:
    """Return the median of the seconds that run() takes, all ranks starting together."""
    seconds = []
    for _ in range(times):
        find().barrier()
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(steps: int) -> dict:
    """Return what one job of N ranks measures: seconds a step, an all-reduce, a row's noise."""
    x = np.random.default_rng(0).random((max(BATCHES), D), dtype=np.float32)
    vae = VAE(D, L, hidden=(HIDDEN,), likelihood="bernoulli", backend="numpy")
    optimizer, ranks = Adam(vae.parameters), DataParallel(find())
    vae.noise = RankNoise(vae.noise, ranks)

    def step(rows: np.ndarray) -> None:
        vae.forward(x[ranks.own(rows)])
        vae.backward()
        ranks.reduce_gradient(vae.parameters.grad)
        optimizer.step()

    for _ in range(5):
        step(np.arange(max(BATCHES)))
    found = {"size": vae.parameters.theta.nbytes, "steps": {}, "all_reduce": {}}
    for batch in BATCHES:
        rows = np.arange(batch)
        found["steps"][batch] = median_seconds(lambda: step(rows), steps)  # noqa: B023
    for floats in FLOATS if find().size > 1 else ():
        g = np.zeros(floats, np.float32)
        found["all_reduce"][4 * floats] = median_seconds(lambda: find().all_reduce(g), steps)  # noqa: B023
    rng = np.random.default_rng(0)
    draw = median_seconds(lambda: rng.standard_normal((1000, L), dtype=np.float32), steps)
    return found | {"noise": draw / 1000}


def job(n: int, steps: int) -> dict:
    """Return what n ranks measure."""
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or "mpiexec"
    command = [mpiexec, "-n", str(n), sys.executable, __file__, "--measure", str(steps)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found = json.loads(done.stdout)
    for name in ("steps", "all_reduce"):
        found[name] = {int(key): value for key, value in found[name].items()}
    return found


def line(points: dict[int, float]) -> tuple[float, float]:
    """Return the intercept and slope ≥ 0 of the line with the least relative squared error."""
    x, y = (np.array(values, float) for values in zip(*sorted(points.items()), strict=True))
    intercept, slope = np.linalg.lstsq(np.stack([1 / y, x / y], axis=1), np.ones(len(x)))[0]
    return max(float(intercept), 0.0), max(float(slope), 0.0)


def over(jobs: list[dict], name: str, summary: object = statistics.median) -> dict[int, float]:
    """Return the medians over the jobs, or another summary of them."""
    return {key: summary(job[name][key] for job in jobs) for key in jobs[0][name]}


def fitted(alone: list[dict], pairs: list[dict]) -> dict:
    """Return the constants of the model, in seconds, from each job's fastest round.

    Whatever else runs on the machine only adds time.
    """
    c0, c1 = line(over(alone, "steps", min))
    latency, beta = line(over(pairs, "all_reduce", min))
    noise = min(job["noise"] for job in alone)
    return {"c0": c0, "c1": c1, "noise": noise, "alpha": latency / 2, "beta": beta}


def predicted(model: dict, n: int, batch: float, size: int) -> float:
    """Return T(N, B) in seconds."""
    all_reduce = 2 * model["alpha"] * math.log2(n) + model["beta"] * 2 * (n - 1) / n * size
    noise = model["noise"] * batch * (1 - 1 / n)
    return model["c0"] + model["c1"] * batch / n + noise + (all_reduce if n > 1 else 0.0)


def efficiency(model: dict, n: int, batch: float, size: int) -> float:
    """Return the predicted T(1, B) / (N T(N, B))."""
    return predicted(model, 1, batch, size) / (n * predicted(model, n, batch, size))


def enough(model: dict, n: int, size: int) -> int | None:
    """Return the least power of 2 of rows a rank that keeps the efficiency, or None."""
    sizes = (2**i for i in range(20))
    return next((b for b in sizes if efficiency(model, n, b * n, size) >= TARGET), None)


def ratio(rounds: list[tuple[dict, dict]], one: int, two: int) -> tuple[float, float]:
    """Return the median and the spread (half the interquartile range) of T(1, …) / T(2, …)."""
    ratios = [alone["steps"][one] / pair["steps"][two] for alone, pair in rounds]
    low, high = np.percentile(ratios, [25, 75])
    return statistics.median(ratios), float(high - low) / 2


def page(result: dict) -> str:
    """Return the tables."""
    machine, model, size = result["machine"], result["model"], result["size"]
    lines = [
        f"# Scaling of data-parallel training: {D}-{HIDDEN}-{L}, float32",
        "",
        f"Made on {machine['date']} with {machine['processor']}, {machine['cores']} cores, one"
        f" thread a rank, {result['rounds']} alternating rounds, medians; the load average was"
        f" {result['load']:.1f} at the start: where that is above 0, other work shared the cores,"
        " so read the ratios, and their spread.",
        "",
        "## Measured: 2 ranks against 1",
        "",
        "| rows | ms a step, 1 rank | ms, 2 ranks, same batch | strong efficiency |"
        " by the fastest rounds | by the model | 2 ranks, twice the batch | weak efficiency |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["measured"]:
        weak = ("–", "–")
        if "weak" in row:
            weak = f"{row['double'] * 1e3:.1f} ms", f"{row['weak']:.2f} ± {row['weak_spread']:.2f}"
        lines.append(
            f"| {row['batch']} | {row['one'] * 1e3:.1f} | {row['two'] * 1e3:.1f} |"
            f" {row['strong']:.2f} ± {row['strong_spread']:.2f} | {row['fastest']:.2f} |"
            f" {efficiency(model, 2, row['batch'], size):.2f} | {weak[0]} | {weak[1]} |"
        )
    network = model | NETWORK
    lines += [
        "",
        "## A model, not a measurement: more ranks than there are here",
        "",
        f"Fitted to the fastest rounds: c0 = {model['c0'] * 1e3:.2f} ms, c1 ="
        f" {model['c1'] * 1e6:.1f} µs a row, noise"
        f" {model['noise'] * 1e6:.2f} µs a row, α = {model['alpha'] * 1e6:.1f} µs, 1/β ="
        f" {1e-9 / model['beta']:.2f} GB/s between two processes of one machine; g has"
        f" {size / 1e6:.1f} MB. The network is an assumption: 20 µs a message, 10 Gbit/s.",
        "",
        "| ranks | efficiency, 128 rows a rank | the same, by network | rows a rank for"
        f" {TARGET:.0%} (global batch) | by network | most that any batch gives |",
        "|---|---|---|---|---|---|",
    ]
    for n in RANKS[1:]:
        shares = [f"{efficiency(m, n, 128 * n, size):.2f}" for m in (model, network)]
        rows = [enough(m, n, size) for m in (model, network)]
        told = [f"{b:,} ({b * n:,})" if b else "none" for b in rows]
        most = model["c1"] / (model["c1"] + model["noise"] * (n - 1))
        lines.append(f"| {n} | {shares[0]} | {shares[1]} | {told[0]} | {told[1]} | {most:.2f} |")
    lines += [
        "",
        "What limits large numbers of ranks is not the all-reduce alone: every rank draws the noise"
        " of the whole batch, the price of a training that is the same whatever N.",
    ]
    return "\n".join(lines) + "\n"


def draw(result: dict, path: Path) -> None:
    """Draw measured and predicted efficiency against the number of ranks."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(9, 3.8), layout="constrained")
    model, size = result["model"], result["size"]
    n = np.unique(np.geomspace(1, 512, 60).round()).astype(int).tolist()
    titles = ("this machine's α and β", "an assumed network of 10 Gbit/s, 20 µs")
    axes = fig.subplots(1, 2, sharey=True)
    for ax, constants, title in zip(axes, (model, model | NETWORK), titles, strict=True):
        for rows, colour in CURVES.items():
            curve = [efficiency(constants, k, rows * k, size) for k in n]
            ax.plot(n, curve, color=colour, label=f"model, {rows:,} rows a rank")
        ax.axhline(TARGET, color="#c9ced6", lw=1, zorder=0)
        ax.set(xscale="log", xlabel="ranks", ylim=(0, 1.1), title=title)
        ax.set_xticks(RANKS, [str(k) for k in RANKS])
        ax.minorticks_off()
        ax.spines[["top", "right"]].set_visible(False)
    for row in result["measured"]:
        rows = row["batch"] // 2
        if rows in CURVES:
            style = {"color": CURVES[rows], "ls": ""}
            axes[0].errorbar(
                2, row["strong"], row["strong_spread"], marker="o", capsize=3, **style,
                label=f"measured, {rows} rows a rank, median of the rounds",
            )  # fmt: skip
            label = f"measured, {rows} rows a rank, fastest rounds"
            axes[0].plot(2, row["fastest"], marker="x", label=label, **style)
    axes[0].set_ylabel("efficiency, T(1, B) / (N T(N, B))")
    axes[0].legend(frameon=False, fontsize=7, loc="lower left", bbox_to_anchor=(0.16, 0.0))
    fig.savefig(path, dpi=120)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--steps", type=int, default=15, help="of each batch size in a round")
    p.add_argument("--out", default=str(HERE / "results"), help="for ranks.json, .md, .png")
    p.add_argument("--measure", type=int, metavar="STEPS", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.measure:
        found = measure(args.measure)
        if find().rank == 0:
            print(json.dumps(found))
        return
    load = os.getloadavg()[0]
    rounds = [(job(1, args.steps), job(2, args.steps)) for _ in range(args.rounds)]
    alone, pairs = zip(*rounds, strict=True)
    one, two = over(alone, "steps"), over(pairs, "steps")
    quick_one, quick_two = over(alone, "steps", min), over(pairs, "steps", min)
    measured = []
    for batch in BATCHES:
        row = {"batch": batch, "one": one[batch], "two": two[batch]}
        row["strong"], row["strong_spread"] = (v / 2 for v in ratio(rounds, batch, batch))
        row["fastest"] = quick_one[batch] / (2 * quick_two[batch])
        if 2 * batch in BATCHES:
            row["double"] = two[2 * batch]
            row["weak"], row["weak_spread"] = ratio(rounds, batch, 2 * batch)
        measured.append(row)
    result = {
        "machine": about(), "load": load, "rounds": args.rounds, "size": alone[0]["size"],
        "measured": measured, "all_reduce": over(pairs, "all_reduce", min),
        "model": fitted(alone, pairs), "network": NETWORK,
    }  # fmt: skip
    out = Path(args.out)
    (out / "ranks.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (out / "ranks.md").write_text(page(result), encoding="utf-8")
    draw(result, out / "ranks.png")
    print(page(result), end="")


if __name__ == "__main__":
    main()
