"""Tell anybody whether their VAE is right, and name the error.

`audit` takes a VAE as black boxes, from any framework, and answers within a second: right,
or this error, with the evidence and the correction. A gradient check cannot do that: an error that
the forward and the backward pass share, such as σ = exp(logvar), passes every gradient check.
"""

from tinyvae.audit.cli import main
from tinyvae.audit.core import audit
from tinyvae.audit.report import Finding, Report

__all__ = ["Finding", "Report", "audit", "main"]
