"""Check a hand-written gradient against central differences: any layer, function or model.

    from tinyvae.gradcheck import check
    print(check(MyLayer(3, 2)))                     # x, W and b, at random values
    print(check(f, gradient_of_f, x, y))            # two functions
    print(check(vae, x, eps=eps))                   # all weights of a model

`python -m tinyvae.gradcheck` checks every part of tinyvae; `… module:Layer` a class of your own.
A gradient check cannot see an error that forward and backward pass share: it shows that the
gradient belongs to the function, not that the function is the right one.
"""

from typing import TYPE_CHECKING

from tinyvae import _lazy

if TYPE_CHECKING:
    from tinyvae.gradcheck.comparison import TOLERANCE as TOLERANCE
    from tinyvae.gradcheck.comparison import check as check
    from tinyvae.gradcheck.report import Report as Report
else:
    _MODULES = {"comparison": "check TOLERANCE", "report": "Report"}
    __all__, __getattr__, __dir__ = _lazy(__name__, _MODULES)
