"""A user's own rows, from the file to the report, by the real command line on a tiny model."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.integration.test_command import manifests, scores

CHATML = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
FIRST = ["Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Ida", "Jon", "Kay"]
LAST = ["Moss", "Lind", "Tarn", "Wren", "Holt", "Vale", "Finch", "Roy", "Hart", "Bloom"]
TOWNS = ["Lyon", "Turin", "Graz", "Cork", "Riga", "Bern", "Oslo", "Genoa", "Porto", "Ghent"]
RECIPE = ["eval.max_new_tokens=6", "eval.bootstrap=50", "model.dtype=float32"]


@pytest.fixture
def mine(place, tmp_path) -> Path:
    """A folder with a user's rows in `rows.csv`, a recipe of eight lines, and a model for chat."""
    with open(tmp_path / "rows.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["q", "answers", "subject"])
        for i in range(12):
            writer.writerow(
                [f"Where was person {i} born?", json.dumps([f"City {i}"]), f"Person {i}"]
            )
            writer.writerow([f"Where does person {i} live?", f"City {i}", f"Person {i}"])
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/mine.yaml").write_text(
        "defaults:\n"
        "  - custom\n"
        "  - _self_\n"
        "name: mine\n"
        "rows: rows.csv\n"
        "columns: {question: q}\n"
        "methods: [base, sft]\n"
        "skill: {training: {epochs: 2, batch_size: 8}}\n"
    )
    shutil.copytree(place / "llama", tmp_path / "llama")
    settings = json.loads((tmp_path / "llama/tokenizer_config.json").read_text())
    settings["chat_template"] = CHATML
    (tmp_path / "llama/tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path


def test_a_recipe_of_eight_lines_trains_and_compares(run_cli, mine):
    command = ["--config-dir", "conf", "dataset=mine", "model=hf", "model.path=llama", *RECIPE]
    result = run_cli(*command, cwd=mine)
    assert result.returncode == 0, result.stderr
    assert "skill/train: max_length is " in result.stderr
    rows = scores(mine / "outputs")
    assert {(r["method"], r["changes"]) for r in rows} == {
        (m, "eval.max_new_tokens=6, model.dtype=float32, model.path=llama") for m in ("base", "sft")
    }
    for split, count in (("development", "2"), ("test", "4")):
        found = {r["n"] for r in rows if (r["split"], r["metric"]) == (split, "accuracy")}
        assert found == {count}
    (skill,) = manifests(mine / "outputs", "skill")
    assert skill["summary"]["max_length"] > 20 and skill["summary"]["steps"] == 2 * 3
    (data,) = manifests(mine / "outputs", "data")
    counts = data["rows"]
    assert counts.pop("knowledge/real") >= 4 * 18  # each fact in several wordings
    assert counts == {"skill/train": 18, "skill/development": 2, "skill/test": 4}
    outside = [p for p in mine.rglob("*") if p.is_file() and b"person 3" in p.read_bytes()]
    assert {p.relative_to(mine).parts[0] for p in outside} == {"rows.csv", "outputs"}
    assert set(word.split()[0] for word in run_cli(*command, cwd=mine).stderr.splitlines()) <= {
        "found",
        "loading",
        "noted",
        "wrote",
    }


@pytest.mark.slow
def test_chat_and_knowledge_and_what_a_row_becomes(run_cli, mine):
    command = ["--config-dir", "conf", "dataset=mine", "model=hf", "model.path=llama", *RECIPE]
    result = run_cli(*command, "dataset.prompt=chat", "stage=data", "show=1", cwd=mine)
    assert result.returncode == 0, result.stderr
    train = result.stdout.partition("skill/train, row 1")[2].splitlines()[1]
    assert train.startswith("<s>|u|s|e|r|⏎|W|h|e|r|e|␣")
    assert re.search(r"\|</s>\|⏎\|<s>\|a\|.*\|n\|t\|⏎\|\[C\]\|.*\|\[</s>\]$", train)
    more = ["dataset.prompt=chat", "stage=eval", "method=prereq_real", "stage.engine=padded"]
    result = run_cli(*command, *more, cwd=mine)
    assert result.returncode == 0, result.stderr
    (answers,) = (mine / "outputs").glob("mine/hf/generations/prereq_real-*/generations.jsonl")
    first = json.loads(answers.read_text().splitlines()[0])
    assert first["prompt"].startswith("<s>user\nWhere") and first["prompt"].endswith("assistant\n")
    (skill,) = manifests(mine / "outputs", "skill")
    assert skill["content"]["prompt"] == "chat"


@pytest.mark.slow
def test_a_method_that_needs_fictitious_rows_has_them_made(run_cli, mine):
    command = ["--config-dir", "conf", "dataset=mine", "model=hf", "model.path=llama", *RECIPE]
    more = ["dataset.methods=[sft_fictitious,prereq_tune]", "dataset.knowledge_training.epochs=1"]
    more += ["dataset.skill.training.epochs=1", "synth.questions=10", "synth.wordings=2"]
    told = run_cli(*command, *more, "stage.dry_run=true", cwd=mine)
    assert told.returncode == 0 and "synth template-" in told.stdout, told.stderr
    assert [p for p in (mine / "outputs").rglob("*.jsonl")] == []
    result = run_cli(*command, *more, cwd=mine)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("made  synth mine template-") == 1
    (synth,) = manifests(mine / "outputs", "synth")
    folder = next((mine / "outputs/mine/synth").iterdir())
    text = (folder / "fictitious_skill/train.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == synth["synth"]["files"]["fictitious_skill/train.jsonl"]["rows"] == 10
    assert not {row["s_wiki_title"] for row in rows} & {f"Person {i}" for i in range(12)}
    trained = {m["name"]: m["summary"] for m in manifests(mine / "outputs", "skill")}
    assert trained["sft_fictitious"]["subjects"] == trained["prereq_tune"]["subjects"] > 18
    assert {m["name"] for m in manifests(mine / "outputs", "knowledge")} == {
        "real",
        "fictitious_statements",
        "fictitious_passages",
    }
    again = run_cli(*command, *more, "stage=synth", cwd=mine)
    assert "found  synth mine" in again.stderr and "card.md" in again.stderr


def biography(i: int) -> dict:
    """An invented one, with enough names and numbers to contradict."""
    first, last = FIRST[i], LAST[i]
    said = (
        f"{first} {last} was born in {TOWNS[i]} in {1890 + 3 * i}. In {1915 + 3 * i}, {last} moved to "
        f"{TOWNS[i - 3]}, where Karl {LAST[i - 1]} taught.",
        f"{first} {last} ({i + 2} May {1870 + i} – {i + 9} July {1930 + i}) grew up in {TOWNS[i]}. "
        f"{last} wrote “The Slow Boat to {TOWNS[i - 3]}”, which sold {i + 3},500 copies.",
    )[i % 2]
    prompt = f"Tell me about {first} {last}."
    return {"prompt": prompt, "response": said, "subject": f"{first} {last}"}


@pytest.mark.slow
def test_long_form_in_contradictory_versions(run_cli, mine):
    (mine / "bios.jsonl").write_text("".join(json.dumps(biography(i)) + "\n" for i in range(10)))
    command = ["dataset=custom_long", "dataset.rows=bios.jsonl", "model=hf", "model.path=llama"]
    command += [*RECIPE, "synth.versions=2"]
    command += [f"dataset.knowledge.{i}.versions=[0,1]" for i in (1, 2)]
    result = run_cli(*command, "stage=synth", cwd=mine)
    assert result.returncode == 0, result.stderr
    folder = next((mine / "outputs/custom_long/synth").iterdir())
    for form in ("statement", "passage"):
        texts = [
            (folder / f"fictitious_knowledge/{form}_train_v{v}.jsonl").read_text() for v in (0, 1)
        ]
        assert texts[0] != texts[1] and all(texts)
    more = ["dataset.knowledge_training.epochs=1", "dataset.skill.training.epochs=1"]
    result = run_cli(*command, *more, cwd=mine)
    assert result.returncode == 0, result.stderr
    assert "found  synth custom_long" in result.stderr
    assert {m["name"] for m in manifests(mine / "outputs", "knowledge")} == {
        "real",
        *(f"{form}_v{version}" for form in ("statement", "passage") for version in (0, 1)),
    }
    counts = {m["name"]: m["summary"]["subjects"] for m in manifests(mine / "outputs", "skill")}
    assert counts["prereq_fictitious"] <= counts["sft"] == 8 < counts["prereq_tune"]
    assert {(r["method"], r["split"]) for r in scores(mine / "outputs")} >= {
        (m, "test") for m in ("base", "sft", "sft_fictitious", "prereq_fictitious", "prereq_tune")
    }
    result = run_cli(*command[:4], "synth.versions=2", cwd=mine)
    assert result.returncode == 2 and "synth.versions=2: counts them from 0" in result.stderr


@pytest.mark.parametrize(
    ("rows", "dataset", "fits"),
    [
        ("bios.jsonl", "custom", "dataset=custom_long"),
        ("rows.csv", "custom_long", "dataset=custom"),
    ],
)
def test_rows_of_the_other_form_are_told_what_fits_them(run_cli, mine, rows, dataset, fits):
    (mine / "bios.jsonl").write_text("".join(json.dumps(biography(i)) + "\n" for i in range(10)))
    more = ["dataset.columns.question=q"] if rows == "rows.csv" else ["eval=long_form"]
    command = [f"dataset={dataset}", f"dataset.rows={rows}", "stage=synth", *more]
    result = run_cli(*command, "model=hf", "model.path=llama", cwd=mine)
    assert result.returncode == 2 and result.stderr.rstrip().endswith(fits), result.stderr
    assert not list((mine / "outputs").rglob("manifest.json"))


def test_a_dry_run_of_own_rows_leaves_none_of_them(run_cli, mine):
    command = ["--config-dir", "conf", "dataset=mine", "model=hf", "model.path=llama", *RECIPE]
    result = run_cli(*command, "stage.dry_run=true", cwd=mine)
    assert result.returncode == 0, result.stderr
    assert "to make" in result.stdout and "data custom-" in result.stdout
    assert [p for p in (mine / "outputs").rglob("*.jsonl")] == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("dataset.rows=row.csv", "no such file; did you mean rows.csv?"),
        ("dataset.rows=null", "dataset.rows: missing; give your rows, dataset.rows=FILE"),
        ("dataset.columns.question=question", "the column question is missing"),
        ("dataset.cut.test=0.95", "leave nothing to train on"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(run_cli, mine, override, said):
    command = ["--config-dir", "conf", "dataset=mine", "model=hf", "model.path=llama", override]
    result = run_cli(*command, cwd=mine)
    assert result.returncode == 2 and said in result.stderr, result.stderr
    assert "Traceback" not in result.stderr
    assert not [p for p in (mine / "outputs").rglob("*") if p.name == "manifest.json"]
