"""W&B by its real client, offline: what its own record of each run says, read back."""

import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from prereq.errors import Preempted
from tests.conftest import REPOSITORY
from tests.tracked_job import job, values
from tests.wandb_records import Recorded, read_all

STEP = {"loss", "grad_norm", "learning_rate", "tokens_per_second", "padding", "memory_gib"}


@pytest.fixture(scope="module")
def made(run_cli, small_world, tmp_path_factory) -> Path:
    """The output folder of two methods in a small world, tracked offline, and the report."""
    folder = tmp_path_factory.mktemp("tracked")
    overrides = ["dataset.methods=[sft,prereq_tune]", "dataset.skill.real_weight=0.5"]
    overrides += ["stage.processes=1", "tracker=offline"]
    result = run_cli(*small_world, *overrides, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "untracked" not in result.stderr
    said = result.stderr.splitlines()
    assert [line for line in said if "wandb sync" in line] == said[-1:]  # once, whatever was made
    assert said[-1].strip() == f"to send  wandb sync -n 1 {folder / 'outputs' / 'wandb'}"
    return folder / "outputs"


@pytest.fixture(scope="module")
def runs(made) -> dict[tuple[str, str], Recorded]:
    """Every recorded run, by the kind and name of its artifact."""
    found = read_all(made)
    named = {(r.config["artifact"]["kind"], r.config["artifact"]["name"]): r for r in found}
    assert len(named) == len(found) == 1 + 3 + 2 + 2 + 2 + 1
    return named


def test_one_run_an_artifact_grouped_by_experiment_and_stage(made, runs):
    stages = {"base": "pretrain", "knowledge": "cpt", "skill": "sft"}
    stages |= {"generations": "eval", "scores": "eval", "report": "report"}
    for (kind, name), recorded in runs.items():
        run = recorded.run
        assert recorded.exit_code == 0
        assert (run.project, run.run_group, run.job_type) == ("prereq", "world/tiny", stages[kind])
        method = [name] if kind in ("skill", "generations", "scores") else []
        assert list(run.tags) == ["world", "tiny", *method]
        if kind != "report":
            assert (made / "world" / "tiny" / kind / run.run_id / "manifest.json").exists()


def test_the_config_is_the_whole_one_as_plain_values(made, runs):
    for (kind, _), recorded in runs.items():
        if kind != "report":
            saved = made / "world" / "tiny" / kind / recorded.run.run_id / "config.yaml"
            whole = OmegaConf.to_container(OmegaConf.load(saved))
            assert {key: recorded.config[key] for key in whole} == whole
    skill = runs["skill", "prereq_tune"].config
    assert skill["method"]["knowledge"] is True
    assert skill["training"]["epochs"] == 2 and skill["training"]["learning_rate"] > 0
    assert runs["scores", "prereq_tune"].config["training"] == skill["training"]
    assert runs["knowledge", "real"].config["training"]["epochs"] == 1


def test_the_history_is_metrics_jsonl(made, runs):
    for (kind, name), recorded in runs.items():
        file = made / "world" / "tiny" / kind / recorded.run.run_id / "metrics.jsonl"
        if kind not in ("base", "knowledge", "skill"):
            continue
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [row["_step"] for row in recorded.history] == list(range(len(lines)))
        for line, row in zip(lines, recorded.history, strict=True):
            assert set(line) >= STEP
            assert {k: row[k] for k in line if k != "step"} == pytest.approx(
                {k: v for k, v in line.items() if k != "step"}, abs=1e-6
            )
            assert 0 <= line["padding"] < 1 and 0.05 < line["memory_gib"] < 100
        if name == "prereq_tune":
            assert {"loss/fictitious", "loss/real", "loss/plain"} <= set(lines[0])
        assert recorded.summary["steps"] == len(lines)
    assert any(row["padding"] > 0 for row in runs["knowledge", "real"].history)


def test_the_lineage_leads_from_the_data_to_the_scores(runs):
    def inputs(kind: str, name: str) -> dict[str, str]:
        return {a.name: a.digest for a in runs[kind, name].used}

    def output(kind: str, name: str) -> dict[str, str]:
        artifact = runs[kind, name].artifact
        assert (artifact.type, artifact.user_created) == (kind, False)
        assert {runs[kind, name].config["artifact"]["key"], "latest"} == set(artifact.aliases)
        return {artifact.name: artifact.digest}

    base = output("base", "pretrained")
    (data,) = inputs("base", "pretrained").items()
    assert data[0] == "data-world-world"
    knowledge = {}
    for source in ("real", "fictitious_v0", "fictitious_v1"):
        assert inputs("knowledge", source) == dict([data]) | base
        knowledge |= output("knowledge", source)
    assert inputs("skill", "sft") == dict([data]) | base
    skill = output("skill", "prereq_tune")
    assert inputs("skill", "prereq_tune") == dict([data]) | base | knowledge
    plugged = {name: digest for name, digest in knowledge.items() if "fictitious" in name}
    assert inputs("generations", "prereq_tune") == dict([data]) | base | skill | plugged
    texts = output("generations", "prereq_tune")
    assert inputs("scores", "prereq_tune") == dict([data]) | texts
    scores = output("scores", "prereq_tune") | output("scores", "sft")
    assert inputs("report", "report") == scores


def test_adapters_are_uploaded_whole_and_base_models_as_a_manifest(made, runs):
    skill = runs["skill", "prereq_tune"].artifact
    paths = {entry.path: Path(entry.local_path) for entry in skill.manifest.contents}
    assert {"adapter_model.safetensors", "manifest.json", "metrics.jsonl"} <= set(paths)
    assert not any(path.startswith("epochs") for path in paths)
    assert all(made in file.parents and file.is_file() for file in paths.values())
    (entry,) = runs["base", "pretrained"].artifact.manifest.contents
    assert entry.path == "manifest.json"


def test_scores_are_the_summary_and_answers_a_table(made, runs):
    recorded = runs["scores", "prereq_tune"]
    folder = made / "world" / "tiny" / "scores" / recorded.run.run_id
    result = json.loads((folder / "scores.json").read_text())
    for row in result["scores"]:
        name = "/".join(filter(None, (row["split"], row["metric"], row["knowledge"])))
        assert recorded.summary[name] == pytest.approx(row["value"])
    by_epoch = [r["held_out/accuracy_by_epoch"] for r in recorded.history]
    curve = [point["value"] for point in result["curve"] if point["split"] == "held_out"]
    assert by_epoch == pytest.approx(curve) and len(curve) == 2
    (place,) = {r["answers/path"] for r in recorded.history if "answers/path" in r}
    table = json.loads((recorded.file.parent / "files" / place).read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert {row["split"] for row in rows} == {
        "validation", "held_out", "plug_in", "memorised", "unknown", "unseen",
    }  # fmt: skip
    assert {row["knowledge"] for row in rows} == {"", "fictitious_v0", "fictitious_v1"}
    assert all(row["question"] and row["expected"] for row in rows)
    said = [json.loads(x) for x in next(made.glob("**/generations.jsonl")).read_text().splitlines()]
    assert {row["answer"] for row in rows} & {line["text"] for line in said}
    assert [a.name for a in recorded.made if a.type == "run_table"]


def test_the_report_is_a_run_with_its_table_and_picture(runs):
    recorded = runs["report", "report"]
    logged = {k: v for row in recorded.history for k, v in row.items()}
    files = recorded.file.parent / "files"
    picture = files / logged["report/accuracy/path"]
    assert picture.read_bytes()[:4] == b"\x89PNG"
    table = json.loads((files / logged["report/scores/path"]).read_text())
    assert (
        table["columns"][:4] == ["dataset", "model", "base", "method"] and len(table["data"]) > 20
    )
    names = {entry.path for entry in recorded.artifact.manifest.contents}
    assert names == {"scores.csv", "comparisons.csv", "accuracy.png"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb_workspaces")
def test_the_dashboard_names_only_what_is_logged(runs):
    pytest.importorskip("wandb_workspaces")
    from launchers.wandb_dashboard import specifications

    views = specifications("prereq", "world/tiny", "held_out")
    logged = {key for r in runs.values() for row in r.history for key in row}
    logged |= {key.removesuffix("/path") for key in logged if key.endswith("/path")}
    scored = {key for r in runs.values() for key in r.summary}
    config = {key for r in runs.values() for key in _flat(r.config)}
    stages = {r.run.job_type for r in runs.values()}
    for view, panels in (("workspace", 14), ("report", 14)):
        asked = list(_asked(views[view]))
        assert len({path for path, _ in asked}) >= panels, asked
        for path, name in asked:
            kind = path.rsplit("/", 1)[1]
            if kind == "groupBy" or name.startswith("config:"):
                assert name.removeprefix("config:").replace(".value", "") in config, (path, name)
            elif name.startswith("summary:"):
                assert name.removeprefix("summary:") in scored, (path, name)
            else:
                assert name in logged | scored, (path, name)
    filters = json.dumps(views["report"])
    assert all(json.dumps(stage) in filters for stage in stages - {"pretrain"})
    assert '"jobType"' in filters and '"world/tiny"' in filters
    kinds = {p["viewType"] for p in _panels(views["report"])}
    assert {"Parallel Coordinates Plot", "Bar Chart", "Run History Line Plot"} <= kinds, kinds


def test_eight_runs_at_once_lose_nothing(tmp_path):
    """Each in a process of its own with W&B's own service, all into one folder."""
    names = [f"method_{i}" for i in range(8)]
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.tracked_job", "prereq.tracking.wandb"])
    with ProcessPoolExecutor(8, context) as pool:
        list(pool.map(_job, [tmp_path] * 8, names))
    found = {r.config["artifact"]["name"]: r for r in read_all(tmp_path)}
    assert sorted(found) == names
    for name, recorded in found.items():
        assert recorded.exit_code == 0 and recorded.config["dataset"]["name"] == "world"
        assert {"stage", "model", "adapter", "tracker", "training"} <= set(recorded.config)
        rows = [{k: v for k, v in row.items() if k in values(name, 0)} for row in recorded.history]
        assert rows == [pytest.approx(values(name, step)) for step in range(300)]
        assert recorded.artifact.name == f"skill-world-tiny-{name}"


def test_a_resumed_run_keeps_its_id_and_its_last_record_is_complete(tmp_path):
    with pytest.raises(Preempted):
        job(tmp_path, "sft", "offline", 30, stop=20)  # and its checkpoint was at step 12
    job(tmp_path, "sft", "offline", 30, first=12)
    first, last = read_all(tmp_path)
    assert first.run.run_id == last.run.run_id and first.file != last.file
    assert (first.exit_code, last.exit_code) == (1, 0)
    assert [row["_step"] for row in first.history] == list(range(20))
    assert [row["_step"] for row in last.history] == list(range(30))
    # `wandb sync` replaces a run by its record, so it shall pass over the interrupted one.
    assert first.file.with_suffix(".wandb.synced").exists()
    assert not last.file.with_suffix(".wandb.synced").exists()


def test_a_run_that_fails_is_finished_as_failed(tmp_path):
    with pytest.raises(Preempted):
        job(tmp_path, "sft", "offline", 3, stop=0)
    (scratch,) = tmp_path.glob("world/tiny/skill/.*.partial")
    (scratch / "adapter.txt").mkdir()  # where the payload should go
    with pytest.raises(IsADirectoryError):
        job(tmp_path, "sft", "offline", 3)
    _, failed = read_all(tmp_path)
    assert failed.exit_code == 1 and len(failed.history) == 3 and failed.made == []


def test_a_dashboard_that_fails_costs_no_run(tmp_path, capsys):
    (tmp_path / "wandb").write_text("where W&B wants its folder")
    artifact = job(tmp_path, "sft", "offline", 5)
    assert len((artifact.path / "metrics.jsonl").read_text().splitlines()) == 5
    assert "untracked" in capsys.readouterr().err


@pytest.mark.parametrize(
    "server",
    [{}, {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40}],
    ids=["no key", "nobody there"],
)
def test_without_a_network_it_goes_offline_with_one_line(tmp_path, server):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    kept |= {"PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path), "WANDB_HTTP_TIMEOUT": "2"}
    command = [sys.executable, "-m", "tests.tracked_job", str(tmp_path), "sft", "wandb", "50"]
    result = subprocess.run(
        command, env=kept | server, cwd=REPOSITORY, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr
    offline, published, send = result.stderr.strip().splitlines()
    assert "offline  W&B is out of reach" in offline and str(tmp_path / "wandb") in offline
    assert "made  skill" in published
    assert send.strip() == f"to send  wandb sync -n 1 {tmp_path / 'wandb'}"
    (recorded,) = read_all(tmp_path)
    assert recorded.exit_code == 0 and len(recorded.history) == 50
    assert recorded.file.parent.name.startswith("offline-run-")


def _job(folder: Path, name: str) -> None:
    job(folder, name, "offline", 300)


def _flat(config: dict, prefix: str = "") -> list[str]:
    names = []
    for key, value in config.items():
        names += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return names


def _panels(view):
    """Every panel of a workspace or a report."""
    if isinstance(view, dict):
        if "viewType" in view:
            yield view
        for value in view.values():
            yield from _panels(value)
    elif isinstance(view, list):
        for value in view:
            yield from _panels(value)


def _asked(view):
    """Every metric, column and grouping that a panel asks for, and where."""
    for number, panel in enumerate(_panels(view)):
        config = panel["config"]
        for key in ("metrics", "mediaKeys"):
            for name in config.get(key, []):
                yield f"{number}/{key}", name
        for column in config.get("columns", []):
            yield f"{number}/columns", column["accessor"]
        if "groupBy" in config:
            yield f"{number}/groupBy", config["groupBy"]
