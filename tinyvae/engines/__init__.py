"""How `fit` takes a step: in this process, on several ranks, on a GPU. `make_steps` chooses.

engine       what it buys, and what it costs: benchmarks/README.md
plain        calls the model, whose large products `tinyvae.threads` cuts up; the others' base
ranks        several machines or GPUs, by mpiexec (`communicator`)
graph        on a GPU, a step as one launch (`kernels`; `fused` for small layers)
"""

from typing import Any

import numpy as np

from tinyvae.engines import graph
from tinyvae.engines.plain import Steps
from tinyvae.engines.ranks import RankSteps


def make_steps(*arguments: Any, tf32: bool = False) -> Steps:
    """Return what takes the steps of a training, from the arguments of `Steps`.

    With `tf32`, products on a GPU may use TF32 until its `close()`.
    """
    *_, ranks = arguments
    plain = (RankSteps if ranks.several else Steps)(*arguments)
    if plain.model.backend.xp is not np:
        return graph.make_steps(plain, arguments, tf32)
    return plain
