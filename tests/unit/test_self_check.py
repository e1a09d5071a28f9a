"""What is told apart by the self-check: rounding, which grows with depth, and faults."""

import pytest
import torch

from prereq.model.self_check import Unfit, compare, probe_rows, rounded_anew


def off_by(share: float) -> torch.Tensor:
    """Four rows of length 1, each off by `share` in a direction of its own."""
    return torch.eye(4, 8) + share * torch.eye(4, 8).roll(4, 1)


@pytest.mark.parametrize(
    ("dtype", "difference", "rounding", "passes"),
    [
        (torch.bfloat16, 0.09, 0.0, True),
        (torch.bfloat16, 0.15, 0.06, True),  # a deep model amplifies rounding
        (torch.bfloat16, 0.15, 0.04, False),
        (torch.bfloat16, 0.4, 0.3, False),  # faults of attention and positions are as large
        (torch.float16, 0.05, 0.02, True),
        (torch.float32, 0.01, 0.01, False),
    ],
)
def test_a_difference_is_held_against_the_rounding_measured(dtype, difference, rounding, passes):
    expected = off_by(0)
    try:
        compare("states", off_by(difference), expected, dtype, lambda: off_by(rounding))
    except Unfit as unfit:
        assert not passes and "rounding is up to" in str(unfit)
    else:
        assert passes


def test_rounding_is_measured_without_leaving_a_trace(tiny_llama):
    model = tiny_llama().to(torch.bfloat16)
    ids = torch.tensor([[3, 4, 5, 6, 7]])
    with torch.no_grad():
        before = model(ids).logits
        with rounded_anew(model, torch.bfloat16):
            within = model(ids).logits
        after = model(ids).logits
    moved = float((within - before).norm() / before.norm())
    assert 1e-3 < moved < 0.1
    assert torch.equal(before, after)


def test_the_probe_is_made_of_rows_two_of_which_begin_alike(tiny_llama):
    rows = [[5], [1, 2, 3], list(range(10, 30))]
    found = probe_rows(tiny_llama(), rows)
    assert [len(row) for row in found] == [7, 7, 7]
    assert found[0] == [10, 11, 12, 13, 14, 15, 16]
    assert found[1] == [10, 11, 12, 1, 2, 3, 1] and found[2] == [5] * 7
