"""The sizes to try on a function: those that were passed, primes, those that its code mentions."""

from typing import NamedTuple

import numpy as np

from tinyvae.audit.calls import Function, as_shape, numbers_in
from tinyvae.audit.frameworks import candidates


class Sizes(NamedTuple):
    """A batch of B examples of the shape `pixels`, with latents of the shape `latents`."""

    B: int
    latents: tuple[int, ...]
    pixels: tuple[int, ...]
    classes: int = 1  # of a categorical likelihood, whose x_hat has a number for each

    @property
    def L(self) -> int:
        """Return how many latent dimensions an example has."""
        return int(np.prod(self.latents))

    @property
    def D(self) -> int:
        """Return how many numbers an example has."""
        return int(np.prod(self.pixels)) // self.classes


def candidates_of(function: Function, sees_x: bool, batch, latent, pixels) -> list[Sizes]:
    """Return sizes for a loss, those first that tell powers of B, L and D apart."""
    hints = numbers_in(function.function)
    images = [n for n in hints["any"] if 64 <= n <= 20_000 and n % 2 == 0 and n != 100]
    known = [(n,) for n in [*hints["pixels"], *images] if n >= 16]
    shapes = [pixels] if pixels else [(29,), *known[:4], (1, 5, 7), (5, 7, 1)]
    if not pixels and candidates(function.function)[0] in ("tensorflow", "keras"):
        shapes[-2:] = shapes[:-3:-1]  # channels last there
    if not pixels:
        shapes += [(3, 5, 7), (5, 7, 3), (5, 7)]
        shapes += [shape for (n,) in known[:4] for shape in _images(n)]
        shapes += [(784,), (1, 28, 28), (28, 28, 1), (28, 28), (3, 32, 32), (32, 32, 3)]
        shapes += [(3, 64, 64), (64, 64, 3), (1, 32, 32), (1, 64, 64)]
    if not sees_x:
        shapes = [(1,)]
    small = [n for n in hints["any"] if n <= 256]
    Ls = [as_shape(latent)] if latent else [(5,)]
    if not latent:
        Ls += [(n,) for n in [*hints["latent"][:3], *small[:4]]] + [(5, 3, 2)]
    Bs = [batch] if batch else [function.rows, *hints["batch"][:2]]
    order = [(Bs[0], Ls[0], shape) for shape in shapes]
    order += [(B, L, shape) for shape in shapes[:8] for L in Ls for B in Bs]
    return list(dict.fromkeys(Sizes(*item) for item in order))


def _images(n: int) -> list[tuple[int, ...]]:
    """Return shapes of square images of n numbers, or of n pixels on a side."""
    shapes = []
    for channels in (1, 3):
        side = round((n / channels) ** 0.5)
        for edge in {side} if side * side * channels == n else {n} if 16 <= n <= 128 else set():
            shapes += [(channels, edge, edge), (edge, edge, channels)]
    return shapes
