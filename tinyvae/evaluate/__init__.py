"""Measure how good a trained model is, and what is in its latent space, in nats per example."""

from tinyvae.evaluate.disentangle import mutual_information_gap
from tinyvae.evaluate.evaluation import (
    Elbo,
    LogLikelihood,
    active_units,
    elbo,
    elbo_per_example,
    evaluate,
    kl_per_dimension,
    log_likelihood,
    own_bound,
    table,
)
from tinyvae.evaluate.information import MutualInformation, mutual_information, standard_error

__all__ = [
    "Elbo", "LogLikelihood", "MutualInformation", "active_units", "elbo", "elbo_per_example",
    "evaluate", "kl_per_dimension", "log_likelihood", "mutual_information",
    "mutual_information_gap", "own_bound", "standard_error", "table",
]  # fmt: skip
