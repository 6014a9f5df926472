"""What became of the exercises: each check writes its verdict into one file, which
`python -m tinyvae exercises` reads.

The file is `~/.tinyvae/exercises.json`, or what TINYVAE_PROGRESS names; where that is empty nothing
is recorded. A file that cannot be written is no reason for a check to fail.
"""

import json
import os
from pathlib import Path
from typing import Any

KEPT = 20  # errors of one exercise

# Notebook → its title, and its exercises with the checks that judge them.
NOTEBOOKS: dict[str, tuple[str, dict[str, str]]] = {
    "1": ("An autoencoder by hand", {
        "1.1": "autoencoder.dense_backward", "1.2": "autoencoder.relu_backward",
        "1.3": "autoencoder.sigmoid_layer", "1.4": "autoencoder.tanh_layer",
        "1.5": "autoencoder.adam_step",
    }),
    "2": ("Can it draw new digits?", {
        "2.1": "latent_space.stretched_codes", "2.2": "latent_space.nearest",
        "2.3": "latent_space.draw_like",
    }),
    "3": ("The idea of the VAE", {
        "3.1": "idea.normal", "3.2": "idea.bernoulli", "3.3": "idea.laplace", "3.4": "idea.elbo",
    }),
    "4": ("The gradient through a dice throw", {
        "4.1": "reparameterization.reparameterize", "4.2": "reparameterization.backward",
        "4.3": "reparameterization.log_sigma", "4.4": "reparameterization.spread",
        "4.5": "reparameterization.guilty",
    }),
    "5": ("The KL and its gradient", {
        "5.1": "kl.monte_carlo", "5.2": "kl.kl", "5.3": "kl.kl_backward", "5.4": "kl.wider",
    }),
    "6": ("What each term does", {
        "6.1": "training.train_step", "6.2": "training.planes",
        "6.3": "training.bernoulli_backward", "6.4": "training.prelu_layer",
    }),
    "7": ("Walking through the latent space", {
        "7.1": "walking.line", "7.2": "walking.arc", "7.3": "walking.quantiles",
        "7.4": "walking.aggregate",
    }),
    "8": ("Turning up the KL", {
        "8.1": "beta.active_units", "8.2": "beta.effective_beta", "8.3": "beta.best_width",
        "8.4": "remedies.free_bits", "8.5": "remedies.kl_target",
    }),
    "9": ("How good is it?", {
        "9.1": "evaluation.log_mean_exp", "9.2": "evaluation.effective_samples",
        "9.3": "evaluation.standard_error", "9.4": "evaluation.log_weights",
        "9.5": "evaluation.weights_of_both",
    }),
    "10": ("A model that is known exactly", {
        "10.1": "exact.log_evidence", "10.2": "exact.posterior", "10.3": "exact.straight",
    }),
    "11": ("Hunting errors", {
        "11.1": "lab.failing", "11.2": "lab.diagnoses", "11.3": "lab.planted",
    }),
    "12": ("Your VAE in 80 lines", {"12.1": "capstone.vae", "12.2": "capstone.training"}),
    "20": ("Appendix: where the time goes", {
        "20.1": "speed.clip_gradient", "20.2": "speed.dense_operations",
        "20.3": "speed.best_step",
    }),
}  # fmt: skip


def path() -> Path | None:
    """Return where the progress is recorded, or None where it shall not be."""
    chosen = os.environ.get("TINYVAE_PROGRESS")
    if chosen is None:
        return Path.home() / ".tinyvae" / "exercises.json"
    return Path(chosen) if chosen else None


def read(file: Path | None) -> dict[str, dict[str, Any]]:
    """Return check → {"solved": bool, "errors": [words, …]}; empty where nothing is recorded.

    Raises ValueError where the file holds something else.
    """
    if file is None or not file.exists():
        return {}
    try:
        recorded = json.loads(file.read_text(encoding="utf-8"))
        well_made = all(
            isinstance(one["solved"], bool) and isinstance(one["errors"], list)
            for one in recorded.values()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        well_made = False
    if not well_made:
        raise ValueError(f"{file} is no record of exercises; move it away to begin a new one")
    return recorded


def record(check: str, solved: bool, words: str = "") -> None:
    """Add a verdict on an answer to a check, "kl.kl"; what was solved once stays solved."""
    file = path()
    if file is None:
        return
    try:
        recorded = read(file)
        one = recorded.setdefault(check, {"solved": False, "errors": []})
        one["solved"] = one["solved"] or solved
        if words and words not in one["errors"]:
            one["errors"] = [*one["errors"], words][-KEPT:]
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}.new")
        draft.write_text(json.dumps(recorded, indent=1, ensure_ascii=False), encoding="utf-8")
        draft.replace(file)
    except (OSError, ValueError):
        pass


def summary(recorded: dict[str, dict[str, Any]], errors: int = 1) -> str:
    """Return a line for each notebook, with its count and what is open, and below it the last
    `errors` errors of each exercise that is not solved."""
    lines, solved_of_all, all_of_them = [], 0, 0
    width = max(len(title) for title, _ in NOTEBOOKS.values())
    for number, (title, exercises) in NOTEBOOKS.items():
        open_ = [n for n, check in exercises.items() if not recorded.get(check, {}).get("solved")]
        done = len(exercises) - len(open_)
        solved_of_all, all_of_them = solved_of_all + done, all_of_them + len(exercises)
        rest = f"open: {', '.join(open_)}" if open_ else "done"
        lines.append(f"{number:>2}. {title:<{width}}  {done}/{len(exercises)}  {rest}")
        for n in open_:
            made = recorded.get(exercises[n], {}).get("errors", [])
            words = [text.replace("\n", " ") for text in (made[-errors:] if errors else [])]
            lines += [f"      {n}: {text[:150]}{'…' if len(text) > 150 else ''}" for text in words]
    return "\n".join([*lines, f"    {solved_of_all} of {all_of_them} exercises solved"])
