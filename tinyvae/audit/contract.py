"""What a VAE is meant to be, stated once: in a call, or in a small TOML file kept with the code.

beta = 4.0
prior = [0, 1]
allow = ["kl-mean-over-latents"]
"""

import tomllib
from pathlib import Path
from typing import Any

from tinyvae.audit.findings import Report
from tinyvae.audit.verdict import audit

KEYS = ("beta", "prior", "scale", "allow", "batch", "latent", "pixels", "dtype")


def read_contract(path: str | Path) -> dict[str, Any]:
    """Return the arguments of `audit` that a TOML file states.

    Raises
    ------
    ValueError
        It is no TOML, or states something else.
    """
    try:
        stated = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as problem:
        raise ValueError(f"{path} is no TOML file: {problem}") from None
    stated = stated.get("tool", {}).get("tinyvae", {}).get("audit", stated)
    unknown = [key for key in stated if key not in KEYS]
    if unknown:
        raise ValueError(f"{path} states {unknown[0]!r}; a contract states {', '.join(KEYS)}")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in stated.items()}


def assert_vae(*model_and_x: Any, contract: str | Path | None = None, **arguments: Any) -> Report:
    """Raise AssertionError with the report unless a VAE is right; return the report.

    Parameters
    ----------
    *model_and_x : as `audit` takes them
    contract : path of a TOML file
        States beta, prior, allow, …; what the call states goes first.
    **arguments : as `audit` takes them

    Returns
    -------
    Report

    Raises
    ------
    AssertionError
        The state is "wrong" or "not judged"; the message is the report.

    Examples
    --------
    >>> def test_the_vae():
    ...     assert_vae(model, x, step=lambda model, x: loss(model, x), beta=1.0)
    """
    if contract is not None:
        arguments = {**read_contract(contract), **arguments}
    report = audit(*model_and_x, **arguments)
    if not report.ok:
        raise AssertionError(str(report))
    return report
