"""How something is trained, and which value wins."""

from dataclasses import dataclass, fields


@dataclass
class Training:
    """How a model or adapter is trained; `None` leaves the value to the layer below (see `layer`)."""

    epochs: int | None = None
    batch_size: int | None = None  # sequences (of a skill: subjects) an optimizer step, global
    learning_rate: float | None = None  # peak; cosine to zero
    weight_decay: float | None = None
    beta2: float | None = None  # AdamW
    warmup: float | None = None  # share of all steps
    max_length: int | None = None  # tokens a row at most; None everywhere: what the longest row has


def layer(base: Training, *changes: Training) -> Training:
    """`base` with every value that a later layer sets; the last layer that sets one wins."""
    values = {f.name: getattr(base, f.name) for f in fields(Training)}
    for change in changes:
        values |= {k: getattr(change, k) for k in values if getattr(change, k) is not None}
    return Training(**values)
