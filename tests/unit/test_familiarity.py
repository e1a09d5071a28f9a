"""Accuracy by what a probe says that the base model knew: which probe, which rows."""

import csv
import json

import pytest

from prereq.artifacts.publish import publish
from prereq.artifacts.spec import Spec
from prereq.config.schema.probe import CATEGORIES
from prereq.report import collect, familiarity, picture

KNOWN = ["highly known", "unknown", "unknown", "maybe known"]
RIGHT = [1.0, 0.0, 1.0, 1.0]
ROWS = {"split": "skill/held_out", "data": "d1"}


def artifact(root, kind, content, payload, labels=None, made="2026-01-01T00:00:00Z"):
    spec = Spec(root, "world", "tiny", kind, "it", content, labels or {})
    scratch = spec.path.with_name(".scratch")
    scratch.mkdir(parents=True)
    for name, text in payload.items():
        (scratch / name).write_text(text, "utf-8")
    extra = {"epochs": {"best": 1, "last": 2}, "trained_on": {}, "made": made}
    publish(spec, {}, scratch, extra, 0.0)
    return spec


def probe(root, known=KNOWN, base="b1", rows=ROWS, numbers=None, **more):
    views = more.pop("views", [{}] * len(known))
    lines = [
        json.dumps({"row": number, "category": category} | popularity)
        for number, category, popularity in zip(
            numbers or range(len(known)), known, views, strict=True
        )
    ]
    content = {"base": base, "rows": rows, "known": known}
    return artifact(root, "probe", content, {"probe.jsonl": "\n".join(lines)}, **more)


def scored(root, base="b1", keep=True, views=()):
    """Scores of four rows at the best and at the last epoch, and the answers that they are of; `views`:
    buckets of page views, each with a score."""
    tests = [{"test": {"name": "held_out"}, "rows": ROWS}]
    answers = Spec(root, "world", "tiny", "generations", "it", {"base": base, "tests": tests})
    if keep:
        artifact(root, "generations", answers.content, {})
    labels = {"method": "sft", "seed": 1, "who": "a", "changes": {}, "base": "tiny"}
    labels |= {"base_experiment": "b", "roles": {"held_out": "known"}, "family": "plain"}
    labels |= {"colour": None, "splits": {"held_out": "rows"}}
    place = {"knowledge": "", "metric": "accuracy"}
    value = {"unit": "share", "value": 75.0, "low": 0.0, "high": 100.0, "n": 4}
    splits = ["held_out", "held_out_last"]
    buckets = [f"held_out/s_pop={bucket}" for bucket in views]
    payload = {
        "scores": [place | value | {"split": split} for split in [*splits, *buckets]],
        "rows": [place | {"split": split, "values": RIGHT, "out_of": None} for split in splits],
        "curve": [],
        "asked": {"held_out": "x"},
    }
    content = {"generations": answers.key}
    artifact(root, "scores", content, {"scores.json": json.dumps(payload)}, labels)


def by_familiarity(root) -> dict[str, tuple[float, int]]:
    lines = collect.lines(familiarity.told(root, collect.read(root)))
    shown = [score for line in lines for score in line.shown()]
    return {s.split: (s.value, s.n) for s in shown if "familiarity" in s.split}


def test_each_category_has_the_accuracy_of_its_rows(tmp_path, capsys):
    scored(tmp_path)
    probe(tmp_path)
    found = by_familiarity(tmp_path)
    for split in ("held_out", "held_out_last"):
        assert found.pop(f"{split}/familiarity=highly known") == (100.0, 1)
        assert found.pop(f"{split}/familiarity=maybe known") == (100.0, 1)
        assert found.pop(f"{split}/familiarity=unknown") == (50.0, 2)
    assert found == {}
    lines = collect.lines(familiarity.told(tmp_path, collect.read(tmp_path)))
    (score,) = (s for s in lines[0].shown() if s.split == "held_out/familiarity=unknown")
    assert (score.low, score.high) == (0.0, 100.0)
    familiarity.show(lines)
    table = capsys.readouterr().out
    assert "world · tiny · held out, by what the base model knew" in table
    assert "2 rows" in table and "50.0 ± 50.0" in table and "weakly" not in table


def test_without_a_probe_nothing_changes(tmp_path, capsys):
    scored(tmp_path)
    before = collect.read(tmp_path)
    assert familiarity.told(tmp_path, before) == before
    familiarity.show(collect.lines(before))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("of_probe", "of_scores", "said"),
    [
        ({"base": "b2"}, {}, ""),  # another base model
        ({"rows": ROWS | {"data": "d2"}}, {}, ""),  # rows of another seed
        ({"numbers": [0, 1, 3, 4]}, {}, "fictitious rows among the real ones"),
        ({}, {"keep": False}, "the answers that were scored are gone"),
    ],
)
def test_a_probe_of_something_else_says_nothing(tmp_path, capsys, of_probe, of_scores, said):
    scored(tmp_path, **of_scores)
    probe(tmp_path, **of_probe)
    assert by_familiarity(tmp_path) == {}
    told = " ".join(capsys.readouterr().err.split())
    assert said in told and bool(said) == ("left out" in told)


def test_of_several_probes_the_newest_counts_and_is_named(tmp_path, capsys):
    scored(tmp_path)
    newest = probe(tmp_path, ["unknown"] * 4, made="2026-01-03T00:00:00Z")
    probe(tmp_path, made="2026-01-02T00:00:00Z")
    assert set(by_familiarity(tmp_path)) == {
        "held_out/familiarity=unknown",
        "held_out_last/familiarity=unknown",
    }
    assert f"{newest.path.name}, the newest of 2" in " ".join(capsys.readouterr().err.split())


def test_page_views_are_told_apart_by_what_the_base_knew(tmp_path):
    scored(tmp_path, views=["10-99", "1000-9999"])
    probe(tmp_path, views=[{"popularity": n} for n in (1000, 10, 99, 9999)])
    found = collect.lines(familiarity.told(tmp_path, collect.read(tmp_path)))
    assert familiarity.by_popularity(found[0]) == {
        "10-99": dict.fromkeys(CATEGORIES, 0.0) | {"unknown": 100.0},
        "1000-9999": dict.fromkeys(CATEGORIES, 0.0) | {"highly known": 50.0, "maybe known": 50.0},
    }
    with open(familiarity.write(found, tmp_path / "familiarity.csv"), newline="") as stream:
        rows = {(r["popularity"], r["category"]): int(r["rows"]) for r in csv.DictReader(stream)}
    assert rows == {
        ("10-99", "unknown"): 2,
        ("1000-9999", "highly known"): 1,
        ("1000-9999", "maybe known"): 1,
    }
    drawn = picture.popularity(found, tmp_path / "popularity.png")
    assert drawn.read_bytes()[:4] == b"\x89PNG"


def test_without_page_views_or_probe_there_is_no_picture_and_no_old_file_stays(tmp_path):
    scored(tmp_path)
    found = collect.lines(collect.read(tmp_path))
    for name in ("popularity.png", "familiarity.csv"):
        (tmp_path / name).write_text("of an earlier report")
    assert picture.popularity(found, tmp_path / "popularity.png") is None
    assert familiarity.write(found, tmp_path / "familiarity.csv") is None
    assert (
        not (tmp_path / "popularity.png").exists() and not (tmp_path / "familiarity.csv").exists()
    )
