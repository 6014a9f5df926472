"""The settings of a training on people's own data, where none are given (likelihood and sigma:
`model_arguments` in cli/train_options.py).

Those for tables were chosen together on twelve real tables (benchmarks/tables.py), none for one of
them: two softplus layers, small batches, an early stop; and few rows get a linear model, which is
factor analysis: a network would make more of them than they say.
"""

import math
from typing import Any

FEW = 100  # rows of a table, below which its model is linear
STEPS = 20_000  # that a training on a table takes at most, where its epochs are short
LEAST_ROWS = 10  # of which some choose the epoch
WAIT = 1_000  # steps without a better epoch that run the patience out
LINEAR_RATE = 3e-2
REACH = 2.0  # that a step of a linear model's weights may move its output, of columns of size 1


def table(
    n_rows: int, n_columns: int, hidden: tuple[int, ...] | None = None, missing: bool = False
) -> dict[str, Any]:
    """Return the model's and the optimizer's settings for a table of so many rows to train on; the
    rate is that of `hidden`, where that is given.

    A step of Adam moves each weight by up to the rate, and an output of a linear model by up to the
    rate times the number of columns: of many columns, the rate is lower, for exp(logvar) to hold.
    Where cells are missing, a network learns at half the rate, and is waited for longer.
    """
    if hidden is None:
        hidden = () if n_rows < FEW else (64, 64)
    of_network = 1.5e-3 if missing else 3e-3
    rate = of_network if hidden else min(LINEAR_RATE, REACH / n_columns)
    return {"hidden": hidden, "activation": "softplus", "batch_size": 32, "lr": rate}


def epochs(n_rows: int, batch_size: int, missing: bool = False) -> int:
    """Return how many epochs a training on a table takes at most: 60 to 600, fewer of many rows,
    whose epochs are long; twice as many where cells are missing."""
    most = min(600, max(60, STEPS // _steps(n_rows, batch_size)))
    return 2 * most if missing else most


def patience(n_rows: int, batch_size: int, missing: bool = False) -> int:
    """Return after how many epochs in a row without a better one a training stops: 10 to 30; three
    times as many where cells are missing."""
    few = min(30, max(10, WAIT // _steps(n_rows, batch_size)))
    return 3 * few if missing else few


def _steps(n_rows: int, batch_size: int) -> int:
    return math.ceil(n_rows / batch_size)
