"""The options of `tinyvae train` in one table, and the run's configuration that they make: where an
option is not given, `model_arguments` chooses likelihood, sigma and output for the data, and
`defaults` the rest."""

import argparse
import math
import shlex
from typing import Any

from tinyvae.cli.terminal import COUNT, SEED, WIDEST, Parser, note, path, real, sizes, whole
from tinyvae.data import NAMES, variables
from tinyvae.models import ACTIVATIONS
from tinyvae.threads import checked
from tinyvae.train import recipes
from tinyvae.train.loop import OPTIMIZERS
from tinyvae.train.schedules import LR_SCHEDULES

DESCRIPTION = """\
Train a variational autoencoder (or a plain autoencoder) and leave a run folder with its
configuration, metrics, checkpoint and figures. With no option: on 5,000 bundled handwritten
digits, in seconds."""

EPILOG = """\
examples:
  tinyvae train
  tinyvae train --latent-dim 10 --likelihood bernoulli --epochs 30
  tinyvae train --dataset mnist --hidden 400 --latent-dim 20 --out runs/mnist
  tinyvae train --dataset photographs/ --image-size 32
  tinyvae train --resume runs/digits --epochs 120
  mpiexec -n 4 python -m tinyvae.train --dataset mnist --batch-size 512"""

_widths = sizes("the value must be widths such as 256,128, or none for a linear model", none="none")
_pixels = sizes("the value must be pixels such as 32 or 32x48", most=2)


def _threads(text: str) -> int | str:
    return text if text == "auto" else checked(whole(1)(text))


def _latent_dims(text: str) -> int | tuple[int, ...]:
    read = whole(1, largest=WIDEST)
    found = tuple(dict.fromkeys(read(part) for part in text.split(",")))
    return found[0] if len(found) == 1 else found


def _image_size(text: str) -> int | tuple[int, ...]:
    size = _pixels(text)
    return size[0] if len(size) == 1 else size


