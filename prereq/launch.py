"""`prereq-launch`: the files of `launchers/` as commands, from a wheel as from a clone.

prereq-launch                                     what there is
prereq-launch estimate dataset=popqa              run one, with what follows as its arguments
prereq-launch reproduce/popqa.sh
prereq-launch --path accelerate/fsdp.yaml         where the file is, for accelerate launch
"""

import os
import sys
from pathlib import Path

from prereq.runtime.files import shipped

RUNS = {".py": (sys.executable,), ".sh": ("bash",), "": ("bash",)}


def main() -> None:
    """The command line of `prereq-launch`. Ends with the exit code of what it ran."""
    folder = shipped("launchers")
    words = sys.argv[1:]
    only_path = words[:1] == ["--path"]
    words = words[only_path:]
    if not words or words[0] in ("-h", "--help"):
        print(__doc__.strip(), "", *_table(folder), sep="\n")
        return
    files = {name: file for file in _files(folder) for name in _names(folder, file)}
    file = files.get(words[0])
    if file is None:
        sys.exit(f"prereq-launch {words[0]}: there is {', '.join(dict.fromkeys(map(str, files)))}")
    if only_path:
        print(file)
        return
    if file.suffix not in RUNS:
        sys.exit(f"prereq-launch {words[0]}: not a command; prereq-launch --path {words[0]}")
    command = [*RUNS[file.suffix], str(file), *words[1:]]
    # Scripts say `python`: this one.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.execvpe(command[0], command, os.environ | {"PATH": path})


def _files(folder: Path) -> list[Path]:
    found = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return [f for f in found if "__pycache__" not in f.parts and f.name != "common.sh"]


def _names(folder: Path, file: Path) -> tuple[str, ...]:
    """`estimate.py` is also called `estimate`."""
    name = file.relative_to(folder)
    return str(name), str(name.with_suffix(""))


def _table(folder: Path) -> list[str]:
    """Each file with the first words that it says of itself."""
    lines = []
    for file in _files(folder):
        words = (line.strip('"# ').strip() for line in file.read_text("utf-8").splitlines())
        first = next(line for line in words if line and not line.startswith("!"))
        lines.append(f"  {file.relative_to(folder)!s:24} {first}")
    return lines
