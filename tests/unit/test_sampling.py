"""The choice of the next token, apart from any model."""

import pytest
import torch

from prereq.evaluation.sampling import greedy, sampler, until

LOGITS = torch.tensor([[0.0, 3.0, 1.0, -2.0], [2.0, 2.0, -1.0, 0.5]])
CPU = torch.device("cpu")


def test_greedy_takes_the_likeliest_token_of_equals_the_first_and_its_log_probability():
    tokens, logs = greedy(LOGITS.clone())
    assert tokens.tolist() == [1, 0]
    expected = LOGITS.log_softmax(-1)
    assert torch.allclose(logs, torch.stack([expected[0, 1], expected[1, 0]]))


def test_samples_follow_the_distribution_at_the_temperature():
    choose = sampler(0.7, 1.0, seed=1, device=CPU)
    tokens, logs = choose(LOGITS[:1].expand(20_000, -1).clone())
    found = torch.bincount(tokens, minlength=4) / len(tokens)
    assert torch.allclose(found, (LOGITS[0] / 0.7).softmax(-1), atol=0.01)
    # What the model gives it, not what temperature makes of that.
    assert torch.allclose(logs, LOGITS[0].log_softmax(-1)[tokens])


def test_top_p_leaves_the_likeliest_tokens_that_hold_so_much():
    rows = LOGITS[1:].expand(5_000, -1).clone()  # 0.43, 0.43, 0.02, 0.1
    assert set(sampler(1.0, 0.8, 1, CPU)(rows.clone())[0].tolist()) == {0, 1}
    assert set(sampler(1.0, 0.95, 1, CPU)(rows.clone())[0].tolist()) == {0, 1, 3}


@pytest.mark.parametrize("how", [(1e-4, 1.0), (1.0, 1e-6)])
def test_cold_or_narrow_it_is_greedy(how):
    logits = torch.randn(50, 300, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampler(*how, 3, CPU)(logits.clone())[0], greedy(logits.clone())[0])


def test_until_takes_the_end_for_every_token_with_which_an_answer_ends():
    logits = torch.tensor([[0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0], [0.0, 0.0, 0.0, 9.0]])
    usual, logs = greedy(logits.clone())
    tokens, same = until(greedy, [1, 2], end=0)(logits.clone())
    assert (usual.tolist(), tokens.tolist()) == ([1, 2, 3], [0, 0, 3])
    assert torch.equal(logs, same)
    assert until(greedy, [], end=0)(logits.clone())[0].tolist() == [1, 2, 3]
