"""What is logged of each optimizer step, without making the step wait for the host."""

import math
import time
from collections.abc import Sequence

import psutil
import torch

from prereq.data.tokens import Example
from prereq.runtime import ranks
from prereq.tracking.metrics import Tracker

_PROCESS = psutil.Process()


class StepLog:
    """Losses wait on the device and are fetched together: on a GPU once a second, else at once."""

    def __init__(self, tracker: Tracker, terms: Sequence[str], start: int):
        self.tracker, self.terms = tracker, terms
        self.every = 1.0 if torch.cuda.is_available() else 0.0  # seconds
        self.waiting: list[tuple[int, torch.Tensor, dict, Sequence[Example]]] = []
        self.broken = ""  # what of a step is not finite, once one is
        self.tokens, self.fresh, self.note = 0, 0, ""
        self.started = self.flushed = time.monotonic()
        if ranks.is_main():
            tracker.resume(start)

    def add(
        self,
        step: int,
        loss: torch.Tensor,
        norm: torch.Tensor,
        sums: torch.Tensor,
        learning_rate: float,
        examples: Sequence[Example],
        padding: float,
    ) -> None:
        """`sums`: [2, terms], the summed token losses of each term and their number."""
        self.fresh += sum(len(example.row.ids) for example in examples)
        known = {"learning_rate": learning_rate, "padding": padding, "memory_gib": _memory()}
        numbers = torch.cat([loss[None], norm[None], *sums])
        self.waiting.append((step, numbers, known, examples))
        if time.monotonic() - self.flushed >= self.every:
            self.flush()

    def flush(self) -> None:
        """Write down what waits, up to the first step whose numbers are not finite."""
        if not self.waiting:
            return
        fetched = torch.stack([numbers for _, numbers, *_ in self.waiting]).tolist()  # waits
        now = time.monotonic()
        speed = self.fresh / (now - self.flushed)
        for (step, _, known, examples), (loss, norm, *sums) in zip(
            self.waiting, fetched, strict=True
        ):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                rows = sorted({example.row.number for example in examples})
                shown = ", ".join(map(str, rows[:20])) + (", …" if len(rows) > 20 else "")
                numbers = f"loss {loss} and gradient norm {norm}"
                self.broken = f"step {step} (from 0) has {numbers}; its rows are {shown}"
                break
            values = {"loss": loss, "grad_norm": norm, "tokens_per_second": speed} | known
            half = len(self.terms)
            for name, total, count in zip(self.terms, sums[:half], sums[half:], strict=True):
                if count and name != "text":
                    values[f"loss/{name}"] = total / count
            if ranks.is_main():
                self.tracker.log(step, values)
        self.tokens += self.fresh
        self.note = f"loss {fetched[-1][0]:.3f}  {self.tokens / self.seconds():,.0f} tok/s"
        self.flushed, self.fresh = now, 0
        self.waiting.clear()

    def seconds(self) -> float:
        return time.monotonic() - self.started


def _memory() -> float:
    """GiB: the most that was allocated on the GPU, or what this process holds."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return _PROCESS.memory_info().rss / 2**30
