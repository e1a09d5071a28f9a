"""The page itself: what there is of each data set and model, in one HTML file that opens from disk.

It loads nothing: styles, script and pictures stand in it, and its content-security policy forbids the rest.
"""

import base64
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from prereq import __version__
from prereq.config.shape import spelt
from prereq.report import tables
from prereq.report.collect import Line
from prereq.report.comparisons import Comparison, best, between, reported
from prereq.report.page import charts, curves, examples, missing, numbers, origins, paper
from prereq.report.page.origins import Origin, Origins
from prereq.report.published import kept as published
from prereq.report.published.kept import Kept
from prereq.report.published.shown import printed
from prereq.report.written import Told
from prereq.runtime import files

HERE = Path(__file__).parent
SECTIONS = {  # parts of a data set's results, as the contents name them
    "curves": "by epoch",
    "plugged": "knowledge plugged in",
    "leaked": "leakage",
    "scaling": "scaling",
    "published": "beside the paper",
    "groups": "by relation and popularity",
    "familiarity": "by familiarity",
    "coverage": "coverage",
    "examples": "answers",
    "verdicts": "verdicts",
    "losses": "training curves",
    "artifacts": "behind the numbers",
    "missing": "not here",
}


def page(
    lines: Sequence[Line], pairs: Sequence[Comparison], told: Told, root: Path, file: Path
) -> Path:
    """Write the page of everything scored under `root`; its links lead from `file` into `root`.

    `pairs` is what `comparisons.every` found of the lines, `told` what they answered.
    """
    here = origins.read(root)
    places = dict.fromkeys((line.dataset, line.model) for line in lines)
    kept = published.read(file.parent)
    groups = [
        _group([x for x in lines if (x.dataset, x.model) == place], pairs, told, here, kept)
        for place in places
    ]
    files.write_text(file, render(groups=groups, overview=_overview(lines, here, groups)))
    return file


def render(**content: Any) -> str:
    """The template filled; whatever comes from data is escaped."""
    loader = jinja2.FileSystemLoader(HERE)
    strict = {"autoescape": True, "undefined": jinja2.StrictUndefined}
    environment = jinja2.Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, **strict)
    environment.filters |= {"breakable": _breakable, "printed": printed}
    style, script = ((HERE / n).read_text("utf-8") for n in ("style.css", "script.js"))
    content |= {"style": Markup(style), "script": Markup(script), "sections": SECTIONS.items()}
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("page.html.j2").render(policy=policy, **content)


