"""The command line answers at once, without torch, and reports every problem in one message."""

import gc
import subprocess
import sys

import pytest

from prereq.runtime import signals
from tests.conftest import REPOSITORY

WITHOUT_TORCH = """
import sys
from prereq.__main__ import main
try:
    main()
except SystemExit as stop:
    code = stop.code
else:
    code = 0
heavy = {"torch", "transformers", "peft", "accelerate", "datasets", "wandb"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


UNTIL_TORCH = """
import os, sys
from prereq.__main__ import main

class Until:
    def find_spec(self, name, *_):
        if name == "torch":
            os.write(2, b"torch")
            os._exit(0)

sys.meta_path.insert(0, Until())
main()
"""


def answer(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("flag", [["--help"], ["--cfg", "job"]])
def test_help_and_cfg_come_without_torch(flag):
    result = answer(*flag)
    assert result.returncode == 0, result.stderr


def test_the_first_line_comes_before_torch_is_imported(tmp_path):
    command = [sys.executable, "-c", UNTIL_TORCH, "stage=cpt", f"output_dir={tmp_path}"]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert result.stderr.split() == ["loading", "PyTorch", "torch"], result.stderr


def test_the_collector_waits_for_imports_and_then_leaves_alone_what_they_made():
    before = gc.get_freeze_count()
    kept = [[] for _ in range(1000)]
    with signals.imports():
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() >= before + len(kept)
    gc.unfreeze()


def test_help_shows_groups_options_and_examples():
    text = answer("--help").stdout
    for group in (
        "stage: ask, cpt, data, eval",
        "dataset:",
        "model:",
        "method:",
        "tracker:",
        "adapter:",
    ):
        assert group in text
    assert text.count("python -m prereq") >= 5
    assert "stage.learning_rate" in text


def test_all_problems_of_the_command_line_in_one_message():
    result = answer("stage.learning_rat=1", "sed=2", "dataset=wrld", "seed=x", "+new=1", "nonsense")
    assert result.returncode == 2
    assert "6 problems" in result.stderr
    for hint in (
        "did you mean stage.learning_rate?",
        "did you mean seed?",
        "did you mean world?",
        "seed=x: must be a whole number",
        "new: no such key",
        "write key=value",
    ):
        assert hint in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=-1", "seed=-1: must be at least 0"),
        ("stage.epochs=0", "stage.epochs=0: must be at least 1"),
        ("stage.learning_rate=nan", "stage.learning_rate=nan: must be a finite number"),
        ("stage.batch_size=5", "must be a multiple of dataset.skill.draw_group=16"),
        ("stage.warmup=1.5", "stage.warmup=1.5: must be from 0 to below 1"),
        ("adapter.skill.r=0", "adapter.skill.r=0: must be at least 1"),
        ("adapter.skill.dropout=1", "adapter.skill.dropout=1.0: must be from 0 to below 1"),
        ("adapter.skill.target_modules=[]", "adapter.skill.target_modules: empty"),
        ("model.dtype=float8", "model.dtype=float8: must be one of auto, float32"),
        ("model.attn_implementation=flash", "must be one of auto, rows, sdpa"),
        ("model.architecture.width=30", "model.architecture.width=30: must be a multiple"),
        ("model.source=hub", "model.path: empty; name a Hub id or a local folder"),
        ("dataset.source=hub", "dataset.path: empty; name a Hub id or a local folder"),
        (
            "dataset.knowledge_objective=distil",
            "must be one of next_token, distillation; did you mean distillation?",
        ),
        ("dataset.distillation.weight=0.5", "set dataset.knowledge_objective=distillation"),
        ("dataset.world.wordings=7", "dataset.world.wordings=7: must be from 1 to 6"),
        ("dataset.world.known=7", "dataset.world.known: no such key"),
        ("knowledge=[fictitious_v]", "did you mean fictitious_v1?"),
        ("stage.prerequisites=mak", "did you mean make?"),
        ("eval.scoring=exact", "eval.scoring=exact: must be one of qa, final_answer, facts"),
        ("eval.max_new_tokens=0", "eval.max_new_tokens=0: must be at least 1"),
        (
            "dataset.knowledge=[]",
            "needs real or fictitious knowledge (passage or statement), but dataset=world",
        ),
        (
            "tracker.name=mlflow",
            "tracker.name=mlflow: must be one of none, wandb, offline, trackio",
        ),
    ],
)
def test_each_bad_value_has_its_message(override, said):
    result = answer(override)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["hydra/launcher=slurm"], "hydra/launcher=slurm: only a sweep has a launcher; add -m"),
        (["-m", "hydra/launcher=slrum"], "did you mean slurm?"),
        (
            ["-m", "hydra/launcher=slurm", "hydra.launcher.partiton=x"],
            "did you mean hydra.launcher.partition?",
        ),
        (
            ["-m", "hydra/launcher=slurm", "hydra.launcher.timeout_min=1d"],
            "hydra.launcher.timeout_min=1d: Value '1d' of type 'str' could not be converted",
        ),
        (["-m", "output_dir=a,b"], "output_dir=a,b: the jobs of a sweep share one output_dir"),
        (["-m", "stage.epochs=interval(1,x)"], "must be a whole number"),
        (["-m", "stage.warmup=interval(0,x)"], "must be a number"),
        (["-m", "stage.epochs=interval(1,5)"], "to draw from an interval add hydra/sweeper=optuna"),
        (["-m", "stage.epoch=interval(1,5)"], "did you mean stage.epochs?"),
        (["-m", "hydra/sweeper=basi"], "hydra/sweeper=basi: there is basic; did you mean basic?"),
    ],
)
def test_each_bad_word_of_a_sweep_has_its_message(overrides, said):
    pytest.importorskip("submitit", reason="needs prereq[slurm]")
    result = answer(*overrides)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_site_file_beside_the_project_adds_to_ours(tmp_path, run_cli):
    pytest.importorskip("submitit", reason="needs prereq[slurm]")
    (tmp_path / "hydra" / "launcher").mkdir(parents=True)
    (tmp_path / "hydra" / "launcher" / "ours.yaml").write_text(
        "defaults: [slurm, _self_]\npartition: gpu\nsetup: [module load cuda]\n"
    )
    asked = ["--config-dir", str(tmp_path), "hydra/launcher=ours", "hydra.launcher.qos=long"]
    result = run_cli(*asked, "--cfg", "hydra", "-p", "hydra.launcher")
    assert result.returncode == 0, result.stderr
    for line in ("partition: gpu", "qos: long", "gpus_per_node: 1", "- module load cuda"):
        assert line in result.stdout


def test_it_works_from_any_folder(tmp_path, run_cli):
    result = run_cli("--cfg", "job", "--package", "dataset", cwd=tmp_path)
    assert result.returncode == 0 and "name: world" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_users_own_config_dir_adds_choices(tmp_path, run_cli):
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text(
        "name: mine\nknowledge: true\nfictitious: true\n"
    )
    result = run_cli("--config-dir", str(tmp_path), "method=mine", "--cfg", "job", "-p", "method")
    assert result.returncode == 0, result.stderr
    assert "name: mine" in result.stdout


def test_the_dataset_picks_its_model_and_the_command_line_wins():
    assert "name: tiny" in answer("--cfg", "job", "-p", "model").stdout
    chosen = answer("model=smollm2_135m", "dataset=popqa", "--cfg", "job", "-p", "model")
    assert chosen.returncode == 0 and "name: smollm2_135m" in chosen.stdout


def test_a_mapping_takes_names_of_the_users_own():
    result = answer("synth.types={place of birth: place, job: category}", "--cfg", "job")
    assert result.returncode == 0, result.stderr
    assert "  types:\n    place of birth: place\n    job: category\n" in result.stdout
    for word, said in {
        "synth.types={job: 3}": "synth.types.job=3: must be a text",
        "synth.types=3": "synth.types=3: must be a mapping",
        "+synth.types.job=place": "synth.types.job: no such key",
    }.items():
        result = answer(word, "--cfg", "job")
        assert result.returncode == 2 and said in result.stderr
