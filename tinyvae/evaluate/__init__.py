"""Measure how good a trained model is, and what is in its latent space, in nats per example; fill
in missing cells (`imputation`)."""

from typing import TYPE_CHECKING

from tinyvae import _lazy

if TYPE_CHECKING:
    from tinyvae.evaluate.disentangle import mutual_information_gap as mutual_information_gap
    from tinyvae.evaluate.effects import column_effects as column_effects
    from tinyvae.evaluate.effects import effects_table as effects_table
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
else:
    _MODULES = {
        "evaluation": "elbo elbo_per_example log_likelihood own_bound kl_per_dimension"
        " active_units evaluate table Elbo LogLikelihood",
        "imputation": "impute Imputed shares Shares",
        "information": "mutual_information MutualInformation standard_error",
        "effects": "column_effects effects_table",
        "disentangle": "mutual_information_gap",
    }
    __all__, __getattr__, __dir__ = _lazy(__name__, _MODULES)
