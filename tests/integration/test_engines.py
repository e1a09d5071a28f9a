"""The other engines behind `stage=eval`: the padded one, and a real server."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.integration.test_paper_tasks import task
from tests.servers import peer, refused, transformers_serve


def overrides(place: Path) -> list[str]:
    mine = [*task(place, "popqa"), "method=sft", "stage=eval", "dataset.skill.training.epochs=2"]
    return [override for override in mine if not override.startswith("stage.")]


def said(run_cli, place: Path, *more: str) -> list[dict]:
    before = set(place.glob("outputs/**/generations/*"))
    result = run_cli(*overrides(place), *more, cwd=place)
    assert result.returncode == 0, result.stderr
    (made,) = set(place.glob("outputs/**/generations/*")) - before
    rows = [json.loads(line) for line in (made / "generations.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in ("split", "prompt", "text", "ended")} for row in rows]


@pytest.fixture(scope="module")
def expected(run_cli, place) -> list[dict]:
    return said(run_cli, place)


def test_the_padded_engine_says_the_same(run_cli, place, expected):
    """`model.generate` with the adapter applied by PEFT; the skill is the padded engine's own."""
    assert said(run_cli, place, "stage.engine=padded") == expected


@pytest.mark.slow
def test_a_server_says_the_same(run_cli, place, expected, tmp_path):
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi and uvicorn")
    pytest.importorskip("uvicorn")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (skill,) = (
        manifest.parent
        for manifest in place.glob("outputs/popqa/hf/skill/sft-*/manifest.json")
        if "engine" not in json.loads(manifest.read_text())["content"]
    )
    base = AutoModelForCausalLM.from_pretrained(place / "llama")
    PeftModel.from_pretrained(base, str(skill)).merge_and_unload().save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(place / "llama").save_pretrained(tmp_path)
    log = tmp_path / "log"
    with transformers_serve(tmp_path, log) as url:
        served = [f"eval.server={url}", f"eval.served_as={tmp_path}", "eval.requests=2"]
        found = said(run_cli, place, "eval.engine=server", *served)
        texts = [row["text"] for row in found]
        assert texts == [row["text"] for row in expected], log.read_text()[-2000:]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_does_not_wait_for_a_server(place, expected, number, code):
    def answer(body, _):
        time.sleep(60)
        return refused(500, "too late")

    with peer(answer) as there:
        served = ["eval.engine=server", f"eval.server={there.url}", "eval.served_as=m"]
        command = [sys.executable, "-m", "prereq", *overrides(place), *served]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        job = subprocess.Popen(
            command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 100
        while not there.requests and time.monotonic() < deadline and job.poll() is None:
            time.sleep(0.05)
        began = time.monotonic()
        job.send_signal(number)
        err = job.communicate(timeout=50)[1]
        assert job.returncode == code and time.monotonic() - began < 10, err
        assert there.requests and "Traceback" not in err and "the same command" in err


def test_a_server_that_is_not_there_is_one_clear_error(run_cli, place):
    more = ["eval.engine=server", "eval.server=http://127.0.0.1:9", "eval.served_as=x"]
    result = run_cli(*overrides(place), *more, cwd=place)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "eval.server=http://127.0.0.1:9" in result.stderr
