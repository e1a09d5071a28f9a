"""The commands and programs of docs/serving.md as they are written there, those for vLLM aside."""

import json
import re
import shlex
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.servers import transformers_serve

PAGE = (REPOSITORY / "docs" / "serving.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE, re.M | re.S)
SERVE = "transformers serve --host 127.0.0.1 --port 8000"


def commands() -> list[str]:
    lines = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
    return [line for line in lines if not line.startswith("pip ")]


def test_the_page_holds_commands_of_ours_and_of_the_server():
    assert SERVE in commands()
    assert all(c == SERVE or c.startswith("python -m prereq ") for c in commands())


@pytest.mark.slow
def test_the_server_answers_as_the_evaluation_does(run_cli, small_world, tmp_path, monkeypatch):
    """Every held-out question, asked by the page's own client, of the skill and with knowledge in it."""
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi and uvicorn")
    pytest.importorskip("uvicorn")
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(tmp_path)
    world = [*small_world, "eval.max_new_tokens=96"]
    for words in ["stage=eval", *(c.removeprefix("python -m prereq ") for c in commands())]:
        if words != SERVE:
            result = run_cli(*shlex.split(words), *world, cwd=tmp_path)
            assert result.returncode == 0, result.stderr
    log = tmp_path / "log"
    with transformers_serve(None, log, tmp_path) as url:
        page: dict = {}
        for kind, text in BLOCKS:
            if kind == "python":
                exec(text.replace("http://127.0.0.1:8000", url), page)
        (generations,) = tmp_path.glob("outputs/world/tiny/generations/*/generations.jsonl")
        lines = [json.loads(line) for line in generations.read_text().splitlines()]
        last = max(line["epoch"] for line in lines)
        asked = [x for x in lines if (x["split"], x["epoch"]) == ("held_out", last)]
        assert len(asked) == 6
        for line in asked:
            question = re.search(r"Question: (.*)", line["prompt"])[1]
            answer = page["answer"](page["skill"], question).strip()
            assert answer == line["text"], log.read_text()[-2000:]

        # Knowledge and skill joined in one adapter compute what the export with both merged does.
        base = AutoModelForCausalLM.from_pretrained(page["base"])
        joined = PeftModel.from_pretrained(base, "adapters/informed").eval()
        merged = AutoModelForCausalLM.from_pretrained(page["informed"]).eval()
        ids = torch.arange(5, 45)[None]
        with torch.no_grad():
            assert torch.allclose(joined(ids).logits, merged(ids).logits, atol=1e-4)


@pytest.mark.slow
def test_the_harness_takes_base_and_export(run_cli, small_world, tmp_path):
    """docs/harness.md: its own task, offline, by its own commands."""
    pytest.importorskip("lm_eval", reason="pip install 'prereq[lm-eval]'")
    page = (REPOSITORY / "docs" / "harness.md").read_text("utf-8")
    blocks = dict(re.findall(r"^```(bash|yaml)\n(.*?)^```", page, re.M | re.S))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "world_text.yaml").write_text(blocks["yaml"])
    first, _, loop = blocks["bash"].partition("\n")
    words = shlex.split(first.removeprefix("python -m prereq "))
    assert run_cli(*words, *small_world, cwd=tmp_path).returncode == 0
    python = shlex.quote(sys.executable)
    loop = loop.replace("lm_eval run", f"{python} -m lm_eval run --seed 0")
    result = subprocess.run(["bash", "-ec", loop], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    found = re.findall(r"world_text.*word_perplexity\|↓ *\| *([\d.]+)", result.stdout)
    assert len(found) == 2 and len(set(found)) == 2, result.stdout
