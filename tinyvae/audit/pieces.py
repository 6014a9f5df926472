"""Find the pieces of a VAE in a step: noise, z, what the encoder and the decoder give, the loss."""

from typing import Any

import numpy as np

from tinyvae.audit.follow import NotFollowed, Pieces, Step, Wrong
from tinyvae.audit.frameworks import to_numpy
from tinyvae.audit.measure import LOSS_KEYS
from tinyvae.audit.tape import NETWORK, NOISE, SHAPES, Graph, Key

DISCRETE = frozenset("argmin argmax round round_ sign topk".split())
ACTIVATIONS = frozenset(  # of a decoder that begins with one
    "tanh relu relu_ leaky_relu leaky_relu_ elu gelu silu selu softplus max maximum".split()
)


def find(step: Step) -> Pieces:
    """Return where the pieces of a VAE stand in a step.

    Raises
    ------
    NotFollowed
        One of them was not found.
    """
    graph, trace = step.graph, step.first
    loss = next((i for i, (name, *_) in enumerate(trace.items) if LOSS_KEYS.fullmatch(name)), 0)
    start = trace.items[loss][2]
    if start is None:
        raise NotFollowed("the loss is a plain number: return the array that is derived")
    sites = _noise_sites(step)
    found = [site for site in (_site(graph, key) for key in sites) if site]
    found = [site for site in found if start in graph.descendants({site[0]})] or found
    if not found:
        raise _why_no_noise(step, sites)
    if len({frozenset(heads) for _, heads, _ in found}) > 1 and len({z for z, *_ in found}) > 1:
        raise NotFollowed(f"{len(found)} latent samples were found (a hierarchy?): one is judged")
    z, hits, used = found[0]
    random = graph.descendants({z})
    ends, leaves, _ = graph.frontier(start)
    if not ends and all(kind == "constant" for kind, _ in leaves):
        raise Wrong("gradient-cut", "the loss was made anew from plain numbers: nothing is derived")
    outputs = [key for key in sorted(ends) if key in random]
    groups = _grouped(step, sorted(hits))
    pieces = Pieces(groups, sites, z, _grouped(step, outputs), loss, used=used)
    known = {key for group in groups for key in group}
    for group in _grouped(step, [key for key in sorted(ends) if key not in random]):
        twin = next((g for g in groups if _equal(step, g[0], group[0])), None)
        if twin is not None:
            twin += [key for key in group if key not in known]
        elif not known & set(group):
            pieces.others.append(group)
    step.aim([number for kind, number in leaves if kind == "x"], outputs)
    return pieces


def _noise_sites(step: Step) -> list[Key]:
    """Return the keys of what may be noise: draws, and constants that change from run to run."""
    sites = []
    for number, op in enumerate(step.first.ops):
        if op.name in NOISE:
            sites.append((number, 0))
    if not sites and step.tape.framework != "jax":
        again = step.tape.run(step.x)
        for key, value in step.first.values.items():
            other = again.values.get(key)
            if key[0] == "constant" and other is not None and np.shape(value):
                if not np.array_equal(to_numpy(value, "it"), to_numpy(other, "it")):
                    sites.append(key)
    return sites


def _site(graph: Graph, noise: Key) -> tuple[Key, set[Key], bool] | None:
    """Return z, the layers' outputs that it is made from, and whether a layer takes it."""
    reached = graph.descendants({noise})
    arithmetic, enters = [], []
    for number, op in enumerate(graph.ops):
        takes = [key for key in op.inputs if key in reached]
        if not takes:
            continue
        if (op.name in NETWORK and not graph.scales_noise(op)) or graph.is_bias(op):
            enters += takes
            break
        if graph.pairs(op, number, takes):
            enters += takes
            continue
        arithmetic.append((number, 0))
    for key in enters:
        z = _unshaped(graph, key, reached)
        hits, *_ = graph.frontier(z)
        if hits:
            return z, hits, True
    own = graph.op(noise)
    if own and any(graph.frontier(k)[0] for k in own.inputs) and not enters:
        arithmetic.insert(0, noise)
    for z in arithmetic:
        hits, *_ = graph.frontier(z)
        if len(hits) > 1 and not enters and graph.size(z) >= min(map(graph.size, hits)):
            return z, hits, False
    return None


def _unshaped(graph: Graph, key: Key, reached: set[Key]) -> Key:
    """Go back from what a layer takes to the z that it was reshaped, joined or activated from."""
    op = graph.op(key)
    while op is not None and (op.name in SHAPES or op.name in ACTIVATIONS):
        sources = [k for k in op.inputs if k in reached]
        if not sources:
            break
        key = sources[0]
        op = graph.op(key)
    return key


def _why_no_noise(step: Step, sites: list[Key]) -> NotFollowed:
    losses = [step.tape.run(step.x).items[0][1] for _ in range(2)]
    a, b = (to_numpy(loss, "the loss") for loss in losses)
    discrete = sorted(DISCRETE & {op.name for op in step.first.ops})
    if np.array_equal(a, b) and discrete:
        return NotFollowed(f"no noise is drawn, but {discrete[0]} taken: a discrete latent?")
    if np.array_equal(a, b):
        why = "the noise that is drawn has no part in it" if sites else "no noise is drawn"
        return Wrong("loss-deterministic", f"two runs of the step gave the same loss: {why}")
    if sites:
        return NotFollowed("noise is drawn, but no z is made from it and a layer's output")
    return NotFollowed("the loss is random, but the draw of its noise was not seen")


def _equal(step: Step, a: Key, b: Key) -> bool:
    """Return whether two arrays are the same numbers, and not by chance all alike."""
    if a == b:
        return True
    first, second = (to_numpy(step.first.values[k], "it") for k in (a, b))
    if first.size != second.size:
        return False
    return bool(np.ptp(first) > 0 and np.array_equal(first.ravel(), second.ravel()))


def _grouped(step: Step, keys: Any) -> list[list[Key]]:
    """Put keys of equal arrays into one group: a layer that was run twice."""
    groups: list[list[Key]] = []
    for key in keys:
        twin = next((g for g in groups if _equal(step, g[0], key)), None)
        if twin is None:
            groups.append([key])
        else:
            twin.append(key)
    return groups
