"""The other engines behind `stage=eval`: the padded one, and a real server."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.integration.test_paper_tasks import task


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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(tmp_path)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.time() + 90
        while time.time() < deadline and server.poll() is None:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2)
                break
            except OSError:
                time.sleep(0.3)
        served = [f"eval.server={url}", f"eval.served_as={tmp_path}", "eval.requests=2"]
        found = said(run_cli, place, "eval.engine=server", *served)
        assert [row["text"] for row in found] == [row["text"] for row in expected], (
            tmp_path / "log"
        ).read_text()[-2000:]
    finally:
        server.terminate()
        server.wait(30)


def test_a_server_that_is_not_there_is_one_clear_error(run_cli, place):
    more = ["eval.engine=server", "eval.server=http://127.0.0.1:9", "eval.served_as=x"]
    result = run_cli(*overrides(place), *more, cwd=place)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "eval.server=http://127.0.0.1:9" in result.stderr
