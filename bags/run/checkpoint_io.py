"""Checkpoint files: proved whole, read without running anything in them, and written so that one always is there.

A checkpoint is the ZIP archive that ``torch.save`` makes: every record carries its CRC-32, so that a file tells by
itself whether it is whole, wherever it was copied to. torch writes these sums but does not compare them: we do.

``last.ckpt`` is written in this order, and each step leaves a whole checkpoint behind whenever the process is killed:
the new file is written under a temporary name and flushed to the disk; ``last.ckpt`` is renamed ``previous.ckpt``; the
new file is renamed ``last.ckpt``; the folder is flushed. Until the first rename both old files are there; between the
two there is no ``last.ckpt``, and ``previous.ckpt`` is taken; after the second, both are new. The temporary file that
is left over is removed when a training next begins in the folder.
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
# All that a checkpoint of ours names. torch's own list is longer: a few bytes of it can ask for any amount of memory.
KNOWN = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage"
    for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint file holds, checked; nothing in it is executed.

    Returns:
        ``state_dict`` (finite tensors and plain values), ``global_step`` and what else the training wrote.

    Raises:
        DataError: no file that ``torch.save`` wrote, damaged (every record's checksum is compared, as torch does not),
            packed (a small file could unpack to gigabytes), with other objects than tensors and plain values, or no
            state of a model.
    """
    if not path.is_file():  # nor a device, which zipfile would read for ever
        raise DataError(f"{path}: no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
                raise DataError(
                    f"{path}: not a checkpoint: its records are compressed, and those of a checkpoint never are"
                )
            if broken := archive.testzip():
                raise DataError(f"{path}: damaged in record {broken}; use an earlier checkpoint")
            if strange := _strange(archive):
                raise DataError(f"{path}: not a checkpoint: it contains {strange}, and ours never do")
        saved = torch.load(path, map_location="cpu", weights_only=True)
        state, step = saved["state_dict"], saved["global_step"]
    except BagsError:
        raise
    except Exception as error:  # of a damaged file anything may come
        reason = f"{type(error).__name__}: {str(error).split('. ')[0]}"
        raise DataError(f"{path}: not a checkpoint, or damaged ({reason}); use another one") from error
    if type(step) is not int or not 0 <= step < 10**9 or not isinstance(state, dict):
        raise DataError(f"{path}: not a checkpoint: its step is {shown(step)}, its state a {type(state).__name__}")
    for name, value in state.items():
        if isinstance(value, Tensor) and not _is_sound(value):
            raise DataError(f"{path}: {name} contains non-finite values, or fewer than stated")
    return dict(saved)


def _strange(archive: zipfile.ZipFile) -> str:
    """``module name`` of all that unpickling the archive would call beyond what is ``KNOWN``; empty: nothing."""
    named: set[str] = set()
    for record in archive.infolist():
        if record.filename.endswith("data.pkl"):
            with archive.open(record) as stream:
                named |= {str(word or op.name) for op, word, _ in pickletools.genops(stream) if "GLOBAL" in op.name}
    return ", ".join(sorted(named - KNOWN))


def _is_sound(tensor: Tensor) -> bool:
    """Finite, and as large as it says: a few bytes can claim to be a terabyte of the same number."""
    stored = tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    return stored and bool(torch.isfinite(tensor).all())


class Saved:
    """A checkpoint that was read and checked, for all who need it in this process: it is read once.

    Attributes:
        path: of its file.
        step: that it was written after.
        contents: what ``read_checkpoint`` said; None once it has been handed over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.contents: dict[str, Any] | None = read_checkpoint(path)
        self.step = int(self.contents["global_step"])

    def handed_over(self) -> dict[str, Any]:
        """The contents, which are let go of here; read anew where they were handed over before."""
        contents, self.contents = self.contents, None
        return read_checkpoint(self.path) if contents is None else contents


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's way to a checkpoint file, both ways.

    Args:
        saved: the checkpoint to go on from, as far as it was read already.
    """

    def __init__(self, saved: Saved | None = None) -> None:
        super().__init__()
        self._saved = saved

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """What ``read_checkpoint`` says, on the CPU: Lightning brings it to where it belongs."""
        if self._saved is not None and Path(path) == self._saved.path:
            return self._saved.handed_over()
        return read_checkpoint(Path(path))

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``; the ``last.ckpt`` before it stays as ``previous.ckpt``.

        Raises:
            BagsError: the state holds NaN or infinity, or what could not be read back, or the disk did not take it;
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
                if strange := _strange(archive):  # of a stranger's callback
                    raise BagsError(
                        f"{path} was not written: its state contains {strange}; allowed are tensors, numbers, text,"
                        " lists and dicts; earlier checkpoints are kept"
                    )


def not_finite(state: Any, name: str = "") -> list[str]:
    """Names of the tensors in nested containers that hold NaN or infinity."""
    if isinstance(state, Tensor):
        return [] if not state.is_floating_point() or bool(state.isfinite().all()) else [name]
    if isinstance(state, Mapping):
        parts = list(state.items())
    else:
        parts = list(enumerate(state)) if isinstance(state, (list, tuple)) else []
    return [bad for key, part in parts for bad in not_finite(part, f"{name}.{key}" if name else str(key))]
