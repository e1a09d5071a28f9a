"""What is logged of each optimizer step, without making the step wait for the host."""

import time
from collections.abc import Sequence

import psutil
import torch

from prereq import ranks
from prereq.data.batches import padding, split
from prereq.data.tokens import Example
from prereq.track import Tracker

_PROCESS = psutil.Process()


class StepLog:
    """Losses wait on the device and are fetched together: on a GPU once a second, else at once."""

    def __init__(self, tracker: Tracker, terms: Sequence[str], first: int, blocks: int | None):
        """`blocks`: tokens a forward, where attention pads rows to blocks; None where it does not."""
        self.tracker, self.terms, self.blocks = tracker, terms, blocks
        self.every = 1.0 if torch.cuda.is_available() else 0.0  # seconds
        self.waiting: list[tuple[int, torch.Tensor, dict]] = []
        self.tokens, self.fresh, self.note = 0, 0, ""
        self.started = self.flushed = time.monotonic()
        if ranks.first():
            tracker.resume(first)

    def add(
        self,
        step: int,
        loss: torch.Tensor,
        norm: torch.Tensor,
        sums: torch.Tensor,
        learning_rate: float,
        examples: Sequence[Example],
    ) -> None:
        """`sums`: [2, terms], the summed token losses of each term and their number."""
        self.fresh += sum(len(example.row.ids) for example in examples)
        share = padding(split(examples, self.blocks)) if self.blocks else 0.0
        known = {"learning_rate": learning_rate, "padding": share, "memory_gib": _memory()}
        self.waiting.append((step, torch.cat([loss[None], norm[None], *sums]), known))
        if time.monotonic() - self.flushed >= self.every:
            self.flush()

    def flush(self) -> None:
        """Write down what waits."""
        if self.waiting and ranks.first():
            numbers = torch.stack(
                [row for _, row, _ in self.waiting]
            ).tolist()  # waits for the device
            now = time.monotonic()
            speed = self.fresh / (now - self.flushed)
            for (step, _, known), (loss, norm, *sums) in zip(self.waiting, numbers, strict=True):
                values = {"loss": loss, "grad_norm": norm, "tokens_per_second": speed} | known
                half = len(self.terms)
                for name, total, count in zip(self.terms, sums[:half], sums[half:], strict=True):
                    if count and name != "text":
                        values[f"loss/{name}"] = total / count
                self.tracker.log(step, values)
            self.tokens += self.fresh
            self.note = f"loss {numbers[-1][0]:.3f}  {self.tokens / self.seconds():,.0f} tok/s"
            self.flushed, self.fresh = now, 0
        self.waiting.clear()

    def seconds(self) -> float:
        return time.monotonic() - self.started


def _memory() -> float:
    """GiB: the most that was allocated on the GPU, or what this process holds."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return _PROCESS.memory_info().rss / 2**30
