"""Hold the estimator with its defaults against others on real tables: held-out log p(x) and
reconstruction, missing cells, outliers.

    python benchmarks/tables.py                       # about an hour on a core
    python benchmarks/tables.py --tables iris,wine --splits 2

All of it is measured on rows that were not trained on, in units of the training rows' standard
deviations. Prints Markdown, and leaves results/tables.json.
"""

import argparse
import io
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from typing import Any

import numpy as np
from harness import RESULTS
from machine import about

from tinyvae.estimator import VAEEstimator

L = 2
PART = 0.7  # of the rows, to train on
GAPS = 0.2  # of the cells that are missing
KINDS = {"iris": 2, "wine": 2, "breast cancer": 0, "penguins": 2}  # the class that is the outlier
TITLES = {
    "error": "Mean squared error of the reconstruction",
    "imputation": "Missing cells: root mean squared error",
    "columns mixed up": "Outliers made by mixing up the columns: area under the ROC curve",
    "another class": "Another class as outliers: area under the ROC curve",
}
Scores = dict[str, Any]


def tables() -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Return real tables (N, D) by name, from installed packages, and their classes (N,) if any."""
    import palmerpenguins
    import sklearn.datasets as sklearn
    from statsmodels import datasets as statsmodels
    from vega_datasets import local_data as vega

    def frame(table: Any) -> tuple[np.ndarray, None]:
        return table.select_dtypes("number").dropna().to_numpy(float), None

    penguins = palmerpenguins.load_penguins().drop(columns="year").dropna()
    species = np.unique(penguins["species"].to_numpy(str), return_inverse=True)[1]
    macro = statsmodels.macrodata.load_pandas().data.drop(columns=["year", "quarter"])
    return {
        "iris": sklearn.load_iris(return_X_y=True),
        "wine": sklearn.load_wine(return_X_y=True),
        "breast cancer": sklearn.load_breast_cancer(return_X_y=True),
        "diabetes": (sklearn.load_diabetes().data, None),
        "penguins": (frame(penguins)[0], species),
        "cars": frame(vega.cars()),
        "seattle-weather": frame(vega("seattle-weather")),
        "macrodata": frame(macro),
        "star98": frame(statsmodels.star98.load_pandas().data),
        "anes96": frame(statsmodels.anes96.load_pandas().data),
        "elnino": frame(statsmodels.elnino.load_pandas().data.drop(columns="YEAR")),
        "statecrime": frame(statsmodels.statecrime.load_pandas().data),
    }


def vae(seed: int, **options: Any) -> VAEEstimator:
    """Return the estimator with its defaults."""
    return VAEEstimator(**{"latent_dim": L, "threads": 1, "random_state": seed} | options)


def cut(x: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on and to test on, standardised by the first."""
    order = np.random.default_rng(100 + seed).permutation(len(x))
    train, test = np.split(x[order], [int(PART * len(x))])
    scale = train.std(axis=0)
    scale[scale == 0] = 1.0
    return (train - train.mean(axis=0)) / scale, (test - train.mean(axis=0)) / scale


def density(train: np.ndarray, test: np.ndarray, seed: int, samples: int, peers: list) -> Scores:
    """Return log p(x) of each test row (N,), and the mean squared error of the test cells."""
    from sklearn.decomposition import PCA, FactorAnalysis

    model = vae(seed, importance_samples=samples).fit(train)
    z = model.transform(test)
    found: Scores = {
        "tinyvae": (model.score_samples(test), np.mean((model.inverse_transform(z) - test) ** 2))
    }
    pca = PCA(L).fit(train)
    back = pca.inverse_transform(pca.transform(test))
    found["PCA"] = pca.score_samples(test), np.mean((back - test) ** 2)
    factors = FactorAnalysis(L, tol=1e-4, max_iter=5000, svd_method="lapack").fit(train)
    back = factors.transform(test) @ factors.components_ + factors.mean_
    found["FactorAnalysis"] = factors.score_samples(test), np.mean((back - test) ** 2)
    if "pythae" in peers:
        found["pythae"] = pythae(train, test, seed, samples)
    return found


