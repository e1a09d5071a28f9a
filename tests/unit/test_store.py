"""Artifacts: keys, atomic publication, what is refused, what a second attempt finds."""

import json
import os
import subprocess
import sys
import threading

import pytest

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.errors import PrereqError
from prereq.runtime import files
from tests.conftest import REPOSITORY


def spec(root, content=None, labels=None):
    return Spec(root, "data", "model", "skill", "sft", content or {"epochs": 3}, labels or {})


def payload(folder):
    (folder / "weights.txt").write_text("weights")
    (folder / "epochs" / "001").mkdir(parents=True)
    (folder / "epochs" / "001" / "weights.txt").write_text("early")
    return {"summary": {"steps": 3}}


def unneeded(folder):
    pytest.fail("made twice")


def test_the_key_follows_from_the_content_alone(tmp_path):
    one = spec(tmp_path)
    assert one.key == spec(tmp_path / "elsewhere", labels={"colour": "blue"}).key
    assert one.key != spec(tmp_path, {"epochs": 4}).key
    assert one.path.name == f"sft-{one.key}"


def test_a_made_artifact_says_what_it_is_and_is_found_again(tmp_path):
    made = store.obtain(spec(tmp_path), {}, payload)
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest["summary"] == {"steps": 3} and manifest["key"] == made.reference
    assert manifest["files"]["weights.txt"]["bytes"] == 7
    assert len(manifest["files"]["epochs/001/weights.txt"]["sha256"]) == 64
    assert set(manifest["files"]) == {"weights.txt", "epochs/001/weights.txt", "config.yaml"}
    assert manifest["packages"]["torch"]
    again = store.obtain(spec(tmp_path), {}, unneeded)
    assert again.path == made.path
    (found,) = store.every(tmp_path, "skill")
    assert found.manifest == manifest
    assert [p.name for p in made.path.parent.iterdir()] == [made.path.name]


def test_everything_is_flushed_before_the_rename_shows_it(tmp_path, monkeypatch):
    """What a power cut could leave otherwise: a manifest whose payload never reached the disk."""
    log, flush, rename = [], files.flush, os.rename
    monkeypatch.setattr(files, "flush", lambda path: (log.append(path.name), flush(path)))
    monkeypatch.setattr(os, "rename", lambda a, b: (log.append("rename"), rename(a, b)))
    made = store.obtain(spec(tmp_path), {}, payload)
    before, after = log[: log.index("rename")], log[log.index("rename") + 1 :]
    assert before.count("weights.txt") == 2 and {"config.yaml", "001", "epochs"} <= set(before)
    assert before.index("001") < before.index("epochs")
    assert "manifest.json" in before[-2] and before[-1] == f".{made.path.name}.partial"
    assert after == ["skill"]


@pytest.mark.parametrize("collective", [False, True])
def test_nothing_of_a_failed_attempt_is_published(tmp_path, collective):
    def fail(folder):
        (folder / "half.txt").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        store.obtain(spec(tmp_path), {}, fail, collective)
    assert store.find(spec(tmp_path)) is None
    assert store.every(tmp_path, "skill") == []
    made = store.obtain(spec(tmp_path), {}, payload, collective)
    assert not (made.path / "half.txt").exists()
    assert [p.name for p in made.path.parent.iterdir()] == [made.path.name]


def test_training_finds_what_was_left_with_a_checkpoint_and_publishes_none(tmp_path):
    scratch = spec(tmp_path).path.with_name(f".{spec(tmp_path).path.name}.partial")
    for name in ("checkpoint", "checkpoint.previous", "checkpoint.damaged"):
        (scratch / name).mkdir(parents=True)
    (scratch / "metrics.jsonl").write_text("")

    def resume(folder):
        assert (folder / "metrics.jsonl").exists() and (folder / "checkpoint").exists()
        return payload(folder)

    made = store.obtain(spec(tmp_path), {}, resume, collective=True)
    assert "metrics.jsonl" in made.manifest["files"]
    assert not list(made.path.glob("checkpoint*"))


