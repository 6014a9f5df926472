"""The how-tos of the site run as they stand, and what they claim holds.

Each second heading of a page opens a recipe: the code of the page's beginning, then its own.
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "tutorials" / "site" / "howto"
CODE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
IMPORTS = re.compile(r"^\s*(?:import|from) (\w+)", re.M)
MOST_LINES = 15
OFFLINE = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
OFFLINE |= {"MLFLOW_TRACKING_URI": "file:mlruns", "MLFLOW_ALLOW_FILE_STORE": "true"}


def recipes() -> dict[str, tuple[str, str]]:
    """Return the code before a recipe and its own, by "page: heading"."""
    found = {}
    for page in sorted(FOLDER.glob("*.md")):
        start, *sections = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.M)
        for section in sections:
            before, own = ("\n".join(CODE.findall(text)) for text in (start, section))
            found[f"{page.stem}: {section.splitlines()[0]}"] = before, own
    return found


RECIPES = recipes()


def claim_search(names):
    search, best = names["search"], names["best"]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert best.latent_dim == search.best_params_["latent_dim"]
    assert 10 < best.sample(500, random_state=0)[:, 0].mean() < 15  # alcohol, in per cent


def claim_pipeline(names):
    assert names["accuracy"].mean() > 0.85


def claim_table(names):
    assert names["people"].feature_names == ("height", "weight", "age")
    assert np.allclose(names["new"].mean(axis=0), [170, 72, 40], atol=4)


def claim_folder(names):
    assert names["pictures"].image_shape == (14, 14)
    assert len(names["pictures"].label_names) == 10


def claim_arrays(names):
    assert isinstance(names["x"], np.memmap)


def claim_unusual(names):
    found = names["found"]
    assert (found.value < names["threshold"]).mean() > 0.6
    assert np.allclose(found.columns.sum(axis=1) + found.kl, found.value)


def claim_missing(names):
    filled, gaps, table = names["filled"], names["gaps"], names["table"]
    assert names["error"] < 0.6
    assert np.array_equal(filled.x[~gaps], table[~gaps].astype(filled.x.dtype))
    assert filled.draws.shape == (5, *table.shape) and np.isfinite(filled.draws).all()


def claim_torch(names):
    torch, vae, mu = names["torch"], names["vae"], names["mu"]
    assert np.allclose(names["torch_mu"].detach().numpy(), mu, atol=1e-5)
    assert np.allclose(names["torch_logvar"].detach().numpy(), names["logvar"], atol=1e-5)
    logits = names["decoder"](torch.tensor(mu)).detach().numpy()
    assert np.allclose(logits, vae.decoder_output(mu), atol=1e-4)


def claim_onnx(names):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession("encoder.onnx")
    (found,) = session.run(None, {"x": names["x"]})
    assert np.allclose(found, np.hstack([names["mu"], names["logvar"]]), atol=1e-5)


def claim_safetensors(names):
    assert np.array_equal(names["again"].parameters.theta, names["vae"].parameters.theta)


def claim_optuna(names):
    trials = names["study"].trials
    assert len(trials) == 8 and all(trial.intermediate_values for trial in trials)
    assert names["study"].best_value == min(t.value for t in trials if t.state.name == "COMPLETE")


def claim_mlflow(names):
    (run,) = names["mlflow"].search_runs(experiment_names=["digits"], output_format="list")
    assert run.data.metrics["epoch"] == 3 and run.data.params["latent_dim"] == "2"


def claim_wandb(names):
    assert names["loss"] == pytest.approx(names["history"][-1]["loss"])
    assert list(Path("wandb").glob("offline-run-*/files/model.npz"))


def claim_model(names):
    assert np.array_equal(names["again"].parameters.theta, names["vae"].parameters.theta)
    assert Path("digits-2d.npz").is_file()


def claim_training(names):
    theta = names["load"]("runs/digits").parameters.theta
    assert np.array_equal(theta, names["once"].parameters.theta)


def claim_outliers(names):
    X, vae = names["X"], names["vae"]
    assert (vae.predict(X) == -1).sum() == 9 and np.isfinite(vae.impute(X)).all()


CLAIMS = {
    "scikit-learn: Find outliers, and fill in missing cells": claim_outliers,
    "scikit-learn: Choose its settings by cross-validation": claim_search,
    "scikit-learn: Hand its codes on in a pipeline": claim_pipeline,
    "own-data: A table in a text file": claim_table,
    "own-data: A folder of images": claim_folder,
    "own-data: Arrays that you have already": claim_arrays,
    "anomalies-and-gaps: Which rows are unusual, and why": claim_unusual,
    "anomalies-and-gaps: Fill in what is missing": claim_missing,
    "other-frameworks: To PyTorch": claim_torch,
    "other-frameworks: To ONNX": claim_onnx,
    "other-frameworks: To safetensors, and back": claim_safetensors,
    "tracking: Search with Optuna, and stop what is hopeless": claim_optuna,
    "tracking: Log to MLflow": claim_mlflow,
    "tracking: Log to Weights & Biases": claim_wandb,
    "saving: A model": claim_model,
    "saving: A training": claim_training,
}


def test_every_recipe_has_a_claim():
    assert set(RECIPES) == set(CLAIMS)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_short(recipe):
    lines = [line for line in RECIPES[recipe][1].splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_runs_and_does_what_it_says(recipe, tmp_path, monkeypatch):
    code = "\n".join(RECIPES[recipe])
    for module in IMPORTS.findall(code):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    monkeypatch.chdir(tmp_path)
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    names = {"__name__": "recipe"}
    exec(compile(code, recipe, "exec"), names)
    CLAIMS[recipe](names)
