"""Check a hand-written gradient against central differences: any layer, function or model.

    from tinyvae.gradcheck import check
    print(check(MyLayer(3, 2)))                     # x, W and b, at random values
    print(check(f, gradient_of_f, x, y))            # two functions
    print(check(vae, x, eps=eps))                   # all weights of a model

`python -m tinyvae.gradcheck` checks every part of tinyvae; `… module:Layer` a class of your own.
A gradient check cannot see an error that forward and backward pass share: it proves that the
gradient belongs to the function, not that the function is the right one.
"""

from tinyvae.gradcheck.comparison import TOLERANCE, check
from tinyvae.gradcheck.report import Report

__all__ = ["TOLERANCE", "Report", "check"]
