"""Checkpoints: what a run goes on from when the newest one, or what lies beside it, is damaged."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from prereq.runtime import files
from prereq.training import checkpoints

STEPS = 9
KEPT = "epochs/001/adapter.txt"


def run():
    """Parameters of a model, and an optimizer that has moments for the first of them."""
    trained = {name: torch.nn.Parameter(torch.zeros(3, 2)) for name in ("a", "b")}
    optimizer = torch.optim.AdamW(trained.values(), lr=0.1)
    return trained, optimizer


def advance(folder, trained, optimizer, to: int) -> None:
    """Train to step `to`, and save; an adapter is kept after step 1, another after step 3."""
    while (step := int(trained["a"].grad[0, 0]) if trained["a"].grad is not None else 0) < to:
        trained["a"].grad = torch.full((3, 2), step + 1.0)
        optimizer.step()
    for epoch in (1, 2):
        if to >= 2 * epoch - 1:
            (folder / "epochs" / f"{epoch:03d}").mkdir(parents=True, exist_ok=True)
            (folder / "epochs" / f"{epoch:03d}" / "adapter.txt").write_text(f"epoch {epoch}")
    lines = (json.dumps({"step": step}) + "\n" for step in range(to))
    (folder / "metrics.jsonl").write_text("".join(lines))
    checkpoints.save(folder, to, STEPS, trained, optimizer)


@pytest.fixture
def folder(tmp_path):
    """The scratch folder of a run that saved at steps 2 and 4."""
    trained, optimizer = run()
    advance(tmp_path, trained, optimizer, 2)
    advance(tmp_path, trained, optimizer, 4)
    return tmp_path


def expected(step: int) -> dict[str, torch.Tensor]:
    trained, optimizer = run()
    for number in range(step):
        trained["a"].grad = torch.full((3, 2), number + 1.0)
        optimizer.step()
    moments = optimizer.state.get(trained["a"], {})
    return {"a": trained["a"].detach(), "b": trained["b"].detach()} | dict(moments)


def check(folder, step: int) -> None:
    """Load, and compare parameters and moments with those of an uninterrupted run."""
    trained, optimizer = run()
    assert checkpoints.load(folder, trained, optimizer, STEPS) == step
    if step:
        state = {k: v.detach() for k, v in trained.items()} | dict(optimizer.state[trained["a"]])
        assert state.keys() == expected(step).keys() and trained["b"] not in optimizer.state
        assert all(torch.equal(value, state[key]) for key, value in expected(step).items())
    else:
        assert not optimizer.state and not any(p.abs().sum() for p in trained.values())


def test_a_run_goes_on_from_the_newest_checkpoint(folder, capsys):
    check(folder, 4)
    assert capsys.readouterr().err == ""
    assert (folder / KEPT).read_text() == "epoch 1"


def test_no_checkpoint_is_a_fresh_start_that_touches_nothing(tmp_path):
    (tmp_path / "weights.txt").write_text("a user's own")
    check(tmp_path, 0)
    assert [p.name for p in tmp_path.iterdir()] == ["weights.txt"]


def altered(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, (1, 1))  # the clock of a file system ticks slowly


def position(**values):
    def change(place):
        file = place / "position.json"
        now = json.loads(file.read_text()) | values
        file.write_text(json.dumps(now | {"checksum": files.checksum(now)}))

    return change


def only_step(place):
    (place / "position.json").write_text('{"step": 3}')


def cut(name, size):
    return lambda place: (place / name).write_bytes((place / name).read_bytes()[:size])


def other_shape(place):
    tensors = load_file(place / "state.safetensors")
    save_file({n: t[:1].clone() for n, t in tensors.items()}, place / "state.safetensors")
    position(state=files.sha256(place / "state.safetensors"))(place)


def other_names(place):
    tensors = load_file(place / "state.safetensors")
    save_file({n + "x": t for n, t in tensors.items()}, place / "state.safetensors")
    position(state=files.sha256(place / "state.safetensors"))(place)


def emptied(place):
    for file in place.iterdir():
        file.unlink()


def a_file(place):
    shutil.rmtree(place)
    place.write_text("x")


def step_altered(place):
    text = (place / "position.json").read_text()
    (place / "position.json").write_text(text.replace('"step": ', '"step": 1'))


DAMAGES = {
    "state cut": (cut("state.safetensors", 100), "state.safetensors: was altered"),
    "state empty": (cut("state.safetensors", 0), "state.safetensors: was altered"),
    "state gone": (lambda p: (p / "state.safetensors").unlink(), "state.safetensors: cannot be read"),
    "state altered": (lambda p: altered(p / "state.safetensors"), "state.safetensors: was altered"),
    "other shape": (other_shape, "state.safetensors: "),
    "other names": (other_names, "state.safetensors: "),
    "position empty": (cut("position.json", 0), "position.json: not JSON"),
    "position cut": (cut("position.json", 20), "position.json: not JSON"),
    "position gone": (lambda p: (p / "position.json").unlink(), "position.json: cannot be read"),
    "position is a list": (lambda p: (p / "position.json").write_text("[]"), "lacks one of"),
    "position of before": (only_step, "lacks one of"),
    "step altered": (step_altered, "position.json: was altered"),
    "step beyond the plan": (position(step=10), "step 10 of 9"),
    "step below zero": (position(step=-1), "step -1 of 9"),
    "step of another kind": (position(step="4"), "lacks one of"),
    "other plan": (position(steps=12), "step 4 of 12"),
    "empty folder": (emptied, "position.json: cannot be read"),
    "a file": (a_file, "position.json: cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("damage, said", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_taken(
    folder, capsys, damage, said
):
    damage(folder / "checkpoint")
    check(folder, 2)
    told = capsys.readouterr().err
    assert told.count("set aside") == 1 and len(told.splitlines()) == 1
    assert f"{folder}/checkpoint" in told and said in told and "checkpoint.previous comes" in told
    assert os.path.lexists(folder / "checkpoint.damaged") and not (folder / "checkpoint").exists()
    assert (folder / KEPT).exists() and not (folder / "epochs" / "002").exists()
    check(folder, 2)  # and again, for a run that is stopped before it saves another one
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage, said", DAMAGES.values(), ids=DAMAGES)
def test_where_both_are_damaged_the_run_begins_anew_in_an_empty_folder(
    folder, capsys, damage, said
):
    for name in ("checkpoint", "checkpoint.previous"):
        damage(folder / name)
    check(folder, 0)
    told = capsys.readouterr().err
    assert told.count("set aside") == 2 and "the run begins anew" in told
    left = {p.name for p in folder.iterdir()}
    assert left == {"checkpoint.damaged", "checkpoint.previous.damaged", "metrics.jsonl"}


def test_an_adapter_kept_before_the_checkpoint_belongs_to_it(folder, capsys):
    altered(folder / "epochs" / "002" / "adapter.txt")
    check(folder, 2)
    assert "epochs/002/adapter.txt: was altered" in capsys.readouterr().err
    (folder / KEPT).unlink()
    check(folder, 0)
    assert not (folder / "epochs").exists()


def test_what_a_run_wrote_after_its_checkpoint_is_removed(folder):
    (folder / "epochs" / "003").mkdir()
    (folder / "epochs" / "003" / "adapter.txt").write_text("half")
    (folder / "junk.bin").write_text("x")
    (folder / "manifest.json").symlink_to(folder / "junk.bin")
    check(folder, 4)
    assert sorted(p.name for p in (folder / "epochs").iterdir()) == ["001", "002"]
    left = {p.name for p in folder.iterdir()}
    assert left == {"checkpoint", "checkpoint.previous", "epochs", "metrics.jsonl"}


@pytest.mark.parametrize("stage", ["written", "renamed"])
def test_a_save_that_is_cut_short_leaves_a_sound_checkpoint(folder, monkeypatch, stage):
    """A kill before the first rename of a save, or between its two."""
    trained, optimizer = run()
    assert checkpoints.load(folder, trained, optimizer, STEPS) == 4
    renames, rename = [], os.rename

    def until(source, target):
        renames.append(target)
        if len(renames) > (stage == "renamed"):
            raise KeyboardInterrupt
        rename(source, target)

    trained["a"].grad = torch.full((3, 2), 5.0)
    optimizer.step()
    monkeypatch.setattr(os, "rename", until)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(folder, 5, STEPS, trained, optimizer)
    monkeypatch.undo()
    check(folder, 4)
    checkpoints.save(folder, 5, STEPS, trained, optimizer)
    check(folder, 5)


def test_a_checkpoint_is_flushed_before_it_takes_its_place(folder, monkeypatch):
    log, flush, rename = [], files.flush, os.rename
    monkeypatch.setattr(files, "flush", lambda path: (log.append(path.name), flush(path)))
    monkeypatch.setattr(os, "rename", lambda a, b: (log.append("rename"), rename(a, b)))
    (folder / "epochs" / "003").mkdir()
    (folder / "epochs" / "003" / "newer.txt").write_text("epoch 3")
    trained, optimizer = run()
    checkpoints.save(folder, 5, STEPS, trained, optimizer)
    before = log[: log.index("rename")]
    assert {"state.safetensors", "checkpoint.unfinished", "metrics.jsonl"} <= set(before)
    assert "newer.txt" in before and any("position.json" in name for name in before)
    assert "adapter.txt" not in before  # flushed with the checkpoint that listed it first
    assert log[-1] == folder.name
