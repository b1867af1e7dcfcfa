"""Files are whole or not there, whatever happens to their writer."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bags.io.atomic import WriteError, explained, replacing, sweep


def write(path: Path, text: str, **options: Any) -> None:
    with replacing(path, **options) as temporary:
        temporary.write_text(text)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_one_whole_file_is_there_between_any_two_renames(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends at the first rename, between the two, and after both."""
    last, previous = tmp_path / "last", tmp_path / "previous"
    for text in ("one", "two"):
        write(last, text, earlier=previous, durable=True)
    assert (last.read_text(), previous.read_text()) == ("two", "one")
    done = []

    def replace(source: Any, target: Any, rename: Any = os.rename) -> None:
        if len(done) == calls:
            raise KeyboardInterrupt  # as a kill at this moment
        done.append(target)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with suppress(KeyboardInterrupt):
            write(last, "three", earlier=previous, durable=True)
    left = [path.read_text() if path.exists() else None for path in (last, previous)]
    assert left == [["two", "one"], [None, "two"], ["three", "two"]][calls]


def test_a_durable_file_is_on_disk_before_old_ones_are_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then a power failure leaves both old files; after it, the folder has the new names."""
    done: list[str] = []

    def replace(source: Any, target: Any, rename: Any = os.rename) -> None:
        rename(source, target)
        done.append(Path(target).name)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "fsync", lambda handle: done.append("folder" if os.path.isdir(handle) else "file"))
    for text in ("one", "two"):
        done.clear()
        write(tmp_path / "last", text, earlier=tmp_path / "previous", durable=True)
    assert done == ["file", "previous", "last", "folder"]


def test_leftovers_of_killed_writers_are_removed_and_those_of_living_ones_kept(tmp_path: Path) -> None:
    (tmp_path / ".hidden.txt").write_text("a user's own")
    code = (
        "import os, sys, pathlib; from bags.io.atomic import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1]) / 'deep/picture.png') as t:\n  t.write_text('half'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(names(tmp_path / "deep")) == 1
    with replacing(tmp_path / "alive.txt") as temporary:
        temporary.write_text("whole")
        assert [path.parent.name for path in sweep(tmp_path)] == ["deep"]
        assert temporary.exists()
    assert names(tmp_path) == {".hidden.txt", "alive.txt", "deep"} and names(tmp_path / "deep") == set()


def test_only_files_are_swept(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    os.mkfifo(tmp_path / ".pipe.part-1")  # opening it would wait for ever
    (tmp_path / ".folder.part-2").mkdir()
    (tmp_path / ".link.part-3").symlink_to(kept)
    (tmp_path / ".dangling.part-4").symlink_to("nowhere")
    before = names(tmp_path)
    assert sweep(tmp_path) == [] and names(tmp_path) == before


def test_without_locks_files_are_written_and_none_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / ".a.part-1").write_text("another machine's")
    monkeypatch.setattr(fcntl, "flock", refused)
    write(tmp_path / "a.txt", "whole")
    assert sweep(tmp_path) == [] and names(tmp_path) == {".a.part-1", "a.txt"}


def test_what_is_swept_is_locked_as_nfs_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There an exclusive lock needs a file that is open for writing."""

    def lock(handle: int, how: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")

    (tmp_path / ".a.part-1").write_text("a killed writer's")
    monkeypatch.setattr(fcntl, "flock", lock)
    assert [path.name for path in sweep(tmp_path)] == [".a.part-1"]


@contextmanager
def small_disk() -> Iterator[None]:
    """No file may become longer than 4 kB: the process's own output neither, so no fixture, which reports outlive."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_is_reported_in_one_line_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    write(path, "short")
    refused = pytest.raises(WriteError, match=r"cannot write .*notes\.txt: File too large; free some space")
    with small_disk(), refused:
        write(path, "long" * 2000)
    assert names(tmp_path) == {"notes.txt"} and path.read_text() == "short"


def test_file_where_a_folder_is_expected(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(WriteError, match="run/notes"):
        write(tmp_path / "run" / "notes.txt", "")


def test_disk_errors_hidden_by_a_library_are_reported(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No space left"), explained(tmp_path):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904 - as torch does
    with pytest.raises(FileNotFoundError), explained(tmp_path):  # not the disk's fault
        (tmp_path / "nowhere").read_text()


def refused(path: Path | str) -> PermissionError:
    return PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_permission_errors_name_the_place(tmp_path: Path) -> None:
    for name in ("run", "run/checkpoints/last.ckpt", "run/../.run.lock", "."):
        place = f" \\({re.escape(str(tmp_path / name))}\\)" if name != "run" else ""
        message = f"cannot write .*run: Permission denied{place}; free some space"
        with pytest.raises(WriteError, match=message), explained(tmp_path / "run"):
            raise refused(tmp_path / name)


def test_write_errors_elsewhere_are_not_attributed_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gsplat compiles at its first call, within the training, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for elsewhere in (tmp_path / ".cache/torch_extensions", b"/root/cache/lock", ".cache/numba"):
        with pytest.raises(PermissionError) as told, explained(Path("outputs/demo")):
            raise refused(os.fsdecode(elsewhere))
        assert told.value.filename == os.fsdecode(elsewhere)
    with (
        pytest.raises(WriteError, match=r"cannot write outputs/demo: .* \(.*demo/a\.png\)"),
        explained(Path("outputs/demo")),
    ):
        raise refused(tmp_path / "outputs/demo/a.png")


def test_handled_write_errors_are_forgotten(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another matter"), explained(tmp_path):
        try:
            raise refused(tmp_path)
        except OSError:
            raise ValueError("another matter") from None
