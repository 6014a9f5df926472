"""`tinyvae audit`: on somebody's module, and on tinyvae itself."""

import json

import pytest

from tinyvae.cli.audit import main

MODULE = """
import numpy as np

class VAE:
    def __init__(self, latent_dim, factor=0.5):
        self.factor, self.rng = factor, np.random.default_rng(0)

    def reparametrize(self, mu, logvar):
        return mu + np.exp(self.factor * logvar) * self.rng.standard_normal(mu.shape)

def loss_function(recon_x, x, mu, logvar):
    recon_x = np.clip(recon_x, 1e-6, 1 - 1e-6)
    nll = -np.sum(x * np.log(recon_x) + (1 - x) * np.log(1 - recon_x))
    return nll + 0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar)

class NeedsMore:
    def __init__(self, gadget):
        pass

wrong = VAE(2, factor=1.0)
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "somebodys_vae.py").write_text(MODULE)
    return "somebodys_vae.py"


def test_a_class_with_the_usual_names(file, capsys):
    assert main([f"{file}:VAE"]) == 0
    out = capsys.readouterr().out
    assert "found: sample = VAE.reparametrize, objective = somebodys_vae.loss_function" in out
    assert "right: no error found" in out


def test_an_object_that_is_wrong(file, capsys):
    assert main([f"{file}:wrong", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["name"] == "sampler-std"


def test_what_was_not_found_is_said(file, capsys):
    assert main([file]) == 3
    assert "not found: sample" in capsys.readouterr().out


@pytest.mark.parametrize(
    "target, text",
    [
        ("nowhere:VAE", "importing nowhere raised ModuleNotFoundError"),
        ("nowhere.py:VAE", "there is no file nowhere.py"),
        ("somebodys_vae.py:Model", "has no 'Model'; it has np, VAE"),
        ("somebodys_vae.py:NeedsMore", "NeedsMore needs gadget="),
        ("json:JSONDecoder", "has no function named reparameterize"),
    ],
)
def test_what_cannot_be_audited_exits_2_with_one_line(file, capsys, target, text):
    assert main([target]) == 2
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1


def test_a_beta_that_is_no_weight_exits_2_with_one_line(file, capsys):
    assert main([file, "--beta", "-1"]) == 2
    err = capsys.readouterr().err
    assert "beta must be a finite number of at least 0, not -1.0" in err and err.count("\n") == 1


def test_tinyvae_passes_its_own_audit(capsys):
    assert main(["--self"]) == 0
    out = capsys.readouterr().out
    assert out.count("right: no error found") == 16 and "wrong" not in out


@pytest.mark.parametrize(
    "arguments, text",
    [
        ([], "name a module:object, or --self"),
        (["json", "--pixels", "a"], "invalid shape value"),
        (["json:JSONDecoder", "--self", "--beta", "3"], "leave out json:JSONDecoder, --beta"),
    ],
)
def test_bad_usage_exits_2_with_one_line(capsys, arguments, text):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and text in err and err.count("\n") == 1


SCRIPT = """
import argparse
import numpy as np

print("training starts")
options = argparse.ArgumentParser().parse_args()
rng = np.random.default_rng(0)

class VAE:
    def __init__(self, gadget):
        self.encoder = self

    def sample(self, mu, logvar):
        return mu + np.exp(logvar) * rng.standard_normal(mu.shape)
"""


def test_a_script_sees_no_options_of_ours_and_prints_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = ["script.py:VAE", "--make", "VAE(1)", "--sample", "encoder.sample", "--json"]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["state"] == "wrong" and "training starts" in err


def test_a_module_that_ends_itself_is_no_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(0)\n")
    assert main(["ends.py"]) == 2
    err = capsys.readouterr().err
    assert "ends itself with sys.exit(0)" in err and err.count("\n") == 1


def test_a_file_of_a_package_imports_its_neighbours(tmp_path, monkeypatch, capsys):
    package = tmp_path / "somebody" / "models"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "base.py").write_text(MODULE)
    (package / "vae.py").write_text("from .base import VAE, loss_function\n")
    monkeypatch.chdir(tmp_path)
    assert main(["somebody/models/vae.py:VAE"]) == 0
    assert "right" in capsys.readouterr().out


@pytest.mark.parametrize("option, status", [([], 3), (["--strict"], 1), (["--lenient"], 0)])
def test_what_is_not_judged_has_a_status_of_its_own(file, option, status, capsys):
    assert main([file, *option]) == status
    assert "not judged" in capsys.readouterr().out


def test_a_contract_annotations_and_a_page(file, tmp_path, capsys):
    (tmp_path / "audit.toml").write_text('beta = 1\nallow = ["sampler-std"]\n')
    arguments = [f"{file}:wrong", "--format", "github", "--out", "report.html"]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "::error file=somebodys_vae.py,line=8,title=tinyvae%3A sampler-std::σ is exp(s)" in out
    assert "<b>sampler-std</b>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert main([*arguments, "--contract", "audit.toml"]) == 0
    (tmp_path / "audit.toml").write_text("bet = 1\n")
    assert main([*arguments, "--contract", "audit.toml"]) == 2
    assert "states 'bet'; a contract states beta, prior" in capsys.readouterr().err
