"""This project's packs and caches on the fake device, and a watch over what happens there."""

import traceback
import weakref
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prereq.data import packing
from prereq.model import attention, dropout, kv_cache

MODE = FakeTensorMode(allow_non_fake_inputs=False)
SYNCS = {"_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "item", "equal"}
COPIES = {"_to_copy", "copy_"}  # to the host they wait
# What makes no kernel: views, and memory that nothing is written to.
VIEWS = {
    *("view", "t", "slice", "select", "transpose", "as_strided", "detach", "alias", "expand"),
    *("unsqueeze", "permute", "_unsafe_view", "squeeze", "unbind", "split", "split_with_sizes"),
    *("_reshape_alias", "view_as", "reshape", "chunk", "lift_fresh", "set_", "resize_", "device"),
    *("empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "is_same_size"),
    *("sym_size", "sym_stride", "sym_numel"),
}


def real(function: Callable) -> Callable:
    """The function with real tensors: the host's lists of numbers become indices by them."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with unset_fake_temporarily():
            return function(*args, **kwargs)

    return call


def to_device(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """A fake tensor of the same shape on the device, which is what a copy without a wait gives."""
    assert tensor.device.type == "cpu"
    with MODE:
        return torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device=device)


def install() -> None:
    """Make packs and caches on the fake device. What they count on the host stays real."""
    for module in (packing, attention, kv_cache):
        module.to_device = to_device
    packing.pack = real(packing.pack)
    layout = attention.RowLayout
    for name, value in list(vars(layout).items()):
        if isinstance(value, cached_property) and name != "used":  # which is made on the device
            changed = cached_property(real(value.func))
            changed.__set_name__(layout, name)
            setattr(layout, name, changed)
    for owner in (layout, kv_cache.Prefill):
        owner.__init__ = real(owner.__init__)
    dropout._seed = real(dropout._seed)
    kv_cache.KVCache.there = real(kv_cache.KVCache.there)
    torch.nn.Module._apply = _apply
    torch.cuda.get_device_capability = lambda device=None: (9, 0)


def _apply(module: torch.nn.Module, change: Callable, recurse: bool = True) -> torch.nn.Module:
    """`Module.to` with new parameters: a fake tensor cannot take the place of another in one."""
    for child in module.children():
        _apply(child, change)
    for name, value in module._parameters.items():
        if value is not None:
            with torch.no_grad():
                changed = change(value)
            module._parameters[name] = torch.nn.Parameter(changed, value.requires_grad)
    for name, value in module._buffers.items():
        if value is not None:
            module._buffers[name] = change(value)
    return module


class Watch(TorchDispatchMode):
    """Live bytes on the device (by storage), the most there were, kernels by name, host syncs."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self.kernels: Counter[str] = Counter()
        self.syncs: list[str] = []
        self._storages: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        out = func(*args, **(kwargs or {}))
        made = [x for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
        on_device = [x for x in made if x.device.type == "cuda"]
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        asked = any(x.device.type == "cuda" for x in given)
        if asked and (name in SYNCS or (name in COPIES and made and not on_device)):
            self.syncs.append(name + "".join(traceback.format_stack(limit=8)[:-1]))
        for tensor in on_device:
            self.track(tensor)
        if on_device and name not in VIEWS:
            self.kernels[name] += 1
        return out

    def track(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage until it is freed."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._storages:
            return

        def freed(_: weakref.ref, key: int = key, size: int = size) -> None:
            if self._storages.pop(key, None) is not None:
                self.live -= size

        self._storages[key] = weakref.ref(storage, freed)
        self.live += size
        self.peak = max(self.peak, self.live)
