"""The picture: accuracy on held-out known facts by epoch, one line a method."""

import io
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from prereq import files
from prereq.report.collect import CURVE_SPLIT, Scored

# Colours that differ for colour-blind readers (Okabe and Ito); plain fine-tuning warm, ours cool.
COLOURS = {
    "sft": "#D55E00",
    "sft_fictitious": "#E69F00",
    "sft_known": "#999999",
    "prereq_tune": "#0072B2",
    "prereq_fictitious": "#56B4E9",
    "prereq_plain": "#009E73",
}


def curves(results: Sequence[Scored], file: Path) -> Path | None:
    """Write one panel for each data set and model that has curves; the file, or None without any."""
    results = [r for r in results if any(c["split"] == CURVE_SPLIT for c in r.curve)]
    results = [r for r in results if "(" not in r.method]  # runs off the recipe would crowd it
    places = sorted({(r.dataset, r.model) for r in results})
    if not places:
        return None
    figure, axes = plt.subplots(
        1, len(places), figsize=(1 + 5.2 * len(places), 4.4), squeeze=False, sharey=True
    )
    for axis, place in zip(axes[0], places, strict=True):
        _panel(axis, [r for r in results if (r.dataset, r.model) == place], " · ".join(place))
    axes[0][0].set_ylabel("held-out known facts told right, %")
    figure.tight_layout()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    plt.close(figure)
    files.write_bytes(file, content.getvalue())
    return file


def _panel(axis, results: Sequence[Scored], title: str) -> None:
    ends = []
    for method in dict.fromkeys(r.method for r in results):
        runs = [_line(r) for r in results if r.method == method]
        colour = COLOURS.get(method)
        for epochs, values in runs if len(runs) > 1 else ():
            axis.plot(epochs, values, color=colour, linewidth=0.7, alpha=0.35)
        epochs = runs[0][0]
        means = [
            fmean(values[i] for _, values in runs) for i in range(min(len(v) for _, v in runs))
        ]
        style = "--" if method == "sft_known" else "-"
        (line,) = axis.plot(
            epochs[: len(means)], means, style, color=colour, linewidth=2, label=method
        )
        ends.append((means[-1], method, line.get_color(), epochs[len(means) - 1]))
    _label_ends(axis, ends)
    axis.set_xlabel("epoch of skill training")
    axis.set_ylim(0, 102)
    axis.set_title(title, loc="left")
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def _line(result: Scored) -> tuple[list[int], list[float]]:
    points = sorted((c["epoch"], c["value"]) for c in result.curve if c["split"] == CURVE_SPLIT)
    return [epoch for epoch, _ in points], [value for _, value in points]


def _label_ends(axis, ends: list[tuple[float, str, str, int]]) -> None:
    """Name each line at its end, from the top down, moved apart where they would overlap."""
    ceiling = 100.0
    longest = max(epoch for *_, epoch in ends)
    for value, method, colour, _ in sorted(ends, reverse=True):
        place = min(value, ceiling)
        ceiling = place - 4.5
        axis.annotate(
            method,
            (longest, place),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=9,
        )
    axis.set_xlim(0, longest * 1.38)
    axis.set_xticks([tick for tick in axis.get_xticks() if 0 < tick <= longest])
