"""Tell anybody whether their VAE is right, and name the error.

`audit` takes a VAE as black boxes, from any framework, and answers within a second: right,
or this error, with the evidence and the correction. A gradient check cannot do that: an error that
the forward and the backward pass share, such as σ = exp(logvar), passes every gradient check.
"""

from typing import TYPE_CHECKING

from tinyvae import _lazy

if TYPE_CHECKING:
    from tinyvae.audit.contract import assert_vae as assert_vae
    from tinyvae.audit.findings import Finding as Finding
    from tinyvae.audit.findings import Report as Report
    from tinyvae.audit.verdict import audit as audit
else:
    __all__, __getattr__, __dir__ = _lazy(
        __name__,
        {"verdict": "audit", "contract": "assert_vae", "findings": "Finding Report"},
    )
