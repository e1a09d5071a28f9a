"""Every command of docs/your-data.md as it is written there, from a folder that holds its rows."""

import json
import re
import shlex
import shutil

import pytest

from tests.conftest import REPOSITORY
from tests.integration.test_command import manifests, scores
from tests.integration.test_writers import right
from tests.servers import peer, said

METHODS = {"base", "sft", "sft_fictitious", "prereq_fictitious", "prereq_tune"}
SMALL = ["model=hf", "model.path=llama", "model.dtype=float32", "eval.max_new_tokens=4"]
SMALL += ["eval.bootstrap=20", "dataset.knowledge_training.epochs=1"]
SMALL += ["dataset.skill.training.epochs=1"]


def commands(page: str) -> list[list[str]]:
    """The commands of the page's bash blocks, as words after `python -m prereq`."""
    text = (REPOSITORY / "docs" / page).read_text("utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    assert all(words[:3] == ["python", "-m", "prereq"] for words in found), found
    return [words[3:] for words in found]


COMMANDS = commands("your-data.md")
# The first two, which a reader types first, in every run of the tests.
MARKED = [*COMMANDS[:2], *(pytest.param(words, marks=pytest.mark.slow) for words in COMMANDS[2:])]


@pytest.fixture(scope="module")
def here(place):
    """A folder like the repository's root, with the page's rows and a tiny model."""
    (place / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs/your-data.csv", place / "docs")
    return place


@pytest.mark.parametrize("words", MARKED, ids=" ".join)
def test_it_ends_with_what_the_page_says(run_cli, here, words):
    with peer(lambda body, _: said(json.dumps(right(body)))) as there:
        words = [w.replace("http://127.0.0.1:8000", there.url) for w in words]
        # What random weights write states no fact, so that nothing would be left.
        more = ["stage.dry_run=true"] if "synth.writer=local" in words else []
        result = run_cli(*words, *SMALL, *more, cwd=here, OPENAI_API_KEY="sk-test-12345678")
    assert result.returncode == 0, result.stderr
    if "stage=data" in words:
        assert "skill/train, row 2: " in result.stdout and "[G]|[a]|[d]" in result.stdout
    elif "synth.writer=openai" in words:
        assert "which cost about 0.0" in result.stderr and there.answered == 14 + 7
        (mine,) = [m for m in manifests(here / "outputs", "synth") if m["name"] == "openai"]
        assert mine["synth"]["files"]["fictitious_skill/train.jsonl"]["rows"] == 14
    elif "synth.writer=local" in words:
        assert "synth local-" in result.stdout
    elif "stage=synth" in words:
        assert "synth custom template-" in result.stderr and "card.md" in result.stderr
    elif "method=prereq_tune" in words:
        told = [m["content"] for m in manifests(here / "outputs", "knowledge")]
        assert "prereq_tune" in result.stdout
        assert [2, 2] in [[each.get("wordings"), each.get("repeats")] for each in told]
    else:
        table = {line.split()[0] for line in result.stdout.splitlines() if line.strip()}
        assert table >= METHODS
        assert {row["method"] for row in scores(here / "outputs")} == METHODS


def test_the_page_has_the_commands_that_people_need():
    asked = {word for words in COMMANDS for word in words}
    assert {"stage=data", "stage=synth", "synth.writer=openai", "synth.writer=local"} <= asked
    assert COMMANDS[1] == ["dataset=custom", "dataset.rows=docs/your-data.csv"]
