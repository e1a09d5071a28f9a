"""A knowledge LoRA taught by the base with a context: the loss, both engines, what is learnt when."""

import math
import random

import pytest
import torch
import torch.nn.functional as F

from prereq.data.tokens import Example, TokenRow
from prereq.model.head import context_distillation
from prereq.model.memory import checkpoint_activations
from prereq.model.numerics import ROWS
from prereq.training.distillation import Text, distillation_plan, taught
from prereq.training.objectives import text_step
from prereq.training.packed import PackedLM
from prereq.training.padded import PaddedLM
from tests.conftest import llama
from tests.invariant import oracle

ROUTE = ("k",)


def test_the_loss_is_the_divergence_from_the_teacher_and_the_next_token_in_their_shares():
    ours, theirs, target = [0.5, 0.25, 0.25], [0.25, 0.5, 0.25], 2
    divergence = 0.25 * math.log(0.25 / 0.5) + 0.5 * math.log(0.5 / 0.25)  # from the teacher
    logits = torch.tensor([ours, ours, ours]).log() + 3  # a constant changes nothing
    logits.requires_grad_(True)
    shares = torch.tensor([1.0, 0.5, 0.0])
    found = context_distillation(
        logits, torch.tensor([theirs] * 3).log(), torch.tensor([target] * 3), shares
    )
    expected = [divergence, 0.5 * divergence + 0.5 * math.log(4), math.log(4)]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    found.sum().backward()
    goal = torch.tensor([theirs, [0.125, 0.25, 0.625], [0.0, 0.0, 1.0]])
    assert torch.allclose(logits.grad, torch.tensor([ours] * 3) - goal, atol=1e-6)


def subjects(count: int = 5, seed: int = 0) -> list[list[Text]]:
    """Subjects of two to seven random texts, each `<bos>text<eos>`."""
    rng = random.Random(seed)

    def text() -> Text:
        ids = [rng.randint(4, 255) for _ in range(rng.randint(1, 9))]
        return Text(TokenRow([1, *ids, 2], 1), [*ids, 3])

    return [[text() for _ in range(rng.randint(2, 7))] for _ in range(count)]


def plan(of: list[list[Text]], share: float = 1.0, **changes):
    settings = {"begin": 1, "batch_size": 8, "epochs": 2, "seed": 1, "context": 30} | changes
    return distillation_plan(of, route=ROUTE, share=share, **settings)


def engine(kind: str, model, examples: list[Example], budget: int):
    """Its loss and the gradients of adapter k, over packs of `budget` tokens."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".k." in name)
        parameter.grad = None
    lm = (PackedLM if kind == "packed" else PaddedLM)(model).train()
    total = 0.0
    for rows in lm.packs(examples, budget):
        loss, _ = lm(lm.layout(rows, torch.device("cpu"), ("text",)))
        loss.backward()
        total += float(loss.detach())
    trained = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
    assert trained and all(".k." in name for name in trained)
    return total, trained


def by_hand(model, examples: list[Example]) -> torch.Tensor:
    """The loss of the module's docstring, row by row, by plain forwards."""

    def logits(row: TokenRow) -> torch.Tensor:
        return model(input_ids=torch.tensor([row.ids])).logits[0, row.start - 1 : -1]

    total = torch.zeros(())
    for e in examples:
        with torch.no_grad(), model.disable_adapter():
            theirs = logits(e.teacher).softmax(-1)
        model.base_model.set_adapter(list(e.route))
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(".k." in name)
        ours = logits(e.row).log_softmax(-1)
        divergence = (theirs * (theirs.log() - ours)).sum(-1)
        right = F.nll_loss(ours, torch.tensor(e.row.ids[e.row.start :]), reduction="none")
        total = total + e.weight * (e.taught * divergence + (1 - e.taught) * right).sum()
    return total


@pytest.mark.parametrize(
    "kind, recomputed", [("packed", False), ("packed", True), ("padded", True)]
)
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_both_engines_compute_the_loss_and_its_gradient(kind, recomputed, share):
    examples = plan(subjects(), share).step(0)
    assert len({str(e.teacher.ids[:4]) for e in examples}) < len(examples)  # some share a context
    model = oracle.peft_model(llama(), {"other": 2, "k": 4}, 5)
    model.zero_grad()
    expected = by_hand(model, examples)
    expected.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if ".k." in n}
    for budget in (60, 4096):
        attention = ROWS if kind == "packed" else "sdpa"
        model = oracle.peft_model(llama(attention), {"other": 2, "k": 4}, 5)
        if (
            recomputed
        ):  # with a teacher's forward in between, the routes must be the student's again
            checkpoint_activations(model.get_base_model())
        loss, found = engine(kind, model, examples, budget)
        assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
        assert found.keys() == gradients.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["packed", "padded"])
def test_nothing_is_learnt_from_a_teacher_that_reads_no_more_than_the_student(kind):
    rows = [text.row for texts in subjects() for text in texts]
    examples = [
        Example(row, ROUTE, "text", 0.1, teacher=taught(row, [], 1), taught=1.0) for row in rows
    ]
    model = oracle.peft_model(llama(ROWS if kind == "packed" else "sdpa"), {"k": 4}, 5)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    loss, gradients = engine(kind, model, examples, 100)
    assert abs(loss) < 1e-5
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) < 1e-5


def test_each_text_is_learnt_once_an_epoch_and_never_read_by_its_own_teacher():
    of = subjects(seed=3)
    laid_out = plan(of, share=0.4, context=14)
    owner = {tuple(text.row.ids): texts for texts in of for text in texts}
    contexts = []
    for epoch in range(2):
        first = epoch * laid_out.steps_per_epoch
        steps = [laid_out.step(first + i) for i in range(laid_out.steps_per_epoch)]
        examples = [e for step in steps for e in step]
        assert sorted(e.row.ids for e in examples) == sorted(map(list, owner))
        for step in steps:  # a mean over the labels of the step, as for the next token
            assert {e.weight for e in step} == {text_step([e.row for e in step], ROUTE)[0].weight}
        for e in examples:
            context = e.teacher.ids[1 : len(e.teacher.ids) - len(e.row.ids) + 1]
            assert [1, *context, *e.row.ids[1:]] == e.teacher.ids
            assert e.teacher.labels == e.row.labels and e.taught == 0.4
            assert 0 < len(context) <= 14 and context[-1] == 3
            others = [t.told for t in owner[tuple(e.row.ids)] if t.row.ids != e.row.ids]
            while context:
                said, context = context[: context.index(3) + 1], context[context.index(3) + 1 :]
                assert said in others
        contexts.append({tuple(e.row.ids): tuple(e.teacher.ids) for e in examples})
        again = plan(of, share=0.4, context=14).step(first)
        assert again == steps[0]  # a resumed run sees what an uninterrupted one does
    assert contexts[0] != contexts[1]
    longest = max(len(e.teacher.ids) for i in range(laid_out.steps) for e in laid_out.step(i))
    assert max(len(row.ids) for row in laid_out.rows) >= longest
