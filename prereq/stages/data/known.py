"""What the base model knows of training rows: by the data's own column, or by a probe that was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prereq.artifacts import store
from prereq.data.rows import SkillRow
from prereq.errors import PrereqError
from prereq.evaluation.familiarity import Familiarity
from prereq.runtime.files import read_lines
from prereq.stages.specs import Specs, familiarity

FILE = "known.jsonl"  # of a probe
Place = tuple[str, int]  # a row's file and number


def shares(specs: Specs, rows: Sequence[SkillRow]) -> dict[Place, float]:
    """The share, in [0, 1], in which the base knows each real row; {} where the method need not know it.

    It is a part between 0 and 1 for a soft gate alone. Before the base is probed, while rows are
    checked, all count as known. Raises PrereqError where the data should say it and do not.
    """
    method, data = specs.config.method, specs.config.dataset
    real = [row for row in rows if not row.fictitious]
    if not method.known_only and not method.gate:
        return {}
    if not familiarity.needed(specs.config):
        lacking = [row.place for row in real if row.known is None]
        if lacking:
            raise PrereqError(
                f"method={method.name}: every real row of dataset={data.name} needs the column known (0 or "
                f"1), which {len(lacking)} of {len(real)} lack ({', '.join(lacking[:3])}); add it, or set "
                "dataset.known=probe to ask the base model, or choose another method"
            )
        return {(row.file, row.number): float(bool(row.known)) for row in real}
    probed = _probed(specs)
    if probed is None:
        return {(row.file, row.number): 1.0 for row in real}
    if method.gate == "soft":
        return {place: (told.greedy + told.sampled) / 2 for place, told in probed.items()}
    return {place: float(told.known) for place, told in probed.items()}


def _probed(specs: Specs) -> dict[Place, Familiarity] | None:
    """What the probes say of each row; None where one is not made yet."""
    found = {}
    for split in familiarity.needed(specs.config):
        artifact = store.find(familiarity.probe(specs, split))
        if artifact is None:
            return None
        for line in read_lines(Path(artifact.path) / FILE, f"remove {artifact.path}"):
            found[line["file"], line["row"]] = Familiarity(line["greedy"], line["sampled"])
    return found
