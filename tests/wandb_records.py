"""Reads W&B's own record of a run, the file that `wandb sync` uploads.

A `.wandb` file is a LevelDB log, blocks of 32 KiB with records cut into fragments, of protobuf
messages; the client's own messages parse them. (It ships no reader of its own.)
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from wandb.proto import wandb_internal_pb2 as messages

BLOCK, HEADER = 32768, 7
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class Recorded:
    """What one `.wandb` file says."""

    file: Path
    run: messages.RunRecord = field(default_factory=messages.RunRecord)
    config: dict = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    made: list[messages.ArtifactRecord] = field(default_factory=list)
    used: list[messages.ArtifactRecord] = field(default_factory=list)
    exit_code: int | None = None  # None: the run never finished

    @property
    def artifact(self) -> messages.ArtifactRecord:
        """The one that the run is about, not the tables that W&B keeps as artifacts too."""
        (artifact,) = [a for a in self.made if a.type != "run_table"]
        return artifact


def read(file: Path) -> Recorded:
    """Everything that a test asks of a record."""
    found = Recorded(file)
    for data in _records(file.read_bytes()):
        record = messages.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= {i.key: json.loads(i.value_json) for i in record.run.config.update}
        elif kind == "config":
            found.config |= {i.key: json.loads(i.value_json) for i in record.config.update}
        elif kind == "history":
            items = {
                "/".join(i.nested_key) or i.key: json.loads(i.value_json)
                for i in record.history.item
            }
            found.history.append({"_step": record.history.step.num} | items)
        elif kind == "summary":
            found.summary |= {
                "/".join(i.nested_key) or i.key: json.loads(i.value_json)
                for i in record.summary.update
            }
        elif kind == "artifact":
            (found.used if record.artifact.use_after_commit else found.made).append(record.artifact)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def read_all(outputs: Path) -> list[Recorded]:
    """Every record under an output folder, in the order in which the runs started."""
    return [read(file) for file in sorted((outputs / "wandb").glob("*run-*/*.wandb"))]


def _records(data: bytes) -> Iterator[bytes]:
    assert data[:4] == b":W&B", "not a .wandb file"
    position, parts = HEADER, []
    while position + HEADER <= len(data):
        room = BLOCK - position % BLOCK
        if room < HEADER:  # the rest of a block too short for a fragment
            position += room
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        fragment = data[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if kind in (WHOLE, FIRST):
            parts = []
        parts.append(fragment)
        if kind in (WHOLE, LAST):
            yield b"".join(parts)
