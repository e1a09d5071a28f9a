"""Artifacts: keys, atomic publication, one maker among many, resuming what was half made."""

import json
import threading

import pytest

from prereq import store
from prereq.config import Config
from prereq.errors import PrereqError


def spec(root, content=None, labels=None):
    return store.Spec(root, "data", "model", "skill", "sft", content or {"epochs": 3}, labels or {})


def payload(folder):
    (folder / "weights.txt").write_text("w")
    return {"summary": {"steps": 3}}


def test_the_key_follows_from_the_content_alone(tmp_path):
    one = spec(tmp_path)
    assert one.key == spec(tmp_path / "elsewhere", labels={"colour": "blue"}).key
    assert one.key != spec(tmp_path, {"epochs": 4}).key
    assert one.path.name == f"sft-{one.key}"


def test_a_made_artifact_says_what_it_is_and_is_found_again(tmp_path):
    made = store.obtain(spec(tmp_path), Config(), payload)
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest["summary"] == {"steps": 3} and manifest["key"] == made.reference
    assert manifest["files"]["weights.txt"]["bytes"] == 1
    assert len(manifest["files"]["weights.txt"]["sha256"]) == 64
    assert manifest["packages"]["torch"]
    assert (made.path / "config.yaml").exists()
    again = store.obtain(spec(tmp_path), Config(), lambda folder: pytest.fail("made twice"))
    assert again.path == made.path


def test_a_failed_maker_publishes_nothing_and_the_next_goes_on_in_its_scratch(tmp_path):
    def fail(folder):
        (folder / "half.txt").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        store.obtain(spec(tmp_path), Config(), fail)
    assert store.find(spec(tmp_path)) is None
    assert store.every(tmp_path, "skill") == []

    def resume(folder):
        assert (folder / "half.txt").read_text() == "half"

    assert store.obtain(spec(tmp_path), Config(), resume).path.exists()
    assert [p.name for p in spec(tmp_path).path.parent.iterdir()] == [spec(tmp_path).path.name]


def test_many_at_once_make_it_once(tmp_path):
    made = []

    def slow(folder):
        made.append(folder)
        threading.Event().wait(0.3)

    threads = [
        threading.Thread(target=store.obtain, args=(spec(tmp_path), Config(), slow))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and store.find(spec(tmp_path))


def test_a_broken_manifest_is_named(tmp_path):
    made = store.obtain(spec(tmp_path), Config(), payload)
    (made.path / "manifest.json").write_text("{")
    with pytest.raises(PrereqError, match="not JSON"):
        store.every(tmp_path, "skill")
