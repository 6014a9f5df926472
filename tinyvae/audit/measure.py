"""One number out of anybody's loss function, at any sizes, with every argument set at will."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinyvae.audit.calls import Function, numbers_in
from tinyvae.audit.frameworks import TooCoarse
from tinyvae.audit.scales import Reading
from tinyvae.audit.sizes import Sizes, candidates_of

REPEATS = 32  # calls that a random term is averaged over
ROWS = 499  # rows of each of them, where the function takes any number
LOSS_KEYS = re.compile("loss|total|objective|elbo|cost", re.IGNORECASE)


class Term:
    """What a loss function returns, as one number.

    Arrays with a row for each example are summed over the rest and averaged over the batch; of
    several returned items, the loss is the one that depends on both x_hat and mu.

    Attributes
    ----------
    sizes : Sizes
        Those that the function took, its own first.
    random : bool
        Whether equal calls give different numbers (a Monte Carlo estimate of the KL).
    apart : bool
        Whether reconstruction and KL came as two items, without their sum.
    target : float
        A value that x may take: 1 where only 0 and 1 are allowed, else 0.25.
    stated : frozenset of str
        Those of B, L and D that were passed, or that the function insists on.
    schedule : bool
        Whether the loss changes with the number of calls.
    """

    def __init__(
        self,
        function: Function,
        roles: tuple[str, ...],
        reading: Reading,
        dtype: str,
        batch: int | None = None,
        latent: object = None,
        pixels: tuple[int, ...] | None = None,
        tokens: bool = False,
    ) -> None:
        self.function, self.roles, self.reading, self.dtype = function, roles, reading, dtype
        self.keys: list[int] | None = None
        self.x, self.x_hat = 0.0, 1e-6
        self.rng = np.random.default_rng(1)
        self.apart = self.schedule = False
        self.prior_at: tuple[float, float] | None = None  # a learned prior's mean and s
        self.tokens = ""  # where x holds whole numbers: the place of the axis of classes in x_hat
        self.unit = reading.s_at(0.0)  # s where σ = 1
        self.target = 0.25
        given = {"B": batch, "L": latent, "D": pixels}
        self.stated = frozenset(name for name, size in given.items() if size)
        try:
            self.sizes = None
            if tokens:
                self.sizes = self._settle_tokens(batch, latent, pixels)
            self.sizes = self.sizes or self._settle(batch, latent, pixels)
        except TooCoarse:
            raise
        except ValueError as failure:
            self.target = 1.0  # a distribution that checks its support takes only 0 and 1
            try:
                self.sizes = self._settle(batch, latent, pixels)
            except ValueError:
                self.sizes = self._settle_tokens(batch, latent, pixels)
                if self.sizes is None:
                    raise failure from failure.__cause__
        self._choose()
        self._hold()
        if "mu" in roles and "x" in roles:
            self._quieten()
        small = self.sizes.D <= 64 and function.rows == 13
        many = self.sizes._replace(B=ROWS if small else 127)
        if self.random and batch is None and self.accepts(many):
            self.sizes = many

    def _hold(self) -> None:
        """Hold a schedule still, where the loss moves with every call; tell whether it is random.

        A schedule whose weight is 0 is moved on first.
        """
        point = {"mu": 0.7, "s": self.reading.s_at(0.5)}
        calls = np.array([self(**point) for _ in range(5)])
        steps = np.diff(calls)
        even = np.ptp(steps) < 0.1 * np.abs(steps).max()
        if steps.any() and (even or self.function.counts()):
            self.schedule = True
            self.function.hold_counters()
            if self(**point) == self(mu=2.5, s=point["s"]):
                self.function.counters.clear()
                for _ in range(100):
                    self(**point)
                self.function.hold_counters()
            calls = np.array([self(**point) for _ in range(2)])
        self.random = bool(np.ptp(calls) > 1e-5 * np.abs(calls).max())

    def raw(self, sizes: Sizes, mu=0.0, s=None, x=None, x_hat=None) -> list[np.ndarray]:
        """Return all that the function returns; numbers stand for arrays filled with them."""
        s = self.unit if s is None else s
        x, x_hat = self.x if x is None else x, self.x_hat if x_hat is None else x_hat
        latents, images = (sizes.B, *sizes.latents), (sizes.B, *sizes.pixels)
        values = {
            "mu": (mu, latents),
            "s": (s, latents),
            "x": (x, images),
            "x_hat": (x_hat, images),
        }
        if self.tokens:
            values["x"] = self._as_tokens(x, sizes), images[:1] + self._token_shape(sizes)
        arrays = {
            role: np.array(np.broadcast_to(number, shape), dtype=self.dtype)
            for role, (number, shape) in values.items()
            if role in self.roles
        }
        if self.tokens and "x" in arrays:
            arrays["x"] = arrays["x"].astype(np.int64)
        if self.function.uses("mu_p"):
            at = self.prior_at or (0.0, self.unit)
            arrays["mu_p"], arrays["s_p"] = (np.full(latents, a, self.dtype) for a in at)
        if self.function.uses("z"):
            sigma = np.broadcast_to(self.reading.sigma_at(s), latents)
            z = mu + sigma * self.rng.standard_normal(latents)
            arrays["z"] = z.astype(self.dtype)
        return self.function(**arrays)

    @property
    def pair(self) -> tuple[float, float]:
        """Return two values that x may take."""
        return (0.0, 1.0) if self.target == 1 else (0.2, 0.8)

    def _token_shape(self, sizes: Sizes) -> tuple[int, ...]:
        return sizes.pixels[:-1] if self.tokens == "last" else sizes.pixels[1:]

    def _as_tokens(self, x: object, sizes: Sizes) -> np.ndarray:
        """Return tokens: those given, or 1 everywhere (0 often stands for padding)."""
        shape = (sizes.B, *self._token_shape(sizes))
        given = np.shape(x) == shape
        return np.asarray(x) if given else np.ones(shape)

    def _settle_tokens(self, batch, latent, pixels) -> Sizes | None:
        """Return sizes with whole numbers for x and a score for each class in x_hat, or None."""
        if "x" not in self.roles or "x_hat" not in self.roles:
            return None
        classes = [7, *[n for n in numbers_in(self.function.function)["any"] if n < 1000][:6]]
        for K in classes:
            for place, shape in (("last", (5, K)), ("first", (K, 5))):
                self.tokens = place
                try:
                    sizes = self._settle(batch, latent, pixels or shape)
                except ValueError:
                    continue
                self.stated -= {"D"} if not pixels else set()
                return sizes._replace(classes=sizes.pixels[-1 if place == "last" else 0])
        self.tokens = ""
        return None

    def generic(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return arguments at a generic point, by role."""
        latents, images = (
            (self.sizes.B, *self.sizes.latents), (self.sizes.B, *self.sizes.pixels),
        )  # fmt: skip
        x = rng.uniform(0.1, 0.9, images)
        values = {
            "mu": rng.standard_normal(latents),
            "s": rng.uniform(self.reading.s.min(), self.reading.s.max(), latents),
            "x": np.round(x) if self.target == 1 else x,
            "x_hat": rng.uniform(0.1, 0.9, images),
        }
        if self.tokens:
            shape = (self.sizes.B, *self._token_shape(self.sizes))
            values["x"] = rng.integers(1, self.sizes.classes, shape)
        values = {role: array for role, array in values.items() if role in self.roles}
        if self.function.uses("mu_p"):
            values |= {"mu_p": np.zeros(latents), "s_p": np.full(latents, self.unit)}
        if self.function.uses("z"):
            values["z"] = values["mu"] + rng.standard_normal(latents)
        return values

    def __call__(self, sizes: Sizes | None = None, **point) -> float:
        """Return the loss at a point, as one number (NaN where it is none)."""
        sizes = sizes or self.sizes
        items = self.raw(sizes, **point)
        return float(sum(self._scalar(items[key][1], sizes) for key in self.keys))

    def mean(self, sizes: Sizes | None = None, repeats=REPEATS, **point) -> tuple[float, float]:
        """Return the loss and its standard error, averaged over calls where it is random."""
        if not self.random:
            return self(sizes, **point), 0.0
        values = [self(sizes, **point) for _ in range(repeats)]
        return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(repeats))

    def _scalar(self, array: np.ndarray, sizes: Sizes) -> float:
        if array.size == 1:
            return float(array.reshape(()))
        if array.shape[0] == sizes.B:
            return float(array.reshape(sizes.B, -1).sum(axis=1).mean())
        if array.shape in (sizes.latents, sizes.pixels):
            return float(array.sum())
        raise ValueError(
            f"{self.function.name} returned the shape {array.shape}; expected a number, "
            f"or an array with {sizes.B} rows"
        )

    def _settle(self, batch, latent, pixels) -> Sizes:
        """Find the first sizes that the function takes."""
        known = "x" in self.roles
        tried = candidates_of(self.function, known, batch, latent, pixels)
        first: Exception | None = None
        for sizes in tried:
            try:
                items = self.raw(sizes, x=self.target, x_hat=0.5)
                self.keys = list(range(len(items)))[:1]
                self._scalar(items[0][1], sizes)
                self.stated |= self._insisted(sizes)
                return sizes
            except TooCoarse:
                raise
            except Exception as failure:
                first = first or failure
                self.function.settled = None
        raise first

    def _insisted(self, sizes: Sizes) -> frozenset[str]:
        """Return those of B, L and D whose first choice the function refused."""
        first = {
            "B": sizes.B == self.function.rows,
            "L": sizes.latents == (5,),
            "D": sizes.pixels == (29,),
        }
        return frozenset(n for n, free in first.items() if not free and n not in self.stated)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the noise still by a seed."""
        random, self.random = self.random, False
        self.function.seed = 1  # targets may be drawn too
        try:
            yield
        finally:
            self.random, self.function.seed = random, None

    def accepts(self, sizes: Sizes) -> bool:
        """Return whether the function takes these sizes too."""
        try:
            return bool(np.isfinite(self(sizes, x=self.target, x_hat=0.5)))
        except Exception:
            return False

    def _choose(self) -> None:
        """Find which of the returned items is the loss."""
        base = self.raw(self.sizes, x=self.target, x_hat=0.5)
        if not base:
            raise ValueError(f"{self.function.name} returned nothing")
        again = self.raw(self.sizes, x=self.target, x_hat=0.5)
        reconstruction = self.raw(self.sizes, x=self.target, x_hat=0.8)
        kl = self.raw(self.sizes, x=self.target, x_hat=0.5, mu=3.0)

        def moved(other: list, i: int) -> bool:
            a, b, c = (items[i][1] for items in (base, again, other))
            if not a.shape == b.shape == c.shape:
                return False
            change, chance = np.abs(c - a).max(), np.abs(b - a).max()
            return bool(change > 20 * chance + 1e-6 * np.abs(a).max())

        usable = list(range(len(base)))
        uses_x = [i for i in usable if moved(reconstruction, i)]
        uses_mu = [i for i in usable if moved(kl, i)]
        both = [i for i in uses_x if i in uses_mu]
        titled = [i for i in usable if LOSS_KEYS.fullmatch(base[i][0])]
        if len(self.roles) < 4 or len(base) == 1:
            wanted = uses_mu if "mu" in self.roles else uses_x
            self.keys = (wanted or usable)[:1]
        elif both:
            self.keys = ([i for i in titled if i in both] or both)[:1]
        elif titled:
            self.keys = titled[:1]
        else:
            self.apart = bool(uses_x and uses_mu)
            self.keys = [*uses_x[:1], *uses_mu[:1]] or usable[:1]

    def _quieten(self) -> None:
        """Choose an x_hat that makes the reconstruction small, so that it drowns no KL."""
        sizes_of = {}
        for x_hat in (1e-6, -20.0, 0.0):
            try:
                size = abs(self(x=0.0, x_hat=x_hat))
            except ValueError:
                continue
            if np.isfinite(size):
                sizes_of[x_hat] = size
        if sizes_of and sizes_of.get(1e-6, np.inf) > 1.0:
            self.x_hat = min(sizes_of, key=sizes_of.get)
