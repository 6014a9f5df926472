"""How good is a trained model, and what is in its latent space? In nats per example."""

from typing import TYPE_CHECKING

from tinyvae import _lazy

if TYPE_CHECKING:
    from tinyvae.evaluate.disentangle import mutual_information_gap as mutual_information_gap
    from tinyvae.evaluate.evaluation import Elbo as Elbo
    from tinyvae.evaluate.evaluation import LogLikelihood as LogLikelihood
    from tinyvae.evaluate.evaluation import active_units as active_units
    from tinyvae.evaluate.evaluation import elbo as elbo
    from tinyvae.evaluate.evaluation import elbo_per_example as elbo_per_example
    from tinyvae.evaluate.evaluation import evaluate as evaluate
    from tinyvae.evaluate.evaluation import kl_per_dimension as kl_per_dimension
    from tinyvae.evaluate.evaluation import log_likelihood as log_likelihood
    from tinyvae.evaluate.evaluation import own_bound as own_bound
    from tinyvae.evaluate.evaluation import table as table
    from tinyvae.evaluate.imputation import Imputed as Imputed
    from tinyvae.evaluate.imputation import Shares as Shares
    from tinyvae.evaluate.imputation import impute as impute
    from tinyvae.evaluate.imputation import shares as shares
    from tinyvae.evaluate.information import MutualInformation as MutualInformation
    from tinyvae.evaluate.information import mutual_information as mutual_information
    from tinyvae.evaluate.information import standard_error as standard_error

_HOMES = {
    "elbo": "evaluate.evaluation",
    "elbo_per_example": "evaluate.evaluation",
    "log_likelihood": "evaluate.evaluation",
    "own_bound": "evaluate.evaluation",
    "kl_per_dimension": "evaluate.evaluation",
    "active_units": "evaluate.evaluation",
    "evaluate": "evaluate.evaluation",
    "table": "evaluate.evaluation",
    "Elbo": "evaluate.evaluation",
    "LogLikelihood": "evaluate.evaluation",
    "impute": "evaluate.imputation",
    "Imputed": "evaluate.imputation",
    "shares": "evaluate.imputation",
    "Shares": "evaluate.imputation",
    "mutual_information": "evaluate.information",
    "MutualInformation": "evaluate.information",
    "standard_error": "evaluate.information",
    "mutual_information_gap": "evaluate.disentangle",
}
__all__ = [*_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = _lazy(__name__, _HOMES)
