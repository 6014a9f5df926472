"""What a package index and whoever packages tinyvae would read: true, and leading nowhere else."""

import re
import tomllib
from pathlib import Path

import pytest

setuptools = pytest.importorskip("setuptools", "77", reason="needs the setuptools that builds it")

ROOT = Path(__file__).resolve().parent.parent
TEXTS = [
    path
    for folder, kind in [("tinyvae", "*.py"), ("tutorials", "*.py"), ("benchmarks", "*.py")]
    for path in (ROOT / folder).rglob(kind)
] + [*ROOT.glob("*.md"), *(ROOT / "tutorials").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]


@pytest.fixture
def package(monkeypatch):
    monkeypatch.chdir(ROOT)
    return setuptools.distutils.core.run_setup("setup.py", stop_after="config")


def test_the_description_leads_to_no_file_that_an_index_does_not_have(package):
    readme = (ROOT / "README.md").read_text("utf-8")
    text = package.metadata.long_description
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert [target for target in targets if not target.startswith("https://")] == []
    assert len(re.findall(r"\]\(", readme)) > len(targets)  # which a clone has
    assert "*Picture: The latent plane: " in text
    without_links = re.sub(r"!?\[[^\]]*\]\([^)]*\)", "", readme)
    assert max(without_links.splitlines(), key=len) in text


def test_both_licences_travel_with_the_package(package):
    assert package.metadata.license_expression == "MIT AND CC-BY-SA-3.0"
    titles = [(ROOT / name).read_text("utf-8")[:64] for name in package.metadata.license_files]
    assert len(titles) == 2 and titles[0].startswith("MIT License")
    assert titles[1] == "Creative Commons Legal Code\n\nAttribution-ShareAlike 3.0 Unported"


def test_a_citation_names_this_version(package):
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {package.metadata.version}\n" in citation


def test_the_versions_of_python_are_those_from_the_oldest_on(package):
    named = re.findall(r"Python :: 3\.(\d+)", "\n".join(package.metadata.classifiers))
    minors = [int(minor) for minor in named]
    assert minors == [*range(11, minors[-1] + 1)]
    assert package.metadata.python_requires == ">=3.11"
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert lint["target-version"] == "py311"


def test_nobody_is_told_to_install_a_name_that_anyone_may_register():
    install = re.compile(r"install\b[-\w ]*['\" ]tinyvae\b(?! @ git)")
    assert install.search("install 'tinyvae[sklearn]'") and install.search(
        "%pip install -q tinyvae"
    )
    assert not install.search('%pip install -q "tinyvae @ git+{}"')
    assert len(TEXTS) > 150
    assert [path.name for path in TEXTS if install.search(path.read_text("utf-8"))] == []
