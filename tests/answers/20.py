"""Answers to the exercises of notebook 20, wrong ones with what the check must say, and right ones
that differ from the notebook's solution."""
# ruff: noqa: F811, F821


# %% wrong 20.1: if a: (or while, and, or) copies a device array to the host
def clip_gradient(grad, largest):
    xp = array_module(grad)
    norm = xp.sqrt((grad * grad).sum())
    return grad * (largest / norm) if norm > largest else grad


# %% wrong 20.1: float(a) copies a device array to the host
def clip_gradient(grad, largest):
    norm = float((grad * grad).sum()) ** 0.5
    return grad * (largest / max(norm, largest))


# %% wrong 20.1: a NumPy array meets a device array
def clip_gradient(grad, largest):
    xp = array_module(grad)
    factor = np.ones(1, "float32") * largest
    return grad * (factor / xp.maximum(xp.sqrt((grad * grad).sum()), largest))


# %% wrong 20.1: each entry is clipped by itself
def clip_gradient(grad, largest):
    return array_module(grad).clip(grad, -largest, largest)


# %% wrong 20.1: also where it was shorter
def clip_gradient(grad, largest):
    xp = array_module(grad)
    return grad * (largest / xp.sqrt((grad * grad).sum()))


# %% wrong 20.1: the root is missing
def clip_gradient(grad, largest):
    xp = array_module(grad)
    return grad * (largest / xp.maximum((grad * grad).sum(), largest))


# %% wrong 20.1: a gradient of zeros becomes nan
def clip_gradient(grad, largest):
    xp = array_module(grad)
    norm = xp.sqrt((grad * grad).sum())
    return grad / norm * xp.minimum(norm, largest)


# %% wrong 20.1: a float32 gradient becomes float64
def clip_gradient(grad, largest):
    xp = array_module(grad)
    norm = xp.sqrt((grad * grad).sum())
    return grad * np.float64(largest) / xp.maximum(norm, largest)


# %% wrong 20.1: a.get() copies to the host
def clip_gradient(grad, largest):
    host = grad.get() if hasattr(grad, "get") else grad
    norm = max(float(np.linalg.norm(host)), largest)
    return grad * (largest / norm)


# %% wrong 20.1: changes one of its inputs in place
def clip_gradient(grad, largest):
    xp = array_module(grad)
    grad *= largest / xp.maximum(xp.sqrt((grad * grad).sum()), largest)
    return grad


# %% wrong 20.1: nothing is scaled
def clip_gradient(grad, largest):
    return grad


# %% wrong 20.1: on a device it returns ndarray, no device array
def clip_gradient(grad, largest):
    if hasattr(grad, "inside"):
        grad = grad.inside
    norm = np.linalg.norm(grad)
    return grad * (largest / np.maximum(norm, largest))


# %% wrong 20.1: clipped: zero throughout, which it should not be; clipped[
def clip_gradient(grad, largest):
    xp = array_module(grad)
    n = xp.sqrt((grad * grad).sum())
    return xp.where(n > largest, 0.0 * grad, grad)


# %% wrong 20.1: not the largest entry
def clip_gradient(grad, largest):
    xp = array_module(grad)
    n = xp.max(xp.abs(grad))
    return grad * (largest / xp.maximum(n, largest))


# %% right 20.1
def clip_gradient(grad, largest):
    xp = array_module(grad)
    norm = xp.linalg.norm(grad)
    return grad * xp.minimum(1.0, largest / xp.maximum(norm, 1e-12))


# %% right 20.1
def clip_gradient(grad, largest):
    norm = np.linalg.norm(grad)
    with np.errstate(divide="ignore"):
        return np.where(norm > largest, largest / norm, 1.0) * grad


# %% right 20.1
def clip_gradient(grad, largest):
    xp = array_module(grad)
    factor = largest * (xp.dot(grad, grad) + 1e-20) ** -0.5
    return grad * factor.clip(0.0, 1.0)


# %% wrong 20.2: each product has its addition, so twice that
def dense_operations(B, n_in, n_out):
    return B * n_in * n_out, 2 * B * n_in * n_out


# %% wrong 20.2: that is one matrix product; backward has two
def dense_operations(B, n_in, n_out):
    return 2 * B * n_in * n_out, 2 * B * n_in * n_out


# %% wrong 20.2: that is for one example; there are B
def dense_operations(B, n_in, n_out):
    return 2 * n_in * n_out, 4 * n_in * n_out


# %% wrong 20.2: that is forward and backward together
def dense_operations(B, n_in, n_out):
    return 2 * B * n_in * n_out, 6 * B * n_in * n_out


# %% wrong 20.2: forward is 118,400 where about 62,720,000 is right
def dense_operations(B, n_in, n_out):
    return B * (n_in + n_out), 4 * B * n_in * n_out


# %% wrong 20.2: forward and backward are swapped
def dense_operations(B, n_in, n_out):
    return 4 * B * n_in * n_out, 2 * B * n_in * n_out


# %% open 20.2: backward is still missing
def dense_operations(B, n_in, n_out):
    return 2 * B * n_in * n_out, ...


# %% right 20.2
def dense_operations(B, n_in, n_out):
    forward = B * n_out * (n_in + (n_in - 1)) + B * n_out
    dW, dx, db = n_in * n_out * (2 * B - 1), B * n_in * (2 * n_out - 1), (B - 1) * n_out
    return forward, dW + dx + db


# %% right 20.2
def dense_operations(B, n_in, n_out):
    return [2 * B * n_in * n_out + B * n_out, 4 * B * n_in * n_out + B * n_out]


# %% wrong 20.3: the best step of a one-sided difference
def best_step(u):
    return u**0.5


# %% wrong 20.3: which is h³: take the third root
def best_step(u):
    return u / 2


# %% wrong 20.3: h = 1e-05 is too large (3.8e-06 is right)
def best_step(u):
    return 1e-5


# %% wrong 20.3: this is u itself
def best_step(u):
    return u


# %% wrong 20.3: a step is a positive number
def best_step(u):
    return -((u / 2) ** (1 / 3))


# %% wrong 20.3: this is (2u)^(1/3); 2h³ = u, so the 2 divides u
def best_step(u):
    return (2 * u) ** (1 / 3)


# %% wrong 20.3: h = 1.1e-05 is too large (3.8e-06 is right)
def best_step(u):
    return 3 * (u / 2) ** (1 / 3)


# %% wrong 20.3: this is u^(1/3); 2h³ = u
def best_step(u):
    return u ** (1 / 3)


# %% right 20.3
def best_step(u):
    h = np.geomspace(1e-9, 1, 10_000)
    return h[(u / h + h**2).argmin()]
