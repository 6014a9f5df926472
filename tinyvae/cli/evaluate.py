"""`tinyvae evaluate RUN`: how good a model is, as a table and a JSON file."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from tinyvae.cli import inputs, outputs, terminal
from tinyvae.data.rows import mean_log_size
from tinyvae.evaluate.disentangle import gap_of_dataset
from tinyvae.evaluate.effects import column_effects, effects_table
from tinyvae.train.files import write_text
from tinyvae.train.runs import Run

DESCRIPTION = """\
Tell how good a model is: ELBO and its terms, log p(x), KL per dimension, active units; of a table
also which columns each latent number moves. Nats are of the data in the model's units; of a table,
whose columns are standardised, they are also given in the data's own units (minus the log of each
observed number's standard deviation), in which they compare between scalings and with other
programs: elbo_in_data_units and log_likelihood_in_data_units in evaluation.json."""
OWN_ROWS = "the run's own test rows"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = inputs.parser("evaluate", DESCRIPTION)
    inputs.add_data(p, f"other data than {OWN_ROWS}", nargs="?")
    inputs.add_moved(p)
    p.add("--samples", terminal.COUNT, "N", 500, "draws for each example's log p(x)")
    p.add(*inputs.SEED)
    p.add("--quiet", None, text="write the JSON file only")
    return terminal.run(p, _evaluate, argv)


def _evaluate(given: argparse.Namespace) -> None:
    from tinyvae import evaluate as judge

    with inputs.opened(given) as run:
        own = given.data is None
        if own and "data" not in run.config:
            remedy = "evaluate RUN DATA takes a file of them"
            raise ValueError(f"{run.path} was trained on arrays from Python: {remedy}")
        if own:
            x, labels = run.dataset.x_test, run.dataset.y_test
        else:
            x, labels = inputs.read(run, given.data, given.data_dir)
        labels = labels if run.model.n_classes else None
        how = {"samples": given.samples, "seed": given.seed, "progress": not given.quiet}
        result = judge.evaluate(run.model, x, labels=labels, **how)
        if own and run.dataset.factors_train is not None:
            result["mutual_information_gap"] = gap_of_dataset(run.model, run.dataset).score
        if not np.isfinite(result["reconstruction"]):
            reason = "the data lie too far from those of the run, or the run's are too large"
            raise ValueError(f"the ELBO is not finite: {reason}")
        moved = ""
        if outputs.is_table(run):
            names, units = outputs.model_columns(run), outputs.units(run)[0].kind
            effects = column_effects(run.model, x, labels=labels)
            result["columns"], result["column_effects"] = names, effects.tolist()
            unit = "standard deviations" if units == "standardize" else "the model's units"
            moved = "\n" + effects_table(effects, names, f"in {unit}")
        result |= _in_data_units(run, x, result)
        result = {"data": OWN_ROWS if own else given.data, "epochs_trained": run.done} | result
        path = run.path / f"evaluation{'' if own else '-' + Path(given.data).stem}.json"
        try:
            write_text(path, json.dumps(result, indent=2) + "\n")
        finally:  # it is told even where the file cannot be written
            if not given.quiet:
                print(f"{result['data']}:\n{judge.table(result)}{moved}")
        if not given.quiet:
            print(f"\nsaved as {path}")


def _in_data_units(run: Run, x: Any, result: dict) -> dict:
    """Return ELBO and log p(x) of a table in the data's own units; nothing of other data, nor of a
    Bernoulli, whose probabilities have no unit."""
    scaling, _ = outputs.units(run)
    own = outputs.is_table(run) and scaling.has_units and run.model.sigma is not None
    if not own or "elbo" not in result:
        return {}
    size = mean_log_size(x, scaling)
    names = ("elbo", "log_likelihood")
    return {"log_std": size} | {f"{name}_in_data_units": result[name] - size for name in names}
