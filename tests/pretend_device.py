"""A pretend GPU: tensors that say they are on device ``gpu`` and are computed on the CPU.

It refuses what CUDA refuses (operations that mix devices, ``numpy()``), and notes in ``waits`` what makes the host
wait for a GPU: numbers and sizes read off it, and copies from or to memory that is not pinned. Importing it changes
torch for the whole process, before other libraries take hold of it: tests that use it run in a process of their own
that imports it first (``test_pretend_device.py``).
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend


class _Backend:
    """What torch asks ``torch.gpu`` for."""

    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)
    is_available = is_initialized = staticmethod(lambda: True)
    is_in_bad_fork = _is_in_bad_fork = staticmethod(lambda: False)
    get_amp_supported_dtype = staticmethod(lambda: [torch.bfloat16, torch.float16])
    manual_seed_all = staticmethod(lambda seed: None)


_setup_privateuseone_for_python_backend("gpu", _Backend())
_autocast = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
_autocast.fallback(torch.library.fallthrough_kernel)

DEVICE = torch.device("gpu:0")
_tensor = torch.tensor


def _tensor_anywhere(data: Any, *, device: Any = None, requires_grad: bool = False, **options: Any) -> Tensor:
    """``torch.tensor``, which would not ask the dispatcher."""
    made = _tensor(data, **options)
    return (made if device is None else made.to(device)).requires_grad_(requires_grad)


torch.tensor = _tensor_anywhere  # type: ignore[assignment]
waits: list[str] = []  # "operation at file:line", in their order

# What these return, or the size of it, is not known before the device has caught up.
WAITING = {
    "_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "_unique2", "unique_consecutive", "equal",
    "repeat_interleave", "bincount",
}  # fmt: skip
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
COPYING = {"copy_", "_to_copy"}


def _place() -> str:
    """File and line of the innermost frame of the package, or of a library."""
    frames = [frame for frame in traceback.extract_stack() if "/torch/" not in frame.filename]
    frames = [frame for frame in frames if not frame.filename.endswith("pretend_device.py")]
    own = [frame for frame in frames if "/bags/" in frame.filename and "site-packages" not in frame.filename]
    frame = (own or frames)[-1]
    return f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"


def _note(what: str) -> None:
    waits.append(f"{what} at {_place()}")


class OnDevice(Tensor):
    """A tensor on the pretend device; ``host`` is the one on the CPU that is computed with."""

    host: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, real: Tensor) -> OnDevice:
        made = Tensor._make_wrapper_subclass(
            cls, real.size(), strides=real.stride(), storage_offset=real.storage_offset(), dtype=real.dtype,
            device=DEVICE,
        )  # fmt: skip
        made.host = real.detach()
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _dispatch(func, args, kwargs or {})

    def __repr__(self) -> str:
        return f"OnDevice({self.host!r})"

    def __deepcopy__(self, memo: Any) -> OnDevice:
        return OnDevice(self.host.clone()).requires_grad_(self.requires_grad)

    def __reduce_ex__(self, protocol: Any) -> Any:
        _note("saving")
        return self.host.clone().__reduce_ex__(protocol)

    def tolist(self) -> Any:
        _note("tolist")
        return self.host.tolist()

    def numpy(self, **options: Any) -> Any:
        raise TypeError("can't convert gpu:0 device type tensor to numpy. Use Tensor.cpu() first")

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        return torch.tensor(data, **{"dtype": self.dtype, "device": self.device, **options})


def _real(value: Any) -> Any:
    return value.host if isinstance(value, OnDevice) else value


def _is_device(device: Any) -> bool:
    return torch.device(device).type == DEVICE.type


def _dispatch(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute on the CPU; the result is on the device where an argument is, or where it is asked for."""
    name = func.overloadpacket.__name__
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    here = [x for x in tensors if isinstance(x, OnDevice)]
    elsewhere = [x for x in tensors if not isinstance(x, OnDevice)]
    target = kwargs.get("device")
    if not here and target is None:
        return func(*args, **kwargs)
    if here:
        if any(x.dim() for x in elsewhere) and name not in COPYING | INDEXING:
            raise RuntimeError(f"Expected all tensors to be on the same device: {name} at {_place()}")
        if name in WAITING:
            _note(name)
        if name in INDEXING:
            indices = [x for x in args[1] if x is not None]
            if any(x.dtype == torch.bool for x in indices) or not all(isinstance(x, OnDevice) for x in indices):
                _note(name)
    if name == "copy_" and here and elsewhere and any(x.dim() for x in elsewhere):
        _note("copy_")
    moves = name == "_to_copy" and target is not None and _is_device(target) != bool(here)
    if moves and not (kwargs.get("non_blocking") and args[0].is_pinned()):
        _note("to")
    real_kwargs = {key: tree_map(_real, value) for key, value in kwargs.items()}
    if target is not None and _is_device(target):
        real_kwargs["device"] = torch.device("cpu")
    result = func(*tree_map(_real, args), **real_kwargs)
    if moves:
        real = result.clone() if result.data_ptr() == _real(args[0]).data_ptr() else result
        return OnDevice(real) if _is_device(target) else real
    if not (here if target is None else _is_device(target)):
        return result
    known = {id(x.host): x for x in here}  # what is changed in place stays the same object

    def wrap(value: Any) -> Any:
        return known[id(value)] if id(value) in known else OnDevice(value) if isinstance(value, Tensor) else value

    wrapped = tree_map(wrap, result)
    parts = (*func._schema.arguments, *func._schema.returns)
    aliases = any(part.alias_info is not None for part in parts)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if aliases else wrapped


class Device(TorchDispatchMode):
    """While it is entered, tensors can be made on ``DEVICE``."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _dispatch(func, args, kwargs or {})


class _Kernel(torch.autograd.Function):
    """A function of the package's, done in one piece: what it does inside is no matter of the host's."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], options: dict[str, Any], *args: Any) -> Any:
        inputs = [x.host.detach().requires_grad_(x.requires_grad) if isinstance(x, OnDevice) else x for x in args]
        with torch.enable_grad(), _disable_current_modes():
            outputs = function(*inputs, **tree_map(_real, options))
        several = isinstance(outputs, tuple)
        ctx.graph = inputs, outputs if several else (outputs,)
        found = tuple(OnDevice(x) for x in ctx.graph[1])
        ctx.mark_non_differentiable(*(new for new, x in zip(found, ctx.graph[1], strict=True) if not x.requires_grad))
        return found if several else found[0]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        inputs, outputs = ctx.graph
        wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
        ends = [x for x in outputs if x.requires_grad]
        slopes = [_real(g) for x, g in zip(outputs, grads, strict=True) if x.requires_grad]
        with _disable_current_modes():
            found = iter(torch.autograd.grad(ends, wanted, slopes, allow_unused=True))
        slopes = [next(found) if any(x is w for w in wanted) else None for x in inputs]
        return (None, None, *(None if x is None else OnDevice(x) for x in slopes))


def kernel(function: Callable[..., Any], reads_back: bool = False) -> Callable[..., Any]:
    """``function`` of CPU tensors as a CUDA kernel: takes tensors on the device only, gives such.

    Args:
        function: differentiable, of CPU tensors; those that need gradients are given by position.
        reads_back: it waits for the device itself.
    """

    def call(*args: Any, **options: Any) -> Any:
        for value in (*args, *options.values()):
            if isinstance(value, Tensor) and not isinstance(value, OnDevice):
                raise RuntimeError(f"{function.__name__}: must be a CUDA tensor")
        if reads_back:
            waits.append(function.__name__)
        return _Kernel.apply(function, options, *args)

    call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return call
