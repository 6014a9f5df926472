"""Docstrings of public names: every parameter is described, and the examples run."""

import doctest
import importlib
import inspect

import pytest

import tinyvae

HOMES = ("tinyvae", "tinyvae.evaluate", "tinyvae.gradcheck", "tinyvae.audit", "tinyvae.train")
RESULTS = ("Terms", "Elbo", "LogLikelihood", "MutualInformation", "Gap", "Report", "Finding", "Run")
PUBLIC = {
    f"{home}.{name}": getattr(importlib.import_module(home), name)
    for home in HOMES
    for name in importlib.import_module(home).__all__
    if name not in RESULTS and callable(getattr(importlib.import_module(home), name))
}
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


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_in_a_docstring_runs(name):
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(PUBLIC[name], name, globs={"tinyvae": tinyvae})
    assert example.examples
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0