# Group: (name, type, choices, or None for a flag; metavar, default, help). A default of None is
# found from the data.
TABLE = {
    "data": [
        ("dataset", str, "NAME|PATH", "digits", f"{', '.join(NAMES)}, or a path: .npy, .npz, .csv,"
            " .tsv, .txt, a folder of images; with --resume, where the run's data lie now"),
        ("data_dir", str, "DIR", None, "folder with MNIST's IDX files, instead of a download"),
        ("binarize", ("none", "static", "dynamic"), None, "none",
            "draw black and white pixels once, or anew in every epoch"),
    ],
    "data of your own": [
        ("labels", str, "NAME", None, "column of a table, key of an .npz, or an .npy file"),
        ("columns", str, "A,B,…", None, "columns of a table to take: names, numbers, ranges 2-5"),
        ("drop", str, "A,B,…", None, "columns of a table to leave out"),
        ("categorical", str, "A,B,…", None, "columns of numbers that are codes of categories;"
            " columns of text are anyway"),
        ("missing", None, None, False, "NaN in an array is a missing cell, as an empty cell, NA,"
            " NaN or ? is in a table; which ones are must not depend on what they hide"),
        ("header", ("auto", "yes", "no"), None, "auto", "whether a table's first line has names"),
        ("image_size", _image_size, "N|HxW", None, "resize a folder's images"),
        ("channels", ("auto", "grey", "colour"), None, "auto", "of images"),
        ("skip_damaged", None, None, False, "leave out images that cannot be read"),
        ("scale", real("infer", "none", "standardize", above=True),
            "{infer,none,standardize,NUMBER}", "infer", "by what the data are (bytes by 255,"
            " tables to mean 0 and standard deviation 1, arrays of floats as they are), as they"
            " are, to mean 0 and standard deviation 1, or divided by a number"),
        ("validation", real(), "PART", None,
            "part that is held out to test on, and part of the rest that chooses the epoch to keep"
            " (default: 0.1, and of a table's rest 0.15); 0 trains on all rows, and keeps the last"
            " epoch"),
    ],
    "model": [
        ("model", ("vae", "autoencoder"), None, "vae", "an autoencoder has codes, and no"
            " distribution"),
        ("latent_dim", _latent_dims, "N[,N…]", 2, "latent dimensions; of several numbers, such as"
            " 1,2,5,10, each is trained, and the runs are compared"),
        ("hidden", _widths, "N[,N…]", None, "widths of the encoder's hidden layers, mirrored"
            " by the decoder; none for a linear model (default: 256,128; tables: 64,64,"
            " and none for fewer than 100 rows)"),
        ("activation", tuple(ACTIVATIONS), None, None, "of the hidden layers (default: relu;"
            " tables: softplus)"),
        ("likelihood", ("gaussian", "bernoulli", "mixed"), None, None, "p(x|z); mixed takes each"
            " column of a table by its kind: number, 0 and 1, category (default: mixed for a table"
            " with columns that are no numbers, else gaussian)"),
        ("sigma", real("auto", "per-feature", above=True), "{auto,per-feature,NUMBER}", None,
            "the Gaussian's standard deviation; auto learns one, per-feature one for each column"
            " (default: 1/√2 for data in [0, 1], per-feature for tables, else auto)"),
        ("output", ("identity", "sigmoid"), None, None, "sigmoid keeps the Gaussian's mean in"
            " [0, 1] (default: sigmoid for data in [0, 1], else identity)"),
        ("conditional", None, None, False, "show the labels to encoder and decoder"),
    ],
    "loss": [
        ("objective", ("elbo", "iwae"), None, "elbo",
            "a VAE's bound on log p(x), or the tighter importance-weighted one"),
        ("importance_samples", COUNT, "K", 5,
            "draws of z for each example, with --objective iwae"),
        ("beta", real(), "B", 1.0, "factor of the KL"),
        ("reconstruction_weight", real(), "W", 1.0, "factor of the reconstruction"),
        ("free_bits", real(), "NATS", 0.0, "KL that each latent dimension may use at no cost"),
        ("kl_warmup", real(), "EPOCHS", 0.0,
            "raise the factor of the KL from 0 to beta over so many epochs"),
        ("kl_cycles", whole(1), "N", 1, "start the warm-up anew N times over the training"),
    ],
    "training": [
        ("epochs", whole(1), "N", None, "(default: 60, more for small data; digits, shapes,"
            " mnist, fashion-mnist: 20)"),
        ("batch_size", whole(1), "N", None, "(default: 100; tables: 32)"),
        ("lr", real(above=True), "RATE", None, "learning rate (default: 0.001; tables: 0.003,"
            " or 0.0015 with missing cells, up to 0.03 for a linear model; digits, shapes: 0.004)"),
        ("patience", whole(1), "N", None,
            "hold out a part of the training rows (see --validation), stop after N epochs in a row"
            " without a better ELBO on them, and keep the best epoch's weights; lr-schedule step"
            " takes its step first, and waits again (default for data of your own: 10 to 30, fewer"
            " of many rows, three times as many with missing cells, where log p(x) is looked at)"),
        ("optimizer", OPTIMIZERS, None, "adam", "how a gradient moves the weights"),
        ("lr_schedule", tuple(LR_SCHEDULES), None, "step",
            "step: a fifth of the rate in the last third"),
        ("seed", SEED, "N", 0, "fixes all that is random"),
        ("dtype", ("float32", "float64"), None, "float32", "precision"),
        ("backend", ("auto", "numpy", "cupy"), None, "auto", "CPU or GPU"),
        ("tf32", None, None, False, "let a GPU round the factors of large products: faster"),
        ("threads", _threads, "{auto,N}", "auto", "cores to share large products, without a GPU"),
        ("distributed", ("auto", "mpi"), None, "auto", "share each batch among the ranks of"
            " mpiexec; auto asks its environment, mpi asks MPI"),
    ],
    "output": [
        ("out", path, "DIR", None, "the run folder (default: runs/NAME, numbered)"),
        ("resume", path, "DIR", None, "continue a run; with --epochs, extend it to so many"),
        ("no_figures", None, None, False, "draw no figures"),
        ("quiet", None, None, False, "print errors only"),
    ],
}  # fmt: skip
DEFAULTS = {
    name: default
    for rows in TABLE.values()
    for name, _, _, default, _ in rows
    if default is not None
}
IMAGES = {"hidden": (256, 128), "activation": "relu", "batch_size": 100, "lr": 1e-3}
BUILT_IN: dict[str, dict] = {  # digits, shapes: as good a test ELBO as 60 epochs at 1e-3
    "digits": {"lr": 4e-3, "epochs": 20},
    "shapes": {"lr": 4e-3, "epochs": 20},
    "mnist": {"epochs": 20},
    "fashion-mnist": {"epochs": 20},
}
MIN_STEPS = 2700  # what 60 epochs come to on the digits

MODEL = ("latent_dim", "hidden", "activation", "reconstruction_weight", "dtype")
VAE_ONLY = ("beta", "free_bits", "kl_warmup", "kl_cycles", "objective", "importance_samples")
DATA = ("data_dir", "binarize", *(name for name, *_ in TABLE["data of your own"]), "seed")
GOES_WITH_RESUME = (
    *("resume", "dataset", "epochs", "backend", "threads", "tf32", "distributed"),
    *("no_figures", "quiet"),
)


def parser() -> Parser:
    """Return the parser; an option that is not given is absent from what it returns."""
    p = Parser("train", DESCRIPTION, epilog=EPILOG, argument_default=argparse.SUPPRESS)
    p.usage = f"{p.prog} [options]        (also: python -m tinyvae.train)"
    for title, rows in TABLE.items():
        group = p.add_argument_group(title)
        for name, kind, metavar, default, text in rows:
            p.add(flag(name), kind, metavar, default, text, to=group)
    return p


def flag(name: str) -> str:
    """Return the option of a setting."""
    return "--" + name.replace("_", "-")


