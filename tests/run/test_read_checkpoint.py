from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from bags.errors import DataError
from bags.run.checkpoint_io import AtomicCheckpointIO, read_checkpoint


class Code:
    """Leaves a mark where it is unpickled by whoever runs code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def saved(path: Path, **changes: Any) -> Path:
    torch.save({"state_dict": {"means": torch.arange(300.0)}, "global_step": 3, "callbacks": {}, **changes}, path)
    return path


def test_it_reads_what_was_written(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt")
    for read in (read_checkpoint, AtomicCheckpointIO().load_checkpoint):
        found = read(path)
        assert found["global_step"] == 3 and torch.equal(found["state_dict"]["means"], torch.arange(300.0))


def test_every_flipped_byte_of_the_numbers_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt")
    data = path.read_bytes()
    numbers = torch.arange(300.0).numpy().tobytes()
    begin = data.index(numbers)
    for place in range(begin, begin + len(numbers), 97):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DataError, match=r"a\.ckpt: damaged in record .*data/0"):
            read_checkpoint(path)


@pytest.mark.parametrize("old_format", [False, True])
def test_code_in_it_does_not_run(old_format: bool, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save(
        {"state_dict": {"x": Code(mark)}, "global_step": 0}, tmp_path / "a.ckpt",
        _use_new_zipfile_serialization=not old_format,
    )  # fmt: skip
    with pytest.raises(DataError, match=r"a\.ckpt: not a checkpoint"):
        read_checkpoint(tmp_path / "a.ckpt")
    assert not mark.exists()
    torch.load(tmp_path / "a.ckpt", weights_only=False)
    assert mark.exists()  # it would have


def test_another_pickle_protocol_is_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "global_step": 0, "x": torch.zeros(2)}, tmp_path / "a.ckpt", pickle_protocol=4)
    with pytest.raises(DataError, match=r"a\.ckpt: not a checkpoint: it contains STACK_GLOBAL"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_packed_records_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt")
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    assert torch.load(path, weights_only=True)["global_step"] == 3  # torch would
    with pytest.raises(DataError, match=r"a\.ckpt: not a checkpoint: its records are compressed"):
        read_checkpoint(path)


def test_files_that_no_training_wrote(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for changes, message in [
        ({"state_dict": {"means": torch.tensor([1.0, float("nan")])}}, "means contains non-finite values"),
        ({"state_dict": {"means": torch.tensor([1.0, float("inf")])}}, "means contains non-finite values"),
        ({"state_dict": {"means": torch.zeros(1).expand(2**38)}}, "means .*fewer than stated"),
        ({"state_dict": {"means": torch.ones(3).to_sparse()}}, "it contains .*_rebuild_sparse_tensor"),
        ({"state_dict": {"means": torch.ones(3).to("meta")}}, "it contains .*meta"),
        ({"state_dict": {"means": torch.ones(3).to(torch.float8_e5m2)}}, "it contains .*[fF]loat8"),
        ({"callbacks": {"x": bytearray(10)}}, "it contains .*bytearray"),
        ({"state_dict": {"means": torch.ones(3, dtype=torch.complex64)}}, "it contains torch ComplexFloatStorage"),
        ({"state_dict": [1]}, "its step is 3 and its state a list"),
        ({"global_step": -1}, "its step is -1"),
        ({"global_step": "../../x"}, "its step is '../../x'"),
        ({"global_step": True}, "its step is True"),
        ({"global_step": 10**30}, "its step is 1000"),
    ]:
        path = saved(tmp_path / "a.ckpt", **changes)
        message = rf"a\.ckpt: (not a checkpoint: )?{message}"
        with subtests.test(message), pytest.raises(DataError, match=message):
            read_checkpoint(path)


def test_a_small_file_cannot_ask_for_memory(tmp_path: Path) -> None:
    """``bytearray(10**9)``, of which torch's ``weights_only`` makes a gigabyte."""
    path = saved(tmp_path / "a.ckpt", callbacks="here")
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    bomb = b"cbuiltins\nbytearray\n(J" + (10**9).to_bytes(4, "little") + b"tR"
    plain = b"X\x04\x00\x00\x00here"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            assert plain in data or not name.endswith("data.pkl")
            archive.writestr(name, data.replace(plain, bomb))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="it contains builtins bytearray"):
        read_checkpoint(path)


def test_other_files(tmp_path: Path, subtests: pytest.Subtests) -> None:
    path = tmp_path / "a.ckpt"
    for data in (b"", b"not a checkpoint", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(data)
        with subtests.test(data), pytest.raises(DataError, match=r"a\.ckpt: not a checkpoint, or damaged"):
            read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(DataError, match=r"a\.ckpt: not a checkpoint"):
        read_checkpoint(path)


def test_input_that_is_not_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("folder", "endless", "missing"):
        with pytest.raises(DataError, match=f"{name}: no such checkpoint"):
            read_checkpoint(tmp_path / name)
