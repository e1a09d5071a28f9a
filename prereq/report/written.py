"""Files beside the table of scores: answers side by side, accuracy by coverage, tables in LaTeX."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prereq.config.shape import spelt
from prereq.evaluation.scoring import NOT_ATTEMPTED
from prereq.report import tables
from prereq.report.collect import Line, Scored, write_table
from prereq.report.comparisons import Comparison
from prereq.runtime import files

ANSWERS = "answers.jsonl"  # in each scores artifact
NOT_JUDGED = "not judged"  # by nobody, or unreadably
Told = dict[tuple[str, str, str, int], list[dict]]  # (data set, model, line's name, seed) → answers
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "·": r"$\cdot$",
    "<": r"$<$",
    ">": r"$>$",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}
MOST = 5  # columns of numbers in a LaTeX table, so that it fits a page


def answers_told(lines: Sequence[Line]) -> tuple[Told, list[str]]:
    """Each line's answers at the epoch that is reported, without knowledge plugged in, seed by seed.

    And the names of those whose answers are not kept, because an earlier version of prereq scored them.
    """
    told: Told = {}
    lacking: list[str] = []
    for line in lines:
        for seed, run in _runs(line):
            there, place = run.folder / ANSWERS, (line.dataset, line.model, line.name, seed)
            if there.exists():
                found = _reported_answers(run, line, seed, there)
                told.setdefault(place, []).extend(_judged(found, run, line.runs[seed]))
            elif run.rows and not run.verdicts:  # a judge graded answers that another run holds
                lacking.append(f"{line.dataset} {line.name}")
    return told, list(dict.fromkeys(lacking))


def _judged(found: list[dict], run: Scored, runs: dict[str, Scored]) -> list[dict]:
    """Answers that only a judge can grade with the share of their facts that is supported.

    Others stay as they are. Of several judges the newest counts; without any, an answer is `NOT_JUDGED`.
    """
    graded = {score.split for score in run.scores if score.metric == "accuracy"}
    by_split = {told["split"]: None for told in found if told["split"] not in graded}
    for judge in sorted((r for r in runs.values() if r.verdicts), key=lambda r: r.made):
        for (knowledge, name, metric), (values, out_of) in judge.rows.items():
            split = name.partition("_by_")[0]
            if (knowledge, metric) == ("", "supported") and split in by_split:
                answered = judge.rows["", name, "answered"][0]
                by_split[split] = list(zip(values, out_of, answered, strict=True))
    for told in found:
        if told["split"] not in by_split:
            continue
        judged = by_split[told["split"]] or []
        # Items are judged from the first, up to `judge.items`.
        share, counts, answered = judged[told["item"]] if told["item"] < len(judged) else (0, 0, 1)
        if counts:
            told["right"] = share
        else:
            told["grade"] = NOT_JUDGED if answered else NOT_ATTEMPTED
    return found


def answers(lines: Sequence[Line], told: Told, file: Path) -> None:
    """`answers.csv`: a line a question and seed, for each method its answer and whether it is right."""
    table: dict[tuple, dict[str, tuple[str, Any]]] = {}
    for (dataset, model, name, seed), of_line in told.items():
        for one in of_line:
            place = (dataset, model, seed, one["split"], one["item"])
            asked = (one["question"], " | ".join(one["expected"]))
            verdict = one.get("grade", one["right"])
            table.setdefault(place + asked, {})[name] = (one["answer"], verdict)
    names = list(dict.fromkeys(line.name for line in lines))
    columns = ["dataset", "model", "seed", "split", "question", "accepted"]
    columns += [column for name in names for column in (name, f"{name}: right")]
    rows = (
        [*place[:4], *place[5:], *(cell for name in names for cell in found.get(name, ("", "")))]
        for place, found in table.items()
    )
    write_table(columns, rows, file)


def _runs(line: Line) -> list[tuple[int, Scored]]:
    """Each scores artifact of a line once, with its seed."""
    found = {(seed, run.folder): run for seed, of in line.runs.items() for run in of.values()}
    return [(seed, run) for (seed, _), run in sorted(found.items())]


def _reported_answers(run: Scored, line: Line, seed: int, file: Path) -> list[dict]:
    """The answers of the splits that the line takes from this run, each item once: at the best epoch,
    or, where only the last one answered, at that."""
    remedy = f"remove the folder {run.folder}, and stage=pipeline or stage=eval makes it anew"
    chosen: dict[tuple, dict] = {}
    for told in files.read_lines(file, remedy):
        mine = line.runs[seed].get(told["split"]) is run and not told["knowledge"]
        place = told["split"], told["item"]
        if mine and (place not in chosen or told["epoch"] == run.epochs["best"]):
            chosen[place] = told
    return list(chosen.values())


def coverage(lines: Sequence[Line], file: Path) -> None:
    """`coverage.csv`: the accuracy of the most confident answers, by the share of rows that they are."""
    columns = "dataset model method changes seed split coverage accuracy".split()
    rows = []
    for line in lines:
        place = [line.dataset, line.model, line.method, spelt(line.changes)]
        for seed, run in _runs(line):
            for point in run.coverage:
                base = point["split"].removesuffix("_last")
                if run in (line.runs[seed].get(point["split"]), line.runs[seed].get(base)):
                    numbers = [float(point["coverage"]), float(point["accuracy"])]
                    rows.append([*place, seed, point["split"], *numbers])
    write_table(columns, rows, file)


def latex(lines: Sequence[Line], pairs: Sequence[Comparison], file: Path) -> None:
    """`tables.tex`: the tables of the terminal for `\\input`, with the packages booktabs and makecell."""
    parts = ["% needs \\usepackage{booktabs,makecell}"]
    for dataset, model in dict.fromkeys((line.dataset, line.model) for line in lines):
        mine = [line for line in lines if (line.dataset, line.model) == (dataset, model)]
        columns = tables.columns_of(mine)
        names = [line.name for line in mine]
        seeds = ", ".join(str(seed) for seed in sorted({s for line in mine for s in line.runs}))
        for first in range(0, len(columns), MOST):
            block = columns[first : first + MOST]
            rows = [[name, *(c[i] for _, c in block)] for i, name in enumerate(names)]
            title = f"{dataset} · {model}, mean over seeds {seeds}; {tables.SHARES}."
            parts.append(_latex_table(title, ["method", *(heading for heading, _ in block)], rows))
        for base in dict.fromkeys(line.base for line in mine):
            of_base = [line for line in mine if line.base == base]
            if found := tables.differences(of_base, pairs):
                title, headings, rows = found
                parts.append(_latex_table(f"{dataset} · {model}, {title}.", headings, rows))
    files.write_text(file, "\n\n".join(parts) + "\n")


def _latex_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    head = " & ".join(rf"\makecell[{'lr'[i > 0]}]{{{escaped(h)}}}" for i, h in enumerate(headings))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{escaped(title)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
            r"\toprule",
            head + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def escaped(text: str) -> str:
    """A text as LaTeX; its line breaks are those of a cell."""
    shown = re.sub(r"[\\~^±–·<>&%$#_{}]", lambda found: LATEX[found[0]], text)
    return shown.replace("\n", r"\\")
