"""Docstrings of public names: every parameter is described, and the examples run."""

import doctest
import importlib
import inspect

import pytest

import tinyvae

HOMES = ("tinyvae", "tinyvae.evaluate", "tinyvae.gradcheck", "tinyvae.audit", "tinyvae.train")
OF_MODELS = ("forward", "backward", "encode", "decode", "reconstruct", "decoder_output", "sample")
OF_ESTIMATOR = (
    *("fit", "fit_transform", "fit_predict", "transform", "inverse_transform", "score"),
    *("score_samples", "decision_function", "predict", "impute", "sample"),
)
# Sections by their names and in their order, a summary, every parameter, in the signature's order.
RULES = {"GL05", "GL06", "GL07", "GL08", "GL10", "SS01", "SS04", "PR01", "PR02", "PR03", "PR05"}
RESULTS = ("Terms", "Elbo", "LogLikelihood", "MutualInformation", "Gap", "Report", "Finding", "Run")
NAMES = {
    f"{home}.{name}": getattr(importlib.import_module(home), name)
    for home in HOMES
    for name in importlib.import_module(home).__all__
    if callable(getattr(importlib.import_module(home), name))
}
PUBLIC = {name: NAMES[name] for name in NAMES if name.rpartition(".")[2] not in RESULTS}
EXAMPLES = (
    *("tinyvae.VAE", "tinyvae.fit", "tinyvae.load_dataset", "tinyvae.evaluate.elbo"),
    *("tinyvae.evaluate.log_likelihood", "tinyvae.gradcheck.check", "tinyvae.audit.audit"),
)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_of_a_public_name_is_described(name):
    thing = PUBLIC[name]
    text = inspect.getdoc(thing) or ""
    assert text.strip()
    parameters = inspect.signature(thing).parameters.values()
    if parameters:
        assert "Parameters\n-----" in text
    section = text.partition("Parameters\n-----")[2].partition("\n\n")[0]
    lines = [line.partition(" : ")[0] for line in section.splitlines() if not line.startswith(" ")]
    described = {part.strip().lstrip("*") for line in lines for part in line.split(",")}
    assert {parameter.name for parameter in parameters} <= described


def validated():
    """Return the names that numpydoc looks at: all public ones, and what one calls on a model."""
    names = [name for name in NAMES if name != "tinyvae.Terms"]  # its fields are its first line
    for model in ("tinyvae.Autoencoder", "tinyvae.VAE", "tinyvae.IWAE"):
        names += [f"{model}.{method}" for method in OF_MODELS if hasattr(PUBLIC[model], method)]
    names += ["tinyvae.data.Dataset", "tinyvae.data.read_matrix", "tinyvae.estimator.VAEEstimator"]
    return [*names, *(f"tinyvae.estimator.VAEEstimator.{method}" for method in OF_ESTIMATOR)]


@pytest.mark.parametrize("name", validated())
def test_numpydoc_finds_nothing_missing(name):
    validate = pytest.importorskip("numpydoc.validate").validate
    found = [(code, text) for code, text in validate(name)["errors"] if code in RULES]
    assert not found


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_in_a_docstring_runs(name):
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(PUBLIC[name], name, globs={"tinyvae": tinyvae})
    assert example.examples
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0
