"""Trackio by its real client: what its own database on disk says of each run."""

import json
import os
import socket
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from prereq.config.schema import export as schema
from prereq.errors import Preempted
from tests.configs import composed
from tests.tracked_job import job, values

# Not imported here: it reads its folder when it is imported.
pytestmark = pytest.mark.skipif(find_spec("trackio") is None, reason="needs prereq[trackio]")


class Recorded:
    """One run of a project's database: its rows as (step, values), its configuration, its alerts."""

    def __init__(self, folder: Path, name: str):
        file = sqlite3.connect(folder / "trackio" / "prereq.db")
        found = file.execute(
            "select run_id, step, metrics from metrics where run_name = ? order by step", (name,)
        ).fetchall()
        self.ids = {run for run, *_ in found}
        self.rows = [(step, json.loads(text)) for _, step, text in found]
        configs = file.execute("select config from configs where run_name = ?", (name,)).fetchall()
        self.configs = [json.loads(text) for (text,) in configs]
        self.alerts = [
            title
            for (title,) in file.execute("select title from alerts where run_name = ?", (name,))
        ]
        file.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    """Where the jobs of this process log: Trackio reads its folder when it is imported, so here anew."""
    folder = tmp_path_factory.mktemp("jobs")
    for name in [name for name in sys.modules if name.partition(".")[0] == "trackio"]:
        del sys.modules[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(folder / "trackio"))
        yield folder


@pytest.fixture(scope="module")
def made(run_cli, small_world, tmp_path_factory) -> Path:
    """The output folder of one method in a small world, tracked, and the report."""
    folder = tmp_path_factory.mktemp("tracked")
    words = [*small_world, "dataset.methods=[prereq_tune]", "stage.processes=1", "tracker=trackio"]
    result = run_cli(*words, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "untracked" not in result.stderr and "rackio" not in result.stdout
    said = result.stderr.splitlines()
    shown = f"TRACKIO_DIR={folder / 'outputs' / 'trackio'} trackio show --project prereq"
    assert said[-1].strip() == f"to see  {shown}"
    assert [line for line in said if "trackio show" in line] == said[-1:]
    return folder / "outputs"


def test_every_artifact_is_a_run_with_its_config_and_history(made):
    folders = [file.parent for file in made.glob("world/tiny/*/*/manifest.json")]
    assert len(folders) == 1 + 3 + 1 + 1 + 1
    for folder in folders:
        run = Recorded(made, folder.name)
        assert len(run.ids) == len(run.configs) == 1 and run.alerts == []
        whole = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        assert {key: run.configs[0][key] for key in whole} == whole
        assert run.configs[0]["artifact"]["kind"] == folder.parent.name
        assert run.configs[0]["_Group"] == "world/tiny"
        if (file := folder / "metrics.jsonl").exists():
            for (step, found), line in zip(run.rows, _lines(file), strict=False):
                assert step == line.pop("step")
                assert found == pytest.approx(line, abs=1e-6)
        manifest = json.loads((folder / "manifest.json").read_text())
        assert run.rows[-1][1]["seconds"] == manifest["seconds"]
    (skill,) = made.glob("world/tiny/skill/*")
    used = Recorded(made, skill.name).configs[0]["uses"]
    assert {Path(path).parent.name for path in used} == {"data", "base", "knowledge"}


def test_scores_answers_and_the_picture_can_be_seen(made):
    (folder,) = made.glob("world/tiny/scores/*")
    logged = {k: v for _, row in Recorded(made, folder.name).rows for k, v in row.items()}
    for row in json.loads((folder / "scores.json").read_text())["scores"]:
        name = "/".join(filter(None, (row["split"], row["metric"], row["knowledge"])))
        assert logged[name] == pytest.approx(row["value"])
    answers = _lines(folder / "answers.jsonl")
    shown = logged["answers"]["_value"]
    assert {row["answer"] for row in shown} == {line["answer"] for line in answers}
    assert list(made.glob("trackio/media/prereq/report-*/*/*.png"))


def test_a_resumed_run_is_one_run_with_every_step_once(place):
    with pytest.raises(Preempted):
        job(place, "sft", "trackio", 30, stop=20)  # and its checkpoint was at step 12
    (folder,) = place.glob("world/tiny/skill/.sft-*")
    name = folder.name.removeprefix(".").removesuffix(".partial")
    stopped = Recorded(place, name)
    assert [step for step, _ in stopped.rows] == list(range(20)) and stopped.alerts == ["stopped"]
    job(place, "sft", "trackio", 30, first=12)
    run = Recorded(place, name)
    assert len(run.ids) == 1 and run.ids != stopped.ids and run.alerts == []
    assert run.rows[:-1] == [
        (step, pytest.approx(values("sft", step), abs=1e-6)) for step in range(30)
    ]
    assert run.rows[-1][1]["steps"] == 30


def test_runs_at_once_lose_nothing(tmp_path):
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.tracked_job"])
    names = [f"method_{i}" for i in range(4)]
    with ProcessPoolExecutor(4, context) as pool:
        folders = list(pool.map(_job, [tmp_path] * 4, names))
    for name, folder in zip(names, folders, strict=True):
        rows = Recorded(tmp_path, folder).rows
        assert rows[:-1] == [(step, pytest.approx(values(name, step))) for step in range(100)]


def _job(folder: Path, name: str) -> str:
    return Path(job(folder, name, "trackio", 100).path).name


def test_nothing_goes_to_the_network_even_with_a_token_of_the_hub(place, monkeypatch):
    asked = []
    monkeypatch.setenv("HF_TOKEN", "hf_a_token_that_is_none")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", lambda self, place: asked.append(place))
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: asked.append(host) or [])
    artifact = job(place, "alone", "trackio", 3)
    assert len(Recorded(place, Path(artifact.path).name).rows) == 4
    assert asked == []
    from huggingface_hub import constants

    assert constants.HF_HUB_OFFLINE is False  # as it was: other requests are none of ours


