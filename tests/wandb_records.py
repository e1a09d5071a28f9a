"""Reads W&B's own record of a run, the file that `wandb sync` uploads.

A `.wandb` file is a LevelDB log, blocks of 32 KiB with records cut into fragments, of protobuf
messages; the client's own messages parse them. (It ships no reader of its own.)
"""

import json
import struct
import time
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
    """Every record under an output folder, in the order in which the runs started.

    W&B's service writes the end of a run a moment after `finish` has returned, so wait for that.
    """
    deadline = time.monotonic() + 10
    while True:
        found = [read(file) for file in (outputs / "wandb").glob("*run-*/*.wandb")]
        if all(r.exit_code is not None for r in found) or time.monotonic() > deadline:
            return sorted(found, key=lambda r: r.run.start_time.ToNanoseconds())
        time.sleep(0.02)


def _records(data: bytes) -> Iterator[bytes]:
    assert data[:4] in (b":W&B", b""), "not a .wandb file"
    position, parts = HEADER, []
    while position + HEADER <= len(data):
        room = BLOCK - position % BLOCK
        if room < HEADER:  # the rest of a block too short for a fragment
            position += room
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        if position + HEADER + length > len(data):
            return  # still being written
        fragment = data[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if kind in (WHOLE, FIRST):
            parts = []
        parts.append(fragment)
        if kind in (WHOLE, LAST):
            yield b"".join(parts)
