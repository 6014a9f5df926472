"""A training step of PyTorch (and of Keras on PyTorch), operation by operation."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from tinyvae.audit import frameworks
from tinyvae.audit.tape import NOISE, SHAPED, Key, Op, Stopped, Tape, Trace, arrays_in, with_arrays

MEANS = ("mean", "mse_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
         "l1_loss", "smooth_l1_loss", "huber_loss", "cross_entropy", "nll_loss", "kl_div",
         "gaussian_nll_loss", "poisson_nll_loss")  # fmt: skip


class TorchTape(Tape):
    """Runs step(model, x) and records every operation on tensors."""

    framework = "torch"

    def __init__(self, step: Callable, model: Any) -> None:
        super().__init__(step, model)
        modules = [m for m in _modules(model)]
        every = [p for module in modules for p in module.parameters()]
        self.parameters = [p for p in every if p.is_floating_point()]  # no counters of seeds
        self.saved = [p.detach().clone() for p in self.parameters]

    def run(self, x: Any, replace=None, until=None, seed=None, gradients=False) -> Trace:
        """Return the trace of one run."""
        if seed is not None:
            frameworks.reseed(seed)
        mode = _Recorder(self, x, replace or {}, until)
        with torch.set_grad_enabled(gradients or torch.is_grad_enabled()):
            try:
                with mode:
                    result = self.step(self.model, x)
                mode.returned(result)
            except Stopped:
                pass
        self._restore()
        return mode.trace

    def _restore(self) -> None:
        """Undo what an optimizer in the step did."""
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, self.saved, strict=True):
                if parameter._version and not torch.equal(parameter, saved):
                    parameter.copy_(saved)


def _modules(model: Any) -> list[Any]:
    """Return the modules in a model, which may be a tuple, a dictionary or a plain object."""
    if isinstance(model, torch.nn.Module):
        return [model]
    if isinstance(model, dict):
        return [m for value in model.values() for m in _modules(value)]
    if isinstance(model, (tuple, list)):
        return [m for value in model for m in _modules(value)]
    return [m for m in getattr(model, "__dict__", {}).values() if isinstance(m, torch.nn.Module)]


class _Recorder(TorchFunctionMode):
    """Sees each call of PyTorch's functions, and puts other tensors in the place of some."""

    def __init__(self, tape: TorchTape, x: Any, replace: dict, until: Key | None) -> None:
        super().__init__()
        self.trace, self.replace, self.until = Trace(), replace, until
        self.keys: dict[int, Key] = {}
        self.alive: list[Any] = []  # so that no id is used again
        self.places: dict[int, torch.Tensor] = {}  # where in memory → the last array seen there
        self.derived: list[torch.Tensor] = []  # what backward() was called on
        for name, tensors in (
            ("parameter", tape.parameters), ("x", list(arrays_in(x, torch.Tensor)))
        ):  # fmt: skip
            for number, tensor in enumerate(tensors):
                self._leaf(tensor, (name, number))

    def _leaf(self, tensor: torch.Tensor, key: Key) -> None:
        self.trace.shapes[key] = tuple(tensor.shape)
        self._note(tensor, key)

    def key(self, tensor: torch.Tensor) -> Key:
        if id(tensor) not in self.keys:
            twin = self.places.get(_place(tensor))
            if twin is not None and twin.shape == tensor.shape:  # Variable(…), unseen
                self._made("alias", [self.keys[id(twin)]], [tensor])
            else:
                is_parameter = isinstance(tensor, torch.nn.Parameter)
                self._leaf(tensor, ("parameter" if is_parameter else "constant", len(self.alive)))
        return self.keys[id(tensor)]

    def _made(self, name: str, inputs: list[Key], made: list[torch.Tensor], mean: float = 1.0):
        """Note an operation; return its number."""
        number = len(self.trace.ops)
        self.trace.ops.append(Op(name, inputs, [tuple(t.shape) for t in made], mean))
        for place, tensor in enumerate(made):
            self._note(tensor, (number, place))
        return number

    def _note(self, tensor: torch.Tensor, key: Key) -> None:
        self.keys[id(tensor)] = key
        self.alive.append(tensor)
        self.trace.values[key] = tensor
        if _place(tensor):
            self.places[_place(tensor)] = tensor

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "backward":
            self.derived.append(args[0])
            return None
        result = func(*args, **kwargs)
        made = list(arrays_in(result, torch.Tensor))
        if name == "__setitem__":
            made, result = [args[0]], args[0]
        if not made:
            return result
        tensors = list(arrays_in([args, kwargs], torch.Tensor))
        inputs = [] if name in SHAPED else [self.key(t) for t in tensors]
        number = self._made(name, inputs, made, _averaged(name, tensors, made, kwargs))
        place = iter(range(len(made)))

        def put(tensor: torch.Tensor) -> torch.Tensor:
            key = (number, next(place))
            if key in self.replace:
                new = self._as_tensor(self.replace[key], tensor)
                if name in NOISE and tensor is tensors[0] if tensors else False:  # normal_()
                    new = tensor.copy_(new)
                tensor = new
                self._note(tensor, key)
            if key == self.until:
                raise Stopped
            return tensor

        result = with_arrays(result, torch.Tensor, put)
        return None if name == "__setitem__" else result

    @staticmethod
    def _as_tensor(value: Any, like: torch.Tensor) -> torch.Tensor:
        if not isinstance(value, torch.Tensor):
            value = torch.tensor(value)
        if value.shape != like.shape:
            raise ValueError(f"the shape {tuple(like.shape)} is expected, not {tuple(value.shape)}")
        return value.to(like.dtype) if value.dtype != like.dtype else value

    def returned(self, result: Any) -> None:
        """Note the items that the step returned."""
        for name, item in frameworks.raw_leaves(result):
            key = self.key(item) if isinstance(item, torch.Tensor) else None
            self.trace.items.append((name, item, key))
        if len(self.derived) == 1 and not any(key for *_, key in self.trace.items):
            self.trace.items = [("loss", self.derived[0], self.key(self.derived[0]))]


def _place(tensor: torch.Tensor) -> int:
    """Return where a tensor's numbers begin in memory, 0 where it has none there."""
    return tensor.data_ptr() if tensor.layout is torch.strided and tensor.numel() else 0


def _averaged(name: str, tensors: list, made: list, kwargs: dict) -> float:
    if name not in MEANS or not tensors or kwargs.get("reduction", "mean") != "mean":
        return 1.0
    counted = tensors[1] if name in ("cross_entropy", "nll_loss") else tensors[0]
    return math.prod(counted.shape) / max(1, math.prod(made[0].shape))