@pytest.mark.parametrize("name", ["TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"])
def test_an_environment_that_would_send_runs_away_is_refused(place, name, monkeypatch, capsys):
    monkeypatch.setenv(name, "me/space")
    artifact = job(place, name, "trackio", 3)
    said = " ".join(capsys.readouterr().err.split())
    assert f"Trackio failed (PrereqError: {name} is set" in said and "the work goes on" in said
    made = (place / "trackio" / "prereq.db").exists()  # by another test of this process
    assert not made or Recorded(place, Path(artifact.path).name).rows == []
    assert len((Path(artifact.path) / "metrics.jsonl").read_text().splitlines()) == 3


def test_keys_that_would_do_nothing_are_refused(monkeypatch):
    config = composed("tracker=trackio")
    assert schema.problems(config) == []
    config.tracker.entity, config.tracker.upload = "team", False
    owner, upload = schema.problems(config)
    assert owner.startswith("tracker.entity=team") and upload.startswith("tracker.upload=false")
    monkeypatch.setattr(schema, "find_spec", lambda name: None)
    missing, *_ = schema.problems(config)
    assert missing == "tracker=trackio needs the package trackio: pip install 'prereq[trackio]'"


@pytest.fixture(autouse=True)
def _no_folder_of_another_test():
    yield  # what a job has set, a later command would inherit
    os.environ.pop("TRACKIO_DIR", None)


def _lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_trackio_that_was_imported_for_another_folder_is_refused(place, monkeypatch, capsys):
    job(place, "before", "trackio", 3)
    monkeypatch.setenv("TRACKIO_DIR", str(place / "elsewhere"))
    job(place, "elsewhere", "trackio", 3)
    said = " ".join(capsys.readouterr().err.split())
    assert "imported before its folder was set" in said and "the work goes on" in said