def test_many_at_once_make_it_once(tmp_path):
    made = []

    def slow(folder):
        made.append(folder)
        threading.Event().wait(0.3)

    threads = [
        threading.Thread(target=store.obtain, args=(spec(tmp_path), {}, slow)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and store.find(spec(tmp_path))


def changed(**values):
    return lambda text: json.dumps(json.loads(text) | values)


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda text: "", "not JSON"),
        (lambda text: text[:100], "not JSON"),
        (lambda text: text.replace('"seconds": ', '"seconds": NaN, "x": '), "NaN"),
        (lambda text: "[]", "not an object"),
        (lambda text: "{}", "lacks kind, name"),
        (lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "files"}), "files"),
        (changed(files=[]), r"files is \[\]"),
        (changed(key="0123456789"), "not to this folder"),
        (changed(files={}), "does not fit its checksum"),
        (changed(content={"epochs": 4}), "does not fit its checksum"),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_named_with_the_remedy(tmp_path, damage, said):
    made = store.obtain(spec(tmp_path), {}, payload)
    manifest = made.path / "manifest.json"
    manifest.write_text(damage(manifest.read_text()))
    for look in (
        lambda: store.find(spec(tmp_path)),
        lambda: store.every(tmp_path, "skill"),
        lambda: store.obtain(spec(tmp_path), {}, unneeded),
    ):
        with pytest.raises(PrereqError, match=said) as raised:
            look()
        assert str(manifest) in str(raised.value)
        assert f"remove the folder {made.path}" in str(raised.value)


@pytest.mark.parametrize("name", ["weights.txt", "epochs/001/weights.txt"])
@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda file: file.unlink(), "No such file"),
        (lambda file: file.write_bytes(b""), "has 0 bytes"),
        (lambda file: file.write_bytes(bytes(len(file.read_bytes()))), "was altered"),
    ],
)
def test_a_damaged_payload_is_named_before_it_is_used(tmp_path, damage, said, name):
    made = store.obtain(spec(tmp_path), {}, payload)
    os.utime(made.path / name, (1, 1))  # the clock of a file system ticks slowly
    damage(made.path / name)
    with pytest.raises(PrereqError, match=said) as raised:
        store.obtain(spec(tmp_path), {}, unneeded)
    assert str(made.path / name) in str(raised.value)
    assert f"remove the folder {made.path}" in str(raised.value)


def test_files_that_others_add_are_no_damage_and_folders_given_by_hand_have_no_manifest(tmp_path):
    made = store.obtain(spec(tmp_path), {}, payload)
    (made.path / "model-00001.gguf").write_text("converted")
    assert store.obtain(spec(tmp_path), {}, unneeded).path == made.path
    assert store.audit.verify(Artifact("someone/model", "someone/model")).manifest == {}


def test_a_payload_is_read_once_a_process(tmp_path, monkeypatch):
    read = []
    digest = files.hashlib.file_digest
    monkeypatch.setattr(
        files.hashlib, "file_digest", lambda stream, how: (read.append(stream.name), digest(stream, how))[1]
    )  # fmt: skip
    for _ in range(3):
        store.obtain(spec(tmp_path), {}, payload)
    assert len(read) == 3  # published files, though their folder was renamed


@pytest.mark.parametrize("place", ["scratch", "artifact"])
@pytest.mark.parametrize("link", [False, True])
def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_made(tmp_path, place, link):
    wanted = spec(tmp_path).path
    blocked = wanted.with_name(f".{wanted.name}.partial") if place == "scratch" else wanted
    blocked.parent.mkdir(parents=True)
    blocked.symlink_to(tmp_path) if link else blocked.write_text("x")
    with pytest.raises(PrereqError, match="not a folder") as raised:
        store.obtain(spec(tmp_path), {}, unneeded)
    assert str(blocked) in str(raised.value)
    assert blocked.is_symlink() == link and os.path.lexists(blocked)


READ = """
import sys
from pathlib import Path
from prereq.artifacts import store

(found,) = store.every(Path(sys.argv[1]), "skill")
store.audit.verify(found)
print(len(found.manifest["files"]))
"""


def test_another_process_verifies_what_it_finds(tmp_path):
    made = store.obtain(spec(tmp_path), {}, payload)

    def read() -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-c", READ, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    assert read().stdout == "3\n"
    (made.path / "weights.txt").write_text("WEIGHTS")
    result = read()
    assert result.returncode == 1 and "weights.txt: was altered" in result.stderr