def pythae(train: np.ndarray, test: np.ndarray, seed: int, samples: int) -> tuple:
    """Return the same of pythae's VAE, trained as its training pipeline does by default.

    It has one fixed σ = 1. Its log p(x) is given with a σ of each feature instead, set by the
    errors of the training rows when it is trained: what its networks are worth at best.
    """
    import logging
    import tempfile

    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.CRITICAL)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    tensor = torch.tensor(train, dtype=torch.float32)[:, None]
    data = BaseDataset(tensor, torch.zeros(len(train)))
    model = VAE(VAEConfig(input_dim=(1, train.shape[1]), latent_dim=L))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(output_dir=folder, no_cuda=True, seed=seed)
        trainer = BaseTrainer(model, train_dataset=data, training_config=config)
        with redirect_stderr(io.StringIO()):  # a bar of each epoch
            trainer.train()
    model = trainer.model.eval()

    @torch.no_grad()
    def encoded(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out = model.encoder(torch.tensor(x, dtype=torch.float32)[:, None])
        return out.embedding.numpy().astype(float), out.log_covariance.numpy().astype(float)

    @torch.no_grad()
    def decoded(z: np.ndarray) -> np.ndarray:
        flat = torch.tensor(z.reshape(-1, L), dtype=torch.float32)
        out = model.decoder(flat).reconstruction.numpy()
        return out.reshape(*z.shape[:-1], train.shape[1]).astype(float)

    rng = np.random.default_rng(seed)
    mu, logvar = encoded(train)
    draws = mu + np.exp(0.5 * logvar) * rng.standard_normal((50, *mu.shape))
    variance = np.maximum(np.mean((decoded(draws) - train) ** 2, axis=(0, 1)), 1e-3)
    mu, logvar = encoded(test)
    eps = rng.standard_normal((samples, *mu.shape))
    z = mu + np.exp(0.5 * logvar) * eps
    log_w = 0.5 * (eps**2 - z**2 + logvar).sum(axis=2)
    error = (decoded(z) - test) ** 2 / variance + np.log(2 * np.pi * variance)
    log_w -= 0.5 * error.sum(axis=2)
    value = np.logaddexp.reduce(log_w, axis=0) - np.log(samples)
    return value, np.mean((decoded(mu) - test) ** 2)


def imputation(train: np.ndarray, test: np.ndarray, seed: int) -> Scores:
    """Return the root mean squared error of cells that were taken out of the test rows, where the
    training rows lack as many."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    rng = np.random.default_rng(seed)
    holes = rng.random(train.shape) < GAPS
    for column in np.flatnonzero(holes.all(axis=0)):
        holes[0, column] = False
    gaps = rng.random(test.shape) < GAPS
    x, new = np.where(holes, np.nan, train), np.where(gaps, np.nan, test)
    ways: dict[str, Callable] = {
        "tinyvae": lambda: vae(seed).fit(x).impute(new),
        "tinyvae, L = 10": lambda: vae(seed, latent_dim=10).fit(x).impute(new),
        "mean": lambda: SimpleImputer().fit(x).transform(new),
        "KNNImputer": lambda: KNNImputer().fit(x).transform(new),
        "IterativeImputer": lambda: IterativeImputer(random_state=seed).fit(x).transform(new),
    }
    return {name: np.sqrt(np.mean((way() - test)[gaps] ** 2)) for name, way in ways.items()}


def outliers(train: np.ndarray, test: np.ndarray, strange: np.ndarray, seed: int) -> Scores:
    """Return how often a test row scores above a strange row (the area under the ROC curve)."""
    from sklearn.decomposition import FactorAnalysis
    from sklearn.ensemble import IsolationForest
    from sklearn.metrics import roc_auc_score

    models = {
        "tinyvae": vae(seed, importance_samples=100),
        "FactorAnalysis": FactorAnalysis(L, svd_method="lapack"),
        "IsolationForest": IsolationForest(random_state=seed),
    }
    truth = np.repeat([1, 0], [len(test), len(strange)])
    rows = np.vstack([test, strange])
    return {
        name: roc_auc_score(truth, model.fit(train).score_samples(rows))
        for name, model in models.items()
    }


def measured(name: str, x: np.ndarray, y: np.ndarray | None, seed: int, given: Any) -> Scores:
    """Return all that is measured on one split of a table."""
    train, test = cut(x, seed)
    parts = density(train, test, seed, given.samples, given.peers)
    theirs = parts["FactorAnalysis"][0]
    row: Scores = {"log p(x)": {}, "difference": {}, "error": {}}
    for who, (value, error) in parts.items():
        root = np.sqrt(len(value))
        row["log p(x)"][who] = value.mean(), value.std(ddof=1) / root
        row["difference"][who] = (value - theirs).mean(), (value - theirs).std(ddof=1) / root
        row["error"][who] = error
    row["imputation"] = imputation(train, test, seed)
    rng = np.random.default_rng(seed)
    mixed_up = rng.permuted(test, axis=0)  # each column by itself
    row["columns mixed up"] = outliers(train, test, mixed_up, seed)
    if y is not None:
        usual, strange = x[y != KINDS[name]], x[y == KINDS[name]]
        train, test = cut(usual, seed)
        scale = usual[np.random.default_rng(100 + seed).permutation(len(usual))][: len(train)]
        strange = (strange - scale.mean(axis=0)) / scale.std(axis=0)
        row["another class"] = outliers(train, test, strange, seed)
    return row


def mean(rows: list, *keys: str) -> Any:
    """Return the mean over the splits of what lies there."""
    values = []
    for row in rows:
        for key in keys:
            row = row[key]
        values.append(row)
    return np.mean(values, axis=0)


def report(results: dict[str, list], sizes: dict[str, tuple]) -> Iterator[str]:
    """Yield the Markdown tables."""
    first = next(iter(results.values()))[0]
    names = list(first["log p(x)"])
    yield "## Held-out log p(x), nats, ± standard error over the test rows\n"
    yield from _head(["table", "rows × columns", *names, "tinyvae − FactorAnalysis"])
    for name, rows in results.items():
        cells = [name, "{} × {}".format(*sizes[name])]
        cells += ["{:.2f} ± {:.2f}".format(*mean(rows, "log p(x)", who)) for who in names]
        yield _row([*cells, "{:+.2f} ± {:.2f}".format(*mean(rows, "difference", "tinyvae"))])
    for what, title in TITLES.items():
        some = {name: rows for name, rows in results.items() if what in rows[0]}
        if some:
            names = list(next(iter(some.values()))[0][what])
            yield f"\n## {title}\n"
            yield from _head(["table", *names])
            for name, rows in some.items():
                yield _row([name, *(f"{mean(rows, what, who):.3f}" for who in names)])


def _head(names: list[str]) -> Iterator[str]:
    yield _row(names)
    yield _row(["---"] * len(names))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default="", help="some of them, by name")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--samples", type=int, default=500, help="draws for each log p(x)")
    parser.add_argument("--peers", default="pythae", help="pythae, or nothing")
    parser.add_argument("--again", action="store_true", help="print results/tables.json again")
    given = parser.parse_args()
    stored = RESULTS / "tables.json"
    if given.again:
        known = json.loads(stored.read_text())
        print("\n".join(report(known["results"], known["sizes"])))
        return
    given.peers = [peer for peer in given.peers.split(",") if peer]
    warnings.simplefilter("ignore")  # of convergence, by all of them
    known = tables()
    names = given.tables.split(",") if given.tables else list(known)
    results: dict[str, list] = {}
    for name in names:
        start = time.perf_counter()
        results[name] = [measured(name, *known[name], seed, given) for seed in range(given.splits)]
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        sizes = {name: known[name][0].shape for name in results}
        text = {"about": about(), "given": vars(given), "sizes": sizes, "results": results}
        RESULTS.mkdir(exist_ok=True)
        stored.write_text(json.dumps(text, indent=1, default=float) + "\n")
    print("\n".join(report(results, sizes)))


if __name__ == "__main__":
    main()
