"""Draw every picture from arrays: each function takes NumPy arrays and returns a Matplotlib figure,
which notebooks show and `figure.savefig(path)` writes as PNG, SVG or PDF. Images come as rows
(N, D) in [0, 1]; grey ones on a black ground are drawn as ink on paper. No model is known here.
"""

from typing import TYPE_CHECKING

from tinyvae import _lazy

if TYPE_CHECKING:
    from tinyvae.figures.dimensions import aggregate as aggregate
    from tinyvae.figures.dimensions import factor_figure as factor_figure
    from tinyvae.figures.dimensions import kl_over_training as kl_over_training
    from tinyvae.figures.dimensions import traversals as traversals
    from tinyvae.figures.features import Features as Features
    from tinyvae.figures.features import row_reconstructions as row_reconstructions
    from tinyvae.figures.features import row_samples as row_samples
    from tinyvae.figures.features import row_traversals as row_traversals
    from tinyvae.figures.images import curves as curves
    from tinyvae.figures.images import image_grid as image_grid
    from tinyvae.figures.images import interpolations as interpolations
    from tinyvae.figures.images import posterior as posterior
    from tinyvae.figures.images import reconstructions as reconstructions
    from tinyvae.figures.latent_plane import NEAR_PRIOR as NEAR_PRIOR
    from tinyvae.figures.latent_plane import manifold as manifold
    from tinyvae.figures.latent_plane import plane as plane
    from tinyvae.figures.latent_plane import plane_grid as plane_grid
    from tinyvae.figures.latent_plane import quantile_grid as quantile_grid
    from tinyvae.figures.latent_plane import square as square
    from tinyvae.figures.latent_plane import three_panels as three_panels
else:
    _MODULES = {
        "dimensions": "aggregate factor_figure kl_over_training traversals",
        "features": "Features row_reconstructions row_samples row_traversals",
        "images": "curves image_grid interpolations posterior reconstructions",
        "latent_plane": "NEAR_PRIOR manifold plane plane_grid quantile_grid square three_panels",
    }
    __all__, __getattr__, __dir__ = _lazy(__name__, _MODULES)
