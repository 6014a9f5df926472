"""The options of `python -m tinyvae.train`, and the run's configuration that they make."""

import argparse
import math

from tinyvae.cli.terminal import Parser, hidden, note, option, path, real, sigma, whole
from tinyvae.threads import checked

DESCRIPTION = """\
Train a variational autoencoder (or a plain autoencoder) and leave a run folder with its
configuration, metrics, checkpoint and figures. With no option: on 5,000 bundled handwritten
digits, in seconds."""

EPILOG = """\
examples:
  python -m tinyvae.train
  python -m tinyvae.train --latent-dim 10 --likelihood bernoulli --epochs 30
  python -m tinyvae.train --dataset mnist --hidden 400 --latent-dim 20 --out runs/mnist
  python -m tinyvae.train --dataset photographs/ --image-size 32
  python -m tinyvae.train --resume runs/digits --epochs 120
  mpiexec -n 4 python -m tinyvae.train --dataset mnist --batch-size 512"""

DEFAULTS = {
    "dataset": "digits", "model": "vae", "latent_dim": 2, "hidden": (256, 128),
    "activation": "relu", "likelihood": "gaussian", "beta": 1.0, "reconstruction_weight": 1.0,
    "free_bits": 0.0, "conditional": False, "kl_warmup": 0.0, "kl_cycles": 1, "batch_size": 100,
    "lr": 1e-3, "optimizer": "adam", "lr_schedule": "step", "seed": 0, "dtype": "float32",
    "backend": "auto", "scale": "infer", "channels": "auto", "binarize": "none",
    "objective": "elbo", "importance_samples": 5, "threads": "auto",
}  # fmt: skip
EPOCHS = {"mnist": 20, "fashion-mnist": 20}  # for other data, see `default_epochs`
MIN_STEPS = 2700  # what 60 epochs come to on the digits

MODEL = ("latent_dim", "hidden", "activation", "likelihood", "reconstruction_weight", "dtype")
VAE_ONLY = ("beta", "free_bits", "kl_warmup", "kl_cycles", "objective", "importance_samples")
TRAINING = ("epochs", "batch_size", "lr", "optimizer", "lr_schedule", "kl_warmup", "kl_cycles")
TRAINING += ("threads",)
DATA = ("labels", "image_size", "channels", "scale", "validation", "binarize")
GOES_WITH_RESUME = (
    "resume",
    "epochs",
    "backend",
    "threads",
    "tf32",
    "distributed",
    "no_figures",
    "quiet",
)


def parser(prog: str) -> Parser:
    """Return the parser; an option that is not given is absent from what it returns."""
    p = Parser(
        prog=prog,
        usage="python -m tinyvae.train [options]",
        description=DESCRIPTION,
        epilog=EPILOG,
        argument_default=argparse.SUPPRESS,
    )
    data = p.add_argument_group("data")
    names = "digits, mnist, fashion-mnist, shapes, or a path: .npy, .npz, .csv, a folder of images"
    data.add_argument("--dataset", metavar="NAME|PATH", help=f"{names} (default: digits)")
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder with MNIST's IDX files, instead of a download"
    )
    data.add_argument(
        "--binarize",
        choices=["none", "static", "dynamic"],
        help="draw black and white pixels once, or anew in every epoch (default: none)",
    )
    own = p.add_argument_group("data of your own")
    own.add_argument(
        "--labels", metavar="NAME", help="column of a .csv, key of an .npz, or an .npy file"
    )
    own.add_argument(
        "--image-size", type=image_size, metavar="N|HxW", help="resize a folder's images"
    )
    own.add_argument(
        "--channels", choices=["auto", "grey", "colour"], help="of images (default: auto)"
    )
    own.add_argument(
        "--scale",
        type=scale,
        metavar="{infer,none,standardize,NUMBER}",
        help="bytes by 255 and floats as they are, as they are, to mean 0 and standard deviation 1,"
        " or divided by a number (default: infer)",
    )
    own.add_argument(
        "--validation",
        type=real(above=True),
        metavar="PART",
        help="part that is held out to test on (default: 0.1)",
    )

    model = p.add_argument_group("model")
    model.add_argument("--model", choices=["vae", "autoencoder"], help="(default: vae)")
    model.add_argument(
        "--latent-dim", type=whole(1), metavar="N", help="latent dimensions (default: 2)"
    )
    model.add_argument(
        "--hidden",
        type=hidden,
        metavar="N[,N…]",
        help="widths of the encoder's hidden layers, mirrored by the decoder; none for a linear"
        " model (default: 256,128)",
    )
    model.add_argument(
        "--activation", choices=["relu", "tanh", "sigmoid", "softplus"], help="(default: relu)"
    )
    model.add_argument(
        "--likelihood", choices=["gaussian", "bernoulli"], help="p(x|z) (default: gaussian)"
    )
    model.add_argument(
        "--sigma",
        type=sigma,
        metavar="{auto,NUMBER}",
        help="the Gaussian's standard deviation; auto learns it (default: 1/√2 for data in [0, 1],"
        " else auto)",
    )
    model.add_argument(
        "--output",
        choices=["identity", "sigmoid"],
        help="sigmoid keeps the Gaussian's mean in [0, 1] (default: sigmoid for data in [0, 1],"
        " else identity)",
    )
    model.add_argument(
        "--conditional", action="store_true", help="show the labels to encoder and decoder"
    )

    loss = p.add_argument_group("loss")
    loss.add_argument(
        "--objective",
        choices=["elbo", "iwae"],
        help="a VAE's bound on log p(x), or the tighter importance-weighted one (default: elbo)",
    )
    loss.add_argument(
        "--importance-samples",
        type=whole(1),
        metavar="K",
        help="draws of z for each example, with --objective iwae (default: 5)",
    )
    loss.add_argument("--beta", type=real(), metavar="B", help="factor of the KL (default: 1)")
    loss.add_argument(
        "--reconstruction-weight",
        type=real(),
        metavar="W",
        help="factor of the reconstruction (default: 1)",
    )
    loss.add_argument(
        "--free-bits",
        type=real(),
        metavar="NATS",
        help="KL that each latent dimension may use at no cost (default: 0)",
    )
    loss.add_argument(
        "--kl-warmup",
        type=real(),
        metavar="EPOCHS",
        help="raise the factor of the KL from 0 to beta over so many epochs (default: 0)",
    )
    loss.add_argument(
        "--kl-cycles",
        type=whole(1),
        metavar="N",
        help="start the warm-up anew N times over the training (default: 1)",
    )

    training = p.add_argument_group("training")
    training.add_argument(
        "--epochs", type=whole(1), metavar="N", help="(default: 60, more for small data; mnist: 20)"
    )
    training.add_argument("--batch-size", type=whole(1), metavar="N", help="(default: 100)")
    training.add_argument(
        "--lr", type=real(above=True), metavar="RATE", help="learning rate (default: 0.001)"
    )
    training.add_argument("--optimizer", choices=["adam", "sgd"], help="(default: adam)")
    training.add_argument(
        "--lr-schedule",
        choices=["constant", "step", "cosine"],
        help="step: a fifth of the rate in the last third (default: step)",
    )
    training.add_argument(
        "--seed", type=whole(0), metavar="N", help="fixes all that is random (default: 0)"
    )
    training.add_argument(
        "--dtype", choices=["float32", "float64"], help="precision (default: float32)"
    )
    training.add_argument(
        "--backend", choices=["auto", "numpy", "cupy"], help="CPU or GPU (default: auto)"
    )
    training.add_argument(
        "--tf32", action="store_true", help="let a GPU round the factors of large products: faster"
    )
    training.add_argument(
        "--threads",
        type=threads,
        metavar="{auto,N}",
        help="cores to share large products, without a GPU (default: auto, all)",
    )
    training.add_argument(
        "--distributed",
        choices=["auto", "mpi"],
        help="share each batch among the ranks of mpiexec; auto asks its environment, mpi asks MPI"
        " (default: auto)",
    )

    output = p.add_argument_group("output")
    output.add_argument(
        "--out", metavar="DIR", type=path, help="the run folder (default: runs/NAME, numbered)"
    )
    output.add_argument(
        "--resume",
        metavar="DIR",
        type=path,
        help="continue a run; with --epochs, extend it to so many",
    )
    output.add_argument("--no-figures", action="store_true", help="draw no figures")
    output.add_argument("--quiet", action="store_true", help="print errors only")
    return p


