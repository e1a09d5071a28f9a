"""`stage=synth` on the published layout: what it makes trains and tests the recipe that it was made for."""

import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from prereq.config.checks import problems
from prereq.errors import PrereqError
from prereq.runtime.files import read_lines
from prereq.stages.data import invented
from prereq.stages.data.tokens import subjects
from prereq.stages.pretrain import tokenizer_of
from prereq.stages.specs import Specs
from tests import published
from tests.configs import composed
from tests.integration.test_command import manifests
from tests.integration.test_paper_tasks import task
from tests.rows import write_parquet
from tests.unit.test_synth_long import ROWS

LONG = "dataset.skill.splits=[train_real,train_fake]"


def made(outputs: Path) -> Path:
    (folder,) = outputs.glob("*/synth/*")
    return folder


def rows(folder: Path, name: str) -> list[dict]:
    return read_lines(folder / f"{name}.jsonl", "")


@pytest.fixture(scope="module")
def data(place) -> Path:
    """The published folder, with real texts beside the fictitious ones of bio."""
    folder = shutil.copytree(place / "data", place / "with_real")
    texts = [
        published.skill_row(i, row.prompt, row.response, 0) | {"s_wiki_title": row.subject}
        for i, row in enumerate(ROWS)
    ]
    published.write(folder, "bio_skill/train_real", texts)
    return folder


def small(place: Path, name: str, data: Path) -> list[str]:
    kept = [w for w in task(place, name) if not w.startswith(("stage.", "dataset.path"))]
    return [*kept, f"dataset.path={data}"]