def check_resume(p: Parser, given: dict) -> None:
    """End with one line if an option is given that a resumed run has fixed already."""
    for name in given:
        if name not in GOES_WITH_RESUME:
            p.error(f"{flag(name)} does not go with --resume: the run's config.json fixes it")


def defaults(dataset: Any, given: dict) -> dict:
    """Return the settings that depend on the data, beside those given: what suits their kind and
    their number of rows, and, for data of one's own, when to stop."""
    own, n = dataset.options["name"] not in NAMES, len(dataset.x_train)
    table = own and not dataset.image_shape
    found, gaps = dict(IMAGES), table and dataset.missing
    if table:
        found = recipes.table(n, dataset.n_features, given.get("hidden"), gaps)
    size = given.get("batch_size", found["batch_size"])
    found["epochs"] = recipes.epochs(n, size, gaps) if table else default_epochs(dataset)
    if own and dataset.options["validation"] != 0 and n >= recipes.LEAST_ROWS:
        found["patience"] = recipes.patience(n, size, gaps)
    return found | BUILT_IN.get(dataset.options["name"], {})


def default_epochs(dataset: Any) -> int:
    """Return how many epochs to train for: a pass over few rows is soon over, and teaches little.

    It depends on the data alone: with larger batches, as many passes are made.
    """
    steps = math.ceil(len(dataset.x_train) / IMAGES["batch_size"])
    return min(600, max(60, math.ceil(MIN_STEPS / steps)))


def model_arguments(options: dict, dataset: Any) -> dict:
    """Return the model's constructor arguments for a data set, from the options given."""
    arguments = {name: options[name] for name in MODEL} | {"n_features": dataset.n_features}
    if options["model"] == "vae" and options["objective"] == "iwae":
        arguments |= {"beta": options["beta"], "importance_samples": options["importance_samples"]}
        note_unused(options, ("free_bits",), "--objective iwae: it has no KL of a dimension")
    elif options["model"] == "vae":
        arguments |= {"beta": options["beta"], "free_bits": options["free_bits"]}
        note_unused(options, ("importance_samples",), "--objective elbo: it takes one draw")
    else:
        note_unused(options, VAE_ONLY, "--model autoencoder: it has no KL")
    if dataset.missing:
        arguments["missing"] = "mask"
    likelihood = arguments["likelihood"] = likelihood_of(options, dataset)
    if likelihood == "mixed":
        arguments["columns"] = variables.pairs(dataset.variables)
        arguments["sigma"] = options.get("sigma", "per-feature")
        note_unused(options, ("output",), "--likelihood mixed: its numbers may have any size")
    elif likelihood == "bernoulli":
        note_unused(options, ("sigma", "output"), "--likelihood bernoulli: only a Gaussian has it")
    else:
        table = dataset.scaling.kind == "standardize" and not dataset.image_shape
        learned = "per-feature" if table else "auto"
        sigma, output = (1 / math.sqrt(2), "sigmoid") if dataset.scaling.unit else (learned, None)
        arguments["sigma"] = options.get("sigma", sigma)
        arguments["output"] = options.get("output", output or "identity")
    if options["conditional"]:
        if dataset.y_train is None:
            remedy = "name them with --labels, or leave --conditional out"
            raise ValueError(f"--conditional needs labels, and {dataset.name} has none: {remedy}")
        arguments["n_classes"] = len(dataset.label_names)
    return arguments | {"seed": options["seed"]}


def likelihood_of(options: dict, dataset: Any) -> str:
    """Return the likelihood that is asked for, or that suits the data."""
    given = options.get("likelihood")
    if given == "mixed" and dataset.variables is None:
        raise ValueError(f"--likelihood mixed is for tables, {dataset.name} holds images")
    words = [v.name for v in dataset.variables or () if len(v.categories) > 1]
    if words and given not in (None, "mixed"):
        remedy = (
            f"leave --likelihood out, or the columns with --drop {shlex.quote(','.join(words))}"
        )
        found = f"{dataset.name} has columns of categories ({', '.join(words)})"
        raise ValueError(f"--likelihood {given}: {found}: {remedy}")
    return given or ("mixed" if dataset.mixed else "gaussian")


def note_what_has_no_effect(options: dict) -> None:
    """Say on stderr which options of data and training have none beside the others given."""
    name = options["dataset"]
    if name not in ("mnist", "fashion-mnist"):
        note_unused(options, ("data_dir",), f"--dataset {name}: it is for mnist and fashion-mnist")
    if options.get("likelihood", "gaussian") == "gaussian" and options["binarize"] != "none":
        note("--binarize is for --likelihood bernoulli, which is not given")
    if options["model"] == "vae" and not options["kl_warmup"]:
        note_unused(options, ("kl_cycles",), "no --kl-warmup: there is nothing to repeat")


def note_unused(options: dict, names: tuple[str, ...], why: str) -> None:
    """Say on stderr that options have no effect here."""
    for name in names:
        if name in options and options[name] != DEFAULTS.get(name):
            note(f"{flag(name)} has no effect with {why}")