def scale(text: str) -> str | float:
    """Read --scale."""
    return text if text in ("infer", "none", "standardize") else real(above=True)(text)


@option
def threads(text: str) -> int | str:
    """Read --threads."""
    return text if text == "auto" else checked(whole(1)(text))


def image_size(text: str) -> int | tuple[int, int]:
    """Read --image-size: one number, or height x width."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        message = f"the value must be pixels such as 32 or 32x48, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def check_resume(p: Parser, given: dict) -> None:
    """End with one line if an option is given that a resumed run has fixed already."""
    for name in given:
        if name not in GOES_WITH_RESUME:
            flag = "--" + name.replace("_", "-")
            p.error(f"{flag} does not go with --resume: the run's config.json fixes it")


def default_epochs(dataset: object) -> int:
    """Return how many epochs to train for: a pass over few rows is soon over, and teaches little.

    It depends on the data alone: with larger batches, as many passes are made.
    """
    steps = math.ceil(len(dataset.x_train) / DEFAULTS["batch_size"])
    most = min(600, max(60, math.ceil(MIN_STEPS / steps)))
    return EPOCHS.get(dataset.options["name"], most)


def model_arguments(options: dict, dataset: object) -> dict:
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
    if options["likelihood"] == "bernoulli":
        note_unused(options, ("sigma", "output"), "--likelihood bernoulli: only a Gaussian has it")
    else:
        sigma, output = (1 / math.sqrt(2), "sigmoid") if dataset.scaling.unit else ("auto", None)
        arguments["sigma"] = options.get("sigma", sigma)
        arguments["output"] = options.get("output", output or "identity")
    if options["conditional"]:
        if dataset.y_train is None:
            remedy = "name them with --labels, or leave --conditional out"
            raise ValueError(f"--conditional needs labels, and {dataset.name} has none: {remedy}")
        arguments["n_classes"] = len(dataset.label_names)
    return arguments | {"seed": options["seed"]}


def note_what_has_no_effect(options: dict) -> None:
    """Say on stderr which options of data and training have none beside the others given."""
    name = options["dataset"]
    if name not in EPOCHS:
        note_unused(options, ("data_dir",), f"--dataset {name}: it is for mnist and fashion-mnist")
    if options["likelihood"] == "gaussian" and options["binarize"] != "none":
        note("--binarize is for --likelihood bernoulli, which is not given")
    if options["model"] == "vae" and not options["kl_warmup"]:
        note_unused(options, ("kl_cycles",), "no --kl-warmup: there is nothing to repeat")


def note_unused(options: dict, names: tuple[str, ...], why: str) -> None:
    """Say on stderr that options have no effect here."""
    for name in names:
        if name in options and options[name] != DEFAULTS.get(name):
            note(f"--{name.replace('_', '-')} has no effect with {why}")
