"""Scores artifacts on disk, as `stage=eval` publishes them, of a few rows."""

import json
from pathlib import Path

from prereq.artifacts.publish import publish
from prereq.artifacts.spec import Spec
from prereq.report import collect, comparisons, tables, written
from prereq.report.page import write
from prereq.runtime.files import write_lines

ROWS = {"held_out": [1.0, 0.0, 1.0, 1.0], "validation": [1.0, 1.0], "mine": [0.0, 1.0]}
ROLES = {"held_out": "known", "validation": "selection", "mine": None}


def scored(root, method="sft", seed=1, who="a", rows=None, changes=None, splits=None, **more):
    """A scores artifact on disk. `rows`: split → each row's `metric`; `splits`: split → its rows' digest."""
    rows, metric = rows or ROWS, more.pop("metric", "accuracy")
    labels = {"method": method, "seed": seed, "who": f"{who}-{method}", "changes": changes or {}}
    labels |= {"base": "tiny", "base_experiment": more.pop("base", "b")}
    labels |= {"family": "prerequisite" if method.startswith("prereq") else "plain"}
    roles = more.pop("roles", ROLES)
    labels["roles"] = {split: roles.get(split) for split in rows}
    labels["colour"] = {"sft": "#D55E00"}.get(method)
    labels["splits"] = {split: (splits or {}).get(split, "rows") for split in rows}
    content = more.pop("content", {}) | {
        "seed": seed,
        "who": labels["who"],
        "splits": labels["splits"],
        "rows": rows,
    }
    spec = Spec(root, "world", more.pop("model", "tiny"), "scores", method, content, labels)
    scratch = spec.path.with_name(".scratch")
    scratch.mkdir(parents=True)
    scores = [
        {
            "knowledge": "",
            "split": s,
            "metric": metric,
            "unit": "share",
            "value": 100 * sum(v) / len(v),
        }
        | {"low": 0.0, "high": 100.0, "n": len(v)}
        for s, v in rows.items()
    ]
    scores += more.pop("scores", [])
    curve = [{"split": "held_out", "epoch": e, "value": 10.0 * e} for e in (1, 2)]
    asked = more.pop("asked", dict.fromkeys(rows, f"of seed {seed}"))
    payload = {"scores": scores, "curve": curve, "rows": rows}
    if asked:  # None: as an earlier version wrote it
        kept = {"knowledge": "", "metric": metric, "out_of": more.pop("out_of", None)}
        by_row = [kept | {"split": s, "values": v} for s, v in rows.items()]
        by_row += more.pop("by_row", [])
        payload |= {"asked": asked, "coverage": more.pop("coverage", []), "rows": by_row}
    for told in (answers := more.pop("answers", [])):
        told |= {"epoch": told.get("epoch", 1), "knowledge": told.get("knowledge", "")}
    if answers:
        write_lines(scratch / "answers.jsonl", answers)
    (scratch / "scores.json").write_text(json.dumps(payload))
    extra = {"epochs": {"best": 1, "last": 2}, "trained_on": more}
    publish(spec, {}, scratch, extra, 0.0)


def lines(root):
    return collect.lines(collect.read(root))


def compare(found) -> None:
    """The tables of these lines, as `stage=report` prints them."""
    tables.comparison(found, comparisons.every(found))


def page(root, file="index.html") -> Path:
    """The page of everything scored under `root`."""
    found = lines(root)
    told, _ = written.answers_told(found)
    return write.page(found, comparisons.every(found), told, root, root / file)
