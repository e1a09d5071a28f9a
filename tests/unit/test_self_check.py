"""What is told apart by the self-check: rounding, which grows with depth, and faults."""

import pytest
import torch

from prereq.model.self_check import Unfit, compare, fault, probe_rows, rounded_anew
from tests.conftest import llama as tiny_model


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


def test_rounding_is_measured_without_leaving_a_trace():
    model = tiny_model().to(torch.bfloat16)
    ids = torch.tensor([[3, 4, 5, 6, 7]])
    with torch.no_grad():
        before = model(ids).logits
        with rounded_anew(model, torch.bfloat16):
            within = model(ids).logits
        after = model(ids).logits
    moved = float((within - before).norm() / before.norm())
    assert 1e-3 < moved < 0.1
    assert torch.equal(before, after)


def test_the_probe_is_made_of_rows_two_of_which_begin_alike():
    rows = [[1, 2, 3], list(range(10, 30))]
    for number in range(5):
        found = probe_rows(tiny_model(), rows, number)
        assert [len(row) for row in found] == [7, 7, 7]
        assert found[0][:3] == found[1][:3]
        assert all(row[0] in (1, 10) for row in found)


@pytest.mark.parametrize(
    ("dtype", "wrong", "tried", "refused"),
    [
        (torch.float32, 1, 1, True),
        (torch.bfloat16, 1, 2, False),  # one row hung on rounding
        (torch.bfloat16, 5, 5, True),
    ],
)
def test_with_16_bits_one_of_several_probes_has_to_agree(dtype, wrong, tried, refused):
    seen = []

    def check(probe):
        seen.append(probe)
        if len(seen) <= wrong:
            raise Unfit(f"number {len(seen)}")

    found = fault(tiny_model().to(dtype), [[1, 2, 3], list(range(10, 30))], check)
    assert len(seen) == tried and (str(found) == "number 1" if refused else found is None)
