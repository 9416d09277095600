"""The count of a config's network, module by module, on PyTorch's meta device."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from segship.core.errors import SizeError, UnsupportedError
from segship.tools.flops.cost import DEFAULT, Complexity, Cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from segship.networks.network import Network

__all__ = ["count_network", "shadow"]

_ACTIVATIONS = {
    "relu", "relu_", "relu6", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "_prelu_kernel", "elu", "elu_",
    "gelu", "silu", "silu_", "mish", "hardswish", "hardswish_", "hardsigmoid", "hardsigmoid_", "sigmoid", "sigmoid_",
    "tanh", "tanh_", "softplus",
}  # fmt: skip
_POOLINGS = {"max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d", "mean"}
_NORMS = {
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
    "native_group_norm", "native_layer_norm", "_fused_rms_norm",
}  # fmt: skip


def count_network(network: Network, shape: tuple[int, int] | None = None, *, channels: int | None = None) -> Complexity:
    """Count what a network computes, without computing it: on PyTorch's meta device.

    Args:
        network: In evaluation mode. It is left as it is.
        shape: (height, width) of the image; None: 512x1024, or the nearest size that it takes.
        channels: Channels of the image; None: as many as the first convolution takes.

    Raises:
        SizeError: The network does not take this size.
    """
    height, width = shape or network.sizes.nearest(*DEFAULT)
    if not network.sizes.allows(height, width):
        raise SizeError(f"the shape is {height}x{width}, this network takes {network.sizes}")
    network = shadow(network)
    image = torch.empty(1, channels or _channels(network), height, width, device="meta")
    counter = _Counter()
    with counter.watch(network), counter, torch.no_grad():
        network(image)
    return _complexity(network, (height, width), counter)


def shadow(network: Network) -> Network:
    """Return the same modules with shapes instead of numbers, on PyTorch's meta device; ``network`` is left as it is.

    Raises:
        UnsupportedError: It is a graph of another engine, without modules.
    """
    if getattr(network, "onnx_model", None) is not None:
        raise UnsupportedError("this network is an ONNX graph, which has no modules: count the .onnx file itself")
    numbers = itertools.chain(network.parameters(), network.buffers())
    return copy.deepcopy(network, {id(tensor): tensor.to("meta") for tensor in numbers})


def _channels(network: nn.Module) -> int:
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of PyTorch
    """Sees every operator, and adds its costs to the modules it runs in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs: Counter[str] = Counter()
        self.products: Counter[str] = Counter()
        self.activations: Counter[str] = Counter()
        self.by_operator: Counter[str] = Counter()
        self._open: list[str] = []

    def watch(self, network: nn.Module) -> ExitStack:
        """A context in which the counter knows which modules of ``network`` are running."""
        hooks = ExitStack()
        for name, module in network.named_modules():
            hooks.callback(module.register_forward_pre_hook(self._opening(name)).remove)
            hooks.callback(module.register_forward_hook(self._close).remove)
        return hooks

    def _opening(self, name: str) -> Callable[..., None]:
        return lambda *_: self._open.append(name)

    def _close(self, *_: object) -> None:
        self._open.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket  # noqa: SLF001  (the registry of PyTorch's own counter is keyed by it)
        if packet not in flop_registry and func is not torch.ops.prim.device.default:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        self._note(packet, args, kwargs, result)
        return result

    def _note(self, packet: Any, args: Any, kwargs: Any, result: Any) -> None:
        operator = packet.__name__
        products = flop_registry[packet](*args, **kwargs, out_val=result) // 2 if packet in flop_registry else 0
        output = result[0] if isinstance(result, (tuple, list)) else result
        size = output.numel() if isinstance(output, Tensor) else 0
        macs = products + _cheap(operator, args, size)
        if not macs:
            return
        if products:
            self.by_operator[operator] += products
        for name in dict.fromkeys(self._open):
            self.macs[name] += macs
            self.products[name] += products
            self.activations[name] += size if products else 0


def _cheap(operator: str, args: Any, size: int) -> int:
    """What the operator costs besides products, by the rules above."""
    if operator == "convolution":
        return size if args[2] is not None else 0
    if operator in {"addmm", "addmm_", "baddbmm"} or operator in _ACTIVATIONS:
        return size
    if operator in _POOLINGS:
        return int(args[0].numel())
    return 2 * size if operator in _NORMS else 0


def _complexity(network: nn.Module, shape: tuple[int, int], counter: _Counter) -> Complexity:
    costs = [
        Cost(
            name=name,
            type=type(module).__name__,
            params=sum(weight.numel() for weight in module.parameters()),
            macs=counter.macs[name],
            products=counter.products[name],
            activations=counter.activations[name],
        )
        for name, module in network.named_modules()
    ]
    auxiliary = sum(cost.params for cost in costs if cost.name == "auxiliary_head")
    return Complexity(
        shape=shape,
        total=costs[0],
        modules=tuple(cost for cost in costs[1:] if cost.params or cost.macs),
        by_operator=dict(counter.by_operator),
        inference_params=costs[0].params - auxiliary,
    )
