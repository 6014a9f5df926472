"""How often the audit accuses a right VAE, how often it finds and names a planted error, how long
it takes. `python benchmarks/audit.py` runs the full counts; `--quick` a twentieth of them.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import audit_zoo as zoo

from tinyvae.audit import audit

SIZES = [{}, {"latent": 2}, {"latent": 20, "batch": 32}, {"batch": 1}, {"pixels": (1, 8, 8)}]


def right(number: int) -> dict:
    """The arguments of a right model: form, reductions, β, sizes and dtype change with `number`."""
    rng = np.random.default_rng(number)
    form = list(zoo.RECONSTRUCTIONS)[number % 4]
    reduction = ["sum", "mean"][number // 4 % 2]
    beta = [1.0, 3.0, 0.25][number // 8 % 3]
    loss = zoo.objective(reconstruction=zoo.RECONSTRUCTIONS[form], batch=reduction, beta=beta)
    sizes = SIZES[number // 24 % len(SIZES)]
    dtype = ["float32", "float64"][number // 120 % 2]
    stated = {"beta": beta} if number % 7 else {}
    return {"sample": zoo.sampler(rng), "objective": loss, "dtype": dtype, **sizes, **stated}


def false_alarms(count: int) -> None:
    """Audit right models of many forms and sizes."""
    start, alarms = time.perf_counter(), Counter()
    for number in range(count):
        alarms.update(audit(**right(number)).names)
    each = (time.perf_counter() - start) / count
    print(
        f"right models: {alarms.total()} false alarms in {count} audits, {1e3 * each:.0f} ms each"
    )
    for name, times in alarms.items():
        print(f"    {name}: {times}")


def families(count: int) -> None:
    """Audit right models of the families: parametrisations, capacity, free bits, priors, data."""
    start, wrong = time.perf_counter(), Counter()
    for number in range(count):
        report = audit(**zoo.right_family(number))
        if not report.ok:
            label = list(zoo.FAMILIES)[number % len(zoo.FAMILIES)]
            wrong[f"{label}: {', '.join(report.names) or report.state}"] += 1
    each = (time.perf_counter() - start) / count
    print(f"right families: {wrong.total()} not right of {count}, {1e3 * each:.0f} ms each")
    for name, times in wrong.items():
        print(f"    {name}: {times}")


def whole_models(rounds: int) -> None:
    """Audit whole models of PyTorch by one call each, right ones and wrong ones."""
    try:
        import audit_models
        import torch
    except ImportError:
        print("whole models: PyTorch is not installed")
        return
    torch.set_num_threads(1)
    start, missed = time.perf_counter(), Counter()
    for seed in range(rounds):
        torch.manual_seed(seed)
        for label, make in audit_models.RIGHT.items():
            report = audit(**make())
            if not report.ok:
                missed[f"right, {label}: {', '.join(report.names) or report.state}"] += 1
        for label, (name, make) in audit_models.WRONG.items():
            found = audit(**make()).names
            if found != [name]:
                missed[f"wrong, {label}: {', '.join(found) or 'nothing'}"] += 1
    count = rounds * (len(audit_models.RIGHT) + len(audit_models.WRONG))
    each = (time.perf_counter() - start) / count
    print(f"whole models: {missed.total()} missed of {count}, {1e3 * each:.0f} ms each")
    for name, times in missed.items():
        print(f"    {name}: {times}")


def right_gradients(count: int) -> None:
    """Audit right hand-written gradients, each with other weights."""
    start, alarms = time.perf_counter(), 0
    for seed in range(count):
        heads = ["apart", "together"][seed % 2]
        alarms += bool(audit(**zoo.HandWritten("", heads, seed=seed).arguments()).errors)
    each = (time.perf_counter() - start) / count
    print(f"right gradients: {alarms} false alarms in {count}, {1e3 * each:.0f} ms each")


def planted(title: str, cases: dict, seeds: int) -> None:
    """Audit each wrong model under many seeds; count those convicted under the right name alone."""
    print(f"{title}: found and rightly named, of {seeds} seeds")
    for label, (name, make) in cases.items():
        start = time.perf_counter()
        names = [audit(**make(seed)).names for seed in range(seeds)]
        hits = sum(found == [name] for found in names)
        missed = Counter(" + ".join(found) or "nothing" for found in names if found != [name])
        each = 1e3 * (time.perf_counter() - start) / seeds
        others = f"   otherwise {dict(missed)}" if missed else ""
        print(f"    {label:28} {name:28} {hits:4}   {each:4.0f} ms{others}", flush=True)


def cases() -> tuple[dict, dict, dict]:
    """Planted errors of samplers, losses (their sampler right, its noise random) and gradients."""

    def with_sampler(changes: dict, **stated):
        def make(seed: int) -> dict:
            dtype = ["float32", "float64"][seed % 2]
            sample = zoo.sampler(np.random.default_rng(seed))
            latent, batch = [None, 2, 16][seed % 3], [None, 32][seed % 2]
            sizes = {"latent": latent, "batch": batch, "dtype": dtype}
            return {"sample": sample, "objective": zoo.objective(**changes), **sizes, **stated}

        return make

    samplers = {
        label: (name, lambda seed, make=make: {"sample": make(np.random.default_rng(seed))})
        for label, (name, make) in zoo.SAMPLERS.items()
    }
    losses = {label: (name, with_sampler(c)) for label, (name, c) in zoo.LOSSES.items()}

    def family(sigma, loss):
        return lambda seed: {
            "sample": zoo.sampler(np.random.default_rng(seed), sigma), "objective": loss
        }  # fmt: skip

    losses |= {label: (n, family(*parts)) for label, (n, *parts) in zoo.PLANTED.items()}
    losses |= {label: (name, with_sampler(c, beta=3.0)) for label, (name, c) in zoo.BETAS.items()}

    def gradient(error: str):
        def make(seed: int) -> dict:
            heads = ["apart", "together"][seed % 2]
            return zoo.HandWritten(error, heads, seed=seed).arguments()

        return make

    gradients = {error: (name, gradient(error)) for error, name in zoo.GRADIENTS.items()}
    return samplers, losses, gradients


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the counts")
    share = 20 if parser.parse_args().quick else 1
    false_alarms(3000 // share)
    families(1600 // share)
    whole_models(max(1, 10 // share))
    right_gradients(200 // share)
    samplers, losses, gradients = cases()
    planted("samplers", samplers, 200 // share)
    planted("losses", losses, 200 // share)
    planted("gradients", gradients, 200 // share)


if __name__ == "__main__":
    main()