def test_popqa(run_cli, place, data, tmp_path):
    out = [f"output_dir={tmp_path / 'out'}", "method=sft_fictitious"]
    result = run_cli(*small(place, "popqa", data), *out, "stage=synth", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = made(tmp_path / "out")
    assert f"dataset=popqa dataset.path={folder}" in result.stderr.replace("\n", "")
    given, mixed = rows(data, "popqa_skill/train"), rows(folder, "popqa_skill/train")
    assert mixed[:6] == [row for row in given if not row["fake"]]
    assert mixed[6:] == rows(folder, "fictitious_skill/train") and mixed[6:]
    assert not {r["s_wiki_title"] for r in mixed[6:]} & set(published.NAMES)
    for name in ("skill/test", "knowledge/statement_train_real", "knowledge/passage_train_real"):
        assert rows(folder, f"popqa_{name}") == rows(data, f"popqa_{name}")
    for form in ("statement", "passage"):
        text = rows(folder, f"popqa_knowledge/{form}_train_fake")
        assert text == rows(folder, f"fictitious_knowledge/{form}_train")
    result = run_cli(*small(place, "popqa", folder), *out, "stage=sft", "stage.epochs=1")
    assert result.returncode == 0, result.stderr
    (skill,) = manifests(tmp_path / "out", "skill")
    assert skill["summary"]["subjects"] == len(mixed)


@pytest.mark.slow
def test_bio(run_cli, place, data, tmp_path):
    """Real texts come in a split of their own, because the published one has none."""
    out = [f"output_dir={tmp_path / 'out'}", "method=sft_fictitious"]
    result = run_cli(*small(place, "bio", data), *out, LONG, "stage=synth", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = made(tmp_path / "out")
    assert rows(folder, "bio_skill/train_real") == rows(data, "bio_skill/train_real")
    invented = rows(folder, "bio_skill/train_fake")
    assert {row["version"] for row in invented} == set(range(5))
    assert not {r["s_wiki_title"] for r in invented} & set(published.NAMES)
    for version in range(5):
        name = f"statement_train_v{version}"
        assert rows(folder, f"bio_knowledge/{name}") == rows(folder, f"fictitious_knowledge/{name}")
    # The recipe itself reads the fictitious rows alone: the three subjects of three texts.
    words = [*small(place, "bio", folder), *out, "stage=sft", "stage.epochs=1"]
    result = run_cli(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (skill,) = manifests(tmp_path / "out", "skill")
    assert skill["summary"]["subjects"] == 3
    specs = Specs(composed(*words, LONG))
    found, _ = subjects(specs, tokenizer_of(specs))
    assert [subject.fictitious for subject in found] == [False] * 3 + [True] * 3


@pytest.mark.slow
def test_hotpotqa_reasons_in_one_step(place, data, tmp_path):
    specs = Specs(composed(*small(place, "hotpotqa", data), "stage=synth"))
    told = invented.write(specs, tmp_path)["laid_out"]
    assert told["hotpotqa_skill/train.jsonl"] == 12
    for row in rows(tmp_path, "hotpotqa_skill/train")[6:]:
        said = row["messages"][1]["content"]
        assert row["s_wiki_title"] in said and said.endswith(f" Final answer: {row['answer']}")


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("bio", [], r"no real row in its training splits \(train_fake\).*add some \(fake: 0\)"),
        ("bio", [LONG, "eval=qa"], r"rows are of short form.*eval=long_form"),
        ("popqa", ["eval=long_form"], r"rows are of long form.*eval=qa"),
        ("popqa", ["eval=facts"], r"no fictitious row has; use eval=qa"),
        ("popqa", ["dataset.knowledge.2.split=statement_train_fake"], r"several sources of diff"),
        ("popqa", ["dataset.knowledge.2.split=passage_train_real"], r"several sources of diff"),
        ("popqa", ["dataset.tests.0.plug_in=true"], r"the test test plugs in"),
    ],
)
def test_what_cannot_stand_in_is_refused_before_anything_is_made(
    place, data, tmp_path, name, words, said
):
    specs = Specs(composed(*small(place, name, data), "stage=synth", *words))
    with pytest.raises(PrereqError, match=said):
        invented.write(specs, tmp_path)
    assert not list(tmp_path.iterdir())


def test_fewer_versions_than_the_recipe_reads_are_refused(place, data):
    config = composed(*small(place, "bio", data), "stage=synth", "synth.versions=3")
    (problem,) = problems(config)
    assert problem.startswith("synth.versions=3: counts them from 0, and") and "_v4" in problem


def test_what_is_copied_is_checked_first_and_is_in_the_key(place, data, tmp_path):
    mine = shutil.copytree(data, tmp_path / "data")
    key = Specs(composed(*small(place, "popqa", mine), "stage=synth")).synth.key
    file = mine / "popqa_skill/test.jsonl"
    test = read_lines(file, "")
    file.write_text("".join(json.dumps(row) + "\n" for row in test[:-1]))
    specs = Specs(composed(*small(place, "popqa", mine), "stage=synth"))
    assert specs.synth.key != key
    file.write_text(json.dumps(test[0] | {"fake": "no"}) + "\n")
    with pytest.raises(PrereqError, match=r"popqa_skill/test\.jsonl line 1: fake is 'no'"):
        invented.write(specs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_fictitious_rows_that_stand_apart_get_their_own_split(place, data, tmp_path):
    apart = [f"dataset.skill.fictitious.{word}" for word in ("subset=extra", "splits=[more]")]
    specs = Specs(composed(*small(place, "popqa", data), *apart, "stage=synth"))
    told = invented.write(specs, tmp_path)["laid_out"]
    assert (told["popqa_skill/train.jsonl"], told["extra/more.jsonl"]) == (6, 6)
    assert rows(tmp_path, "extra/more") == rows(tmp_path, "fictitious_skill/train")


def test_a_column_of_parquet_that_json_has_not_is_named(place, data, tmp_path):
    mine, out = shutil.copytree(data, tmp_path / "data"), tmp_path / "out"
    test = rows(mine, "popqa_skill/test")
    (mine / "popqa_skill/test.jsonl").unlink()
    write_parquet(mine / "popqa_skill/test.parquet", test)
    out.mkdir()
    invented.write(Specs(composed(*small(place, "popqa", mine), "stage=synth")), out)
    assert rows(out, "popqa_skill/test") == test
    dated = [row | {"when": date(2020, 1, 1)} for row in test]
    write_parquet(mine / "popqa_skill/test.parquet", dated)
    with pytest.raises(PrereqError, match=r"popqa_skill/test: .*date.*leave that column out"):
        invented.write(Specs(composed(*small(place, "popqa", mine), "stage=synth")), out)
