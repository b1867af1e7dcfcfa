"""Work cut into pieces: every piece once, errors come back."""

from __future__ import annotations

import pytest
import torch

from bags.ops.threads import (
    NUMBERS,
    map_alone,
    piece_count,
    run_pieces,
    suit_torch,
    thread_count,
    torch_threads_by_size,
)


@pytest.mark.parametrize("pieces", [1, 2, 37])
def test_every_piece_runs_once(pieces):
    done: list[tuple[int, int]] = []
    run_pieces(lambda piece, of, into: into.append((piece, of)), pieces, done)
    assert sorted(done) == [(piece, pieces) for piece in range(pieces)]


def test_errors_reach_the_caller():
    def kernel(piece: int, pieces: int) -> None:
        raise ValueError(f"piece {piece}")

    with pytest.raises(ValueError, match="piece"):
        run_pieces(kernel, 8)


def test_piece_count():
    most = 4 * torch.get_num_threads()
    assert [piece_count(n, 100) for n in (0, 99, 200, 10**6)] == [1, 1, 2, most]


def test_tasks_come_back_in_order_each_with_torch_on_one_thread():
    threads = torch.get_num_threads()
    value = torch.ones(1, requires_grad=True)
    try:
        torch.set_num_threads(3)
        done = list(map_alone(lambda item: (item, torch.get_num_threads(), (value * 2).requires_grad), range(20)))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert done == [(item, 1, False) for item in range(20)]


def test_torch_uses_one_thread_for_small_tensors_and_kernels_keep_theirs():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        suit_torch(1, 1, network=False)
        assert torch.get_num_threads() == 3, "nothing changes outside the block"
        used = []
        with torch_threads_by_size():
            for pixels, gaussians, network in (
                (192 * 128, 20_000, False),
                (192 * 128, 20_000, True),
                (300 * 200, 20_000, True),
                (10, 2 * NUMBERS // 3 + 1, False),
                (2 * NUMBERS // 3 + 1, 10, False),
                (10 * NUMBERS, 10, True),
            ):
                suit_torch(pixels, gaussians, network)
                used.append(torch.get_num_threads())
                assert thread_count() == 3
                run_pieces(lambda piece, pieces: None, 3)  # which may create the threads of the kernels
                assert torch.get_num_threads() == used[-1]
        assert used == [1, 1, 3, 2, 2, 3]
        assert torch.get_num_threads() == thread_count() == 3
    finally:
        torch.set_num_threads(before)
