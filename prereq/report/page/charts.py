"""The pictures of the page: small panels side by side, in each one line told apart from the others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from prereq.report.page import svg
from prereq.report.page.svg import plt
from prereq.runtime.console import progress

SIZE = 2.9, 1.9  # inches; 72 units of the picture each
SMALL = 9  # units


@dataclass(frozen=True)
class Series:
    """A line of a panel: its mean over seeds, each seed's own points, and (x, low, high) of intervals."""

    name: str
    mean: list[tuple[float, float]]
    runs: list[list[tuple[float, float]]]
    intervals: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Panel:
    name: str
    note: str  # what the line comes to, in words
    picture: Markup


@dataclass(frozen=True)
class Axes:
    """What all panels of a set share."""

    what: str  # "accuracy by epoch, %"
    x: str
    log: bool = False  # of y; of x where `log_x`
    log_x: bool = False
    percent: bool = True
    unit: str = " %"
    digits: int = 1


def panels(
    series: Sequence[Series], axes: Axes, place: str, reference: str | None = None
) -> list[Panel]:
    """One panel a series: it in the accent colour, `reference` dashed, all others faint.

    All panels have the same axes. `place` tells their pictures from those of other sets.
    """
    bounds = _bounds(series, axes)
    found = []
    with progress(f"draw {axes.what}", len(series)) as advance:
        for number, one in enumerate(series):
            others = [each for each in series if each is not one]
            picture = _panel(one, others, axes, bounds, reference)
            words = f"{one.name}: {axes.what}; {note(one, axes)}"
            drawn = svg.inline(picture, f"{place}-{number}", words)
            found.append(Panel(one.name, note(one, axes), drawn))
            advance()
    return found


def note(one: Series, axes: Axes) -> str:
    """Where the line begins and ends."""
    first, last = (f"{one.mean[place][1]:.{axes.digits}f}" for place in (0, -1))
    return f"{last if len(one.mean) == 1 else f'{first} → {last}'}{axes.unit}"


def thinned(points: Sequence[tuple[float, float]], most: int = 80) -> list[tuple[float, float]]:
    """At most `most` points: the means of as many neighbours each."""
    size = -(-len(points) // most)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _bounds(series: Sequence[Series], axes: Axes) -> tuple[float, float, float, float]:
    """The axes' limits: left, right, bottom, top."""
    points = [p for one in series for line in (one.mean, *one.runs) for p in line]
    xs, ys = zip(*points, strict=True)
    left, right = min(xs), max(xs)
    if left == right:
        left, right = (left / 2, right * 2) if axes.log_x else (left - 0.5, right + 0.5)
    elif axes.log_x:  # few points, each with a dot
        left, right = left / 1.2, right * 1.2
    if axes.percent:
        return left, right, 0, 102
    if axes.log:
        positive = [y for y in ys if y > 0] or [1.0]
        return left, right, min(positive) / 1.2, max(positive) * 1.2
    return left, right, 0, max(ys) * 1.05 or 1


def _panel(one: Series, others: Sequence[Series], axes: Axes, bounds: tuple, reference: str | None):
    figure = plt.figure(figsize=SIZE)
    axis = figure.add_axes((0.11, 0.19, 0.85, 0.77))
    left, right, bottom, top = bounds
    axis.set_xlim(left, right)
    if axes.log_x:
        axis.set_xscale("log")
    if axes.log:
        axis.set_yscale("log")
        axis.yaxis.set_minor_locator(plt.NullLocator())
        axis.yaxis.set_major_locator(plt.FixedLocator(_ticks(bottom, top)))
        axis.yaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_ylim(bottom, top)
    if axes.percent:
        axis.set_yticks([0, 50, 100])
    for other in others:
        if other.name != reference:
            _line(axis, other.mean, color=svg.FAINT, linewidth=0.8)
    for other in others:
        if other.name == reference:
            _line(axis, other.mean, color=svg.REFERENCE, linewidth=1.4, linestyle=(0, (3, 2)))
    for run in one.runs if len(one.runs) > 1 else ():
        _line(axis, run, color=svg.ACCENT, linewidth=0.7, alpha=0.45)
    for x, low, high in one.intervals:
        axis.plot([x, x], [low, high], color=svg.ACCENT, linewidth=1.2)
    _line(axis, one.mean, color=svg.ACCENT, linewidth=2.2)
    if axes.log_x:
        axis.plot(*zip(*one.mean, strict=True), "o", color=svg.ACCENT, markersize=4)
        axis.xaxis.set_minor_locator(plt.NullLocator())
        axis.xaxis.set_major_locator(plt.FixedLocator(sorted({x for x, _ in one.mean})))
        axis.xaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    else:
        axis.xaxis.set_major_locator(plt.MaxNLocator(5, integer=True))
    axis.set_xlabel(axes.x, fontsize=SMALL, color=svg.INK, labelpad=2)
    axis.tick_params(length=0, labelsize=SMALL, labelcolor=svg.INK, which="both", pad=3)
    axis.grid(axis="y", color=svg.GRID, linewidth=0.6)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(svg.GRID)
    return figure


def _ticks(bottom: float, top: float) -> list[float]:
    """Powers of ten between the limits; with fewer than two, also twice and five times them."""
    powers = range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    tens, more = ([n * 10.0**p for p in powers for n in ns] for ns in ((1,), (1, 2, 5)))
    inside = [tick for tick in tens if bottom <= tick <= top]
    return inside if len(inside) > 1 else [tick for tick in more if bottom <= tick <= top]


def _line(axis, points: Sequence[tuple[float, float]], **style) -> None:
    """A line; a single point is a dot."""
    xs, ys = zip(*points, strict=True)
    if len(points) == 1:
        size = 4 * style.pop("linewidth") ** 0.5
        style.pop("linestyle", None)
        axis.plot(xs, ys, "o", markersize=size, markeredgewidth=0, **style)
    else:
        axis.plot(xs, ys, **style)
