"""Optimizers: a step moves all weights, the vector θ, in place by what their gradient g says."""

import math

from tinyvae.core import values
from tinyvae.core.arrays import Array, array_module
from tinyvae.core.parameters import FlatParameters

TINY = 1e-30  # moments below it are set to 0: a CPU is many times slower on denormal numbers


class SGD:
    """Gradient descent with momentum: u ← momentum · u + g;  θ ← θ − lr · u.

    Parameters
    ----------
    parameters : Parameters of a model
    lr, momentum : float, above 0; in [0, 1)
    """

    def __init__(self, parameters: FlatParameters, lr: float = 1e-2, momentum: float = 0.0) -> None:
        self.parameters = values.parameters(parameters)
        self.lr = values.number("lr", lr, above=True)
        self.momentum = values.fraction("momentum", momentum)
        self.theta, self.grad = parameters.theta, parameters.grad
        self.u = array_module(self.theta).zeros_like(self.theta)

    def step(self) -> None:
        self.parameters.ops.over(self.move, self.theta.size)

    def move(self, start: int, stop: int) -> None:
        """Move θ[start:stop]."""
        u = self.u[start:stop]
        u *= self.momentum
        u += self.grad[start:stop]
        self.theta[start:stop] -= self.lr * u

    def state(self) -> dict[str, Array]:
        return {"u": self.u.copy()}

    def set_state(self, state: dict[str, Array]) -> None:
        self.u[...] = state["u"]


class Adam:
    """Adam (Kingma & Ba 2015): the size of each weight's recent gradients scales its steps.

        m ← β1 m + (1 − β1) g            m̂ = m / (1 − β1ᵗ)
        v ← β2 v + (1 − β2) g²           v̂ = v / (1 − β2ᵗ)
        θ ← θ − lr · m̂ / (√v̂ + ε)

    The code keeps M = m / (1 − β1) and V = v / (1 − β2), so that M ← β1 M + g and V ← β2 V + g²
    need one pass less each. Put them in, with s = √((1 − β2) / (1 − β2ᵗ)), and √v̂ = s √V:

        θ ← θ − a · M / (√V + ε / s),      a = lr (1 − β1) / (1 − β1ᵗ) / s

    Parameters
    ----------
    parameters : Parameters of a model
    lr, beta1, beta2, epsilon : float, above 0; in [0, 1), both; above 0
    """

    def __init__(
        self, parameters: FlatParameters, lr: float = 1e-3, beta1: float = 0.9,
        beta2: float = 0.999, epsilon: float = 1e-8,
    ) -> None:  # fmt: skip
        self.parameters = values.parameters(parameters)
        self.lr = values.number("lr", lr, above=True)
        self.beta1, self.beta2 = values.fraction("beta1", beta1), values.fraction("beta2", beta2)
        self.epsilon = values.number("epsilon", epsilon, above=True)
        self.theta, self.grad = parameters.theta, parameters.grad
        zeros = array_module(self.theta).zeros_like
        self.t, self.M, self.V = 0, zeros(self.theta), zeros(self.theta)

    def step(self) -> None:
        self.t += 1
        self.parameters.ops.over(self.move, self.theta.size)

    def move(self, start: int, stop: int) -> None:
        """Move θ[start:stop]."""
        a, epsilon = self.factors()
        part = slice(start, stop)
        theta, g, M, V = self.theta[part], self.grad[part], self.M[part], self.V[part]
        xp = array_module(M)
        M *= self.beta1
        M += g
        r = g * g
        V *= self.beta2
        V += r
        xp.sqrt(V, out=r)
        r += epsilon
        xp.divide(M, r, out=r)
        r *= a
        theta -= r
        if self.t % 100 == 0:
            for moment in (M, V):
                moment *= xp.abs(moment) > TINY

    def factors(self) -> tuple[float, float]:
        """Return a and ε / s of step t."""
        s = math.sqrt((1 - self.beta2) / (1 - self.beta2**self.t))
        return self.lr * (1 - self.beta1) / (1 - self.beta1**self.t) / s, self.epsilon / s

    def state(self) -> dict[str, Array]:
        """Return t, and copies of m and v in the textbook's scale, for a resumed training."""
        return {"t": self.t, "m": self.M * (1 - self.beta1), "v": self.V * (1 - self.beta2)}

    def set_state(self, state: dict[str, Array]) -> None:
        self.t = int(state["t"])
        self.M[...] = state["m"] / (1 - self.beta1)
        self.V[...] = state["v"] / (1 - self.beta2)