def _breakable(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _overview(lines: Sequence[Line], here: Origins, groups: Sequence[dict]) -> dict[str, Any]:
    """What was run, over all data sets."""
    shown = [one for group in groups for one in group["artifacts"]]
    shown = list({one.anchor: one for one in shown}.values())
    packages: dict[str, dict] = {}
    for one in shown:
        for name, version in (one.manifest.get("packages") or {}).items():
            packages.setdefault(name, {})[version or "absent"] = None
    times = sorted(one.manifest["made"] for one in shown)
    return {
        "groups": [f"{group['dataset']} · {group['model']}" for group in groups],
        "methods": list(dict.fromkeys(line.method for line in lines)),
        "seeds": sorted({seed for line in lines for seed in line.runs}),
        "code": list(dict.fromkeys(one.code for one in shown)),
        "packages": {name: list(versions) for name, versions in packages.items()},
        "machines": list(dict.fromkeys(m for one in shown if (m := one.manifest.get("machine")))),
        "from": times[0] if times else "",
        "to": times[-1] if times else "",
        "took": origins.duration(sum(one.manifest.get("seconds") or 0 for one in shown)),
        "artifacts": len(shown),
        "written": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "version": __version__,
    }


def _group(
    lines: Sequence[Line],
    pairs: Sequence[Comparison],
    told: Told,
    here: Origins,
    kept: Sequence[Kept],
) -> dict[str, Any]:
    """All sections of one data set and model."""
    dataset, model = lines[0].dataset, lines[0].model
    place = f"{dataset}-{model}"
    tables.named(lines)
    split = numbers.reported_split(lines)
    lines = numbers.by_score(lines, split)
    reference = best(lines, "plain")
    dashed = reference.name if reference else None
    pictures = {
        "curves": (curves.by_epoch(lines), curves.EPOCHS),
        "coverage": (curves.by_coverage(lines), curves.COVERAGE),
        "scaling": (curves.by_fictitious_data(lines, split), curves.SCALING),
    }
    shown = [_line(line, here, number, place) for number, line in enumerate(lines)]
    anchors = {line["name"]: line["anchor"] for line in shown}
    mine = [k for k in kept if (k.setting.dataset, k.setting.model) == (dataset, model)]
    group = {
        "dataset": dataset,
        "model": model,
        "place": place,
        "reported": tables.words(split) if split else "",
        "reference": dashed,
        "lines": shown,
        "shared": spelt(tables.named(lines)),
        "findings": [_finding(of_base, pairs) for of_base in _bases(lines)],
        "notes": tables.notes(lines),
        "scores": numbers.compared(lines, split),
        "differences": [
            d for of_base in _bases(lines) if (d := tables.differences(of_base, pairs))
        ],
        "leaked": numbers.leaked(lines),
        "plugged": numbers.plugged(lines),
        "published": paper.of_group(mine, lines, anchors, place),
        "groups": numbers.grouped(lines, split),
        "familiarity": numbers.by_category(lines, split),
        "confidence": numbers.confidence(lines, split),
        "examples": examples.chosen(lines, told, split),
        "verdicts": examples.judged(lines, here, split),
        "artifacts": _artifacts(lines, here),
    }
    group["findings"] = [finding for finding in group["findings"] if finding]
    for name, (series, axes) in pictures.items():
        group[name] = charts.panels(series, axes, f"{place}-{name}", dashed) if series else []
    group["losses"] = {
        words: charts.panels(series, curves.losses(kind), f"{place}-{kind}")
        for kind, words in curves.TRAINED.items()
        if (series := curves.by_step(here, kind, dataset, model))
    }
    has = {name: bool(value) for name, value in group.items()}
    lost = {k.setting.shows: names for k in mine if (names := k.lacking(lines))}
    group["missing"] = missing.of_group(lines, here, has, lost)
    return group


def _bases(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines by their base model: others are not compared."""
    return [[x for x in lines if x.base == b] for b in dict.fromkeys(x.base for x in lines)]


def _finding(lines: Sequence[Line], pairs: Sequence[Comparison]) -> dict[str, Any] | None:
    """The best prerequisite method against the best plain one, in numbers and in words."""
    ours, plain = best(lines, "prerequisite"), best(lines, "plain")
    split = reported(ours) if ours and plain else None
    rows = between(pairs, ours, plain, split) if split else []
    if not rows:
        return None
    told = tables.sentences(lines, pairs)
    return {"row": rows[0], "split": tables.words(split), "sentences": told}


def _line(line: Line, here: Origins, number: int, place: str) -> dict[str, Any]:
    """A method with the runs that its numbers come from."""
    runs = []
    for seed, of_split in sorted(line.runs.items()):
        for run in {run.folder: run for run in of_split.values()}.values():
            told = {"command": here.command(line, seed, run), "scores": here.found.get(run.key)}
            runs.append({"seed": seed, "chain": here.chain(run.key)} | told)
    return {
        "name": line.name,
        "family": line.family,
        "anchor": f"m-{place}-{number}",
        "seeds": sorted(line.runs),
        "runs": runs,
    }


def _artifacts(lines: Sequence[Line], here: Origins) -> list[Origin]:
    """Every artifact that the lines' numbers rest on, each once, in the order of making."""
    found = {
        one.anchor: one
        for line in lines
        for of_split in line.runs.values()
        for run in of_split.values()
        for one in here.chain(run.key)
    }
    kinds = origins.KINDS.index
    return sorted(found.values(), key=lambda o: (kinds(o.manifest["kind"]), o.manifest["made"]))
