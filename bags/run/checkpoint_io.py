"""Checkpoint files: verified, loaded without executing code, and written so that an intact one always exists.

A checkpoint is the ZIP archive that ``torch.save`` writes. Every record has a CRC-32, so a damaged file can be
recognised wherever it was copied. torch writes these checksums but does not verify them, so this module does.

``last.ckpt`` is written in an order that leaves an intact checkpoint whenever the process is killed:

1. The new file is written under a temporary name and flushed to disk. Until then both old files exist.
2. ``last.ckpt`` is renamed to ``previous.ckpt``, which is used while there is no ``last.ckpt``.
3. The new file is renamed to ``last.ckpt``, and the folder is flushed.

A temporary file that is left over is removed when the next training starts in the folder.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from bags.errors import BagsError, DataError, shown
from bags.io.atomic import replacing

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
# All names in our checkpoints. torch's own list is longer and has entries with which a few bytes allocate any amount of
# memory.
KNOWN = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage"
    for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The verified content of a checkpoint file; nothing in it is executed.

    Returns:
        ``state_dict`` (finite tensors and plain values), ``global_step`` and what else the training saved.

    Raises:
        DataError: the file was not written by ``torch.save``, is damaged (a record's checksum is wrong), is compressed
            (a small file could expand to gigabytes), contains other objects than tensors and plain values, or has no
            state of a model.
    """
    if not path.is_file():  # zipfile would read a device forever
        raise DataError(f"{path}: no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
                raise DataError(f"{path}: not a checkpoint: its records are compressed, unlike those of checkpoints")
            if broken := archive.testzip():
                raise DataError(f"{path}: damaged in record {broken}; use an earlier checkpoint")
            if strange := _strange(archive):
                raise DataError(f"{path}: not a checkpoint: it contains {strange}, which checkpoints never do")
        saved = torch.load(path, map_location="cpu", weights_only=True)
        state, step = saved["state_dict"], saved["global_step"]
    except BagsError:
        raise
    except Exception as error:  # a damaged file may raise many kinds
        reason = f"{type(error).__name__}: {str(error).split('. ')[0]}"
        raise DataError(f"{path}: not a checkpoint, or damaged ({reason}); use another one") from error
    if type(step) is not int or not 0 <= step < 10**9 or not isinstance(state, dict):
        raise DataError(f"{path}: not a checkpoint: its step is {shown(step)} and its state a {type(state).__name__}")
    for name, value in state.items():
        if isinstance(value, Tensor) and not _is_sound(value):
            raise DataError(f"{path}: {name} contains non-finite values, or fewer than stated; use another checkpoint")
    return dict(saved)


def _strange(archive: zipfile.ZipFile) -> str:
    """Everything beyond ``KNOWN`` that unpickling the archive would call, as ``module name``; empty if nothing."""
    named: set[str] = set()
    for record in archive.infolist():
        if record.filename.endswith("data.pkl"):
            with archive.open(record) as stream:
                named |= {str(word or op.name) for op, word, _ in pickletools.genops(stream) if "GLOBAL" in op.name}
    return ", ".join(sorted(named - KNOWN))


def _is_sound(tensor: Tensor) -> bool:
    """Whether it is finite and stores all its elements: a few bytes can claim to be a terabyte of the same number."""
    stored = tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    return stored and bool(torch.isfinite(tensor).all())


class Saved:
    """A checkpoint that was read and verified once, for all users in this process.

    Attributes:
        path: of its file.
        step: after which it was written.
        contents: result of ``read_checkpoint``; None once it has been handed over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.contents: dict[str, Any] | None = read_checkpoint(path)
        self.step = int(self.contents["global_step"])

    def handed_over(self) -> dict[str, Any]:
        """The contents, to which no reference is kept here; read again if they were handed over before."""
        contents, self.contents = self.contents, None
        return read_checkpoint(self.path) if contents is None else contents


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lets Lightning save and load checkpoints by the rules of this module.

    Args:
        saved: the checkpoint to resume from, if it was read already.
    """

    def __init__(self, saved: Saved | None = None) -> None:
        super().__init__()
        self._saved = saved

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """The result of ``read_checkpoint``, on the CPU; Lightning moves it to the device."""
        if self._saved is not None and Path(path) == self._saved.path:
            return self._saved.handed_over()
        return read_checkpoint(Path(path))

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``; an earlier ``last.ckpt`` is kept as ``previous.ckpt``.

        Raises:
            BagsError: the state contains NaN or infinity, or objects that could not be loaded again, or writing failed;
                earlier files stay.
        """
        path = Path(path)
        if bad := not_finite(checkpoint):
            raise BagsError(
                f"{path} was not written: NaN or infinity in {', '.join(bad[:4])}; earlier checkpoints are kept"
            )
        earlier = path.with_name(PREVIOUS) if path.name == LAST else None
        with replacing(path, earlier, durable=True) as temporary:
            with open(temporary, "wb") as file:
                torch.save(checkpoint, file)
            with zipfile.ZipFile(temporary) as archive:
                if strange := _strange(archive):  # from a user's callback
                    raise BagsError(
                        f"{path} was not written: its state contains {strange}; allowed are tensors, numbers, text,"
                        " lists and dicts; earlier checkpoints are kept"
                    )


def not_finite(state: Any, name: str = "") -> list[str]:
    """Names of the tensors in nested containers that contain NaN or infinity."""
    if isinstance(state, Tensor):
        return [] if not state.is_floating_point() or bool(state.isfinite().all()) else [name]
    if isinstance(state, Mapping):
        parts = list(state.items())
    else:
        parts = list(enumerate(state)) if isinstance(state, (list, tuple)) else []
    return [bad for key, part in parts for bad in not_finite(part, f"{name}.{key}" if name else str(key))]
