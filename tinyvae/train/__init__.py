"""Train a model: `loop` has `fit`, `runs` the folder that it leaves and resumes, `checkpoint` the
weights and what else a training needs to go on."""

from typing import TYPE_CHECKING

from tinyvae import _lazy

if TYPE_CHECKING:
    from tinyvae.train.checkpoint import load as load
    from tinyvae.train.checkpoint import save as save
    from tinyvae.train.loop import fit as fit
    from tinyvae.train.loop import make_optimizer as make_optimizer
    from tinyvae.train.runs import Run as Run
    from tinyvae.train.runs import open_run as open_run
else:
    _MODULES = {
        "loop": "fit make_optimizer",
        "checkpoint": "save load",
        "runs": "open_run Run",
    }
    __all__, __getattr__, __dir__ = _lazy(__name__, _MODULES)
