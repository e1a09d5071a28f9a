"""The page: text stays text, nothing is loaded, what is missing is named."""

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser

import pytest

from prereq.errors import PrereqError
from prereq.report.estimates import estimate
from prereq.report.page import charts, curves, numbers, origins, svg
from prereq.report.published import kept as published
from prereq.report.published.beside import Setting
from prereq.report.published.kept import Kept, Run
from tests.scored import lines, scored
from tests.scored import page as written_page
from tests.unit.test_published import SETTING

EVIL = '<script>alert("x")</script><img src=x onerror=y>'


class Reader(HTMLParser):
    """Every element with its attributes, and the texts of style and script."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        if self.elements:
            self.inside.setdefault(self.elements[-1][0], []).append(data)

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def told(answer: str, item: int = 0, grade: str = "wrong", split: str = "held_out") -> dict:
    kept = {"split": split, "item": item, "question": f"{EVIL} {item}?", "expected": [EVIL]}
    return kept | {"answer": answer, "right": float(grade == "right"), "grade": grade}


@pytest.fixture
def page(tmp_path):
    """The page of two methods, whose questions, answers and settings are all hostile."""
    evil = {"changes": {"model.path": EVIL}, "coverage": []}
    scored(tmp_path, "sft", answers=[told(EVIL), told("right one", 1, "right")])
    scored(tmp_path, "prereq_tune", answers=[told("", 0, "not attempted")], **evil)
    return written_page(tmp_path, "report/index.html")


def test_whatever_comes_from_data_stays_text(page):
    read = Reader(page.read_text("utf-8"))
    assert len(read.of("script")) == 1 and not read.of("img")
    texts = " ".join("".join(parts) for parts in read.inside.values())
    assert texts.count(EVIL) >= 4  # a question, what was expected, an answer, a setting
    assert not [a for _, attributes in read.elements for a in attributes if a.startswith("on")]


def test_the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else(page):
    text = page.read_text("utf-8")
    read = Reader(text)
    (policy,) = [m["content"] for m in read.of("meta") if "http-equiv" in m]
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = hashlib.sha256(inside.encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ")
    for tag, attributes in read.elements:
        assert "style" not in attributes, tag  # the policy would drop it
        assert tag not in ("link", "iframe", "object", "use") and "src" not in attributes
        assert not re.match(r"\w+:|//", attributes.get("href", "")), attributes


def test_every_answer_is_marked_by_a_word_and_those_that_agree_stand_together(tmp_path):
    for method in ("sft", "sft_fictitious", "prereq_tune"):
        answer = "Paris" if method == "prereq_tune" else " Rome\n"
        scored(tmp_path, method, answers=[told(answer)])
    text = written_page(tmp_path).read_text("utf-8")
    cards = re.findall(r'<li data-grade="wrong">(.*?)</li>', text, re.DOTALL)
    assert len(cards) == 2 and all("✗" in card and "wrong" in card for card in cards)
    (rome,) = [card for card in cards if "Rome" in card]
    assert re.findall(r'data-who="(\w+)"', rome) == ["sft", "sft_fictitious"]
    assert "✗ 3 wrong" in text  # beside the question, also where its answers are folded


def test_every_link_within_the_page_leads_somewhere(page):
    read = Reader(page.read_text("utf-8"))
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = {a["href"][1:] for a in read.of("a") if a["href"].startswith("#")}
    assert inner and inner <= set(ids)
    for link in (a["href"] for a in read.of("a") if not a["href"].startswith("#")):
        assert (page.parent / link).exists(), link


def test_the_highest_is_bold_and_an_oracle_never_is(tmp_path):
    low, high = {"held_out": [1.0, 0.0]}, {"held_out": [1.0, 1.0]}
    scored(tmp_path, "sft", rows=low)
    scored(tmp_path, "prereq_tune", rows={"held_out": [1.0, 0.0, 1.0]})
    scored(tmp_path, "sft_known", rows=high)
    found = lines(tmp_path)
    next(line for line in found if line.method == "sft_known").family = "oracle"
    (column,) = numbers.compared(found, "held_out").columns
    best = [line.method for line, c in zip(found, column.cells, strict=True) if c.best]
    assert best == ["prereq_tune"]


def test_leaks_stand_apart_from_what_is_compared(tmp_path):
    rows = {"held_out": [1.0], "unknown": [1.0, 0.0]}
    scored(tmp_path, rows=rows, roles={"held_out": "known", "unknown": "unknown"})
    found = lines(tmp_path)
    assert [c.heading for c in numbers.compared(found, "held_out").columns] == ["held out"]
    (leak,) = numbers.leaked(found).columns
    assert leak.heading == "unknown" and leak.cells[0].text == "50.0" and leak.cells[0].n == 2


def test_accuracy_by_what_a_probe_says(tmp_path):
    known, unknown = (f"held_out/familiarity={name}" for name in ("highly known", "unknown"))
    scored(tmp_path, "sft", rows={"held_out": [1.0, 0.0], unknown: [0.0], known: [1.0]})
    grid = numbers.by_category(lines(tmp_path), "held_out")
    assert [(c.heading, c.cells[0].text, c.cells[0].n) for c in grid.columns] == [
        ("highly known", "100.0", 1),
        ("unknown", "0.0", 1),
    ]


def test_accuracy_by_fictitious_data_is_a_line_a_method(tmp_path):
    for count in (25, 100):
        for seed in (1, 2):
            changes = {"fictitious_entities": count}
            scored(tmp_path, "prereq_tune", seed, who=str(count), changes=changes)
    scored(tmp_path, "sft")
    (series,) = curves.by_fictitious_data(lines(tmp_path), "held_out")
    assert series.name == "prereq_tune" and series.mean == [(25.0, 75.0), (100.0, 75.0)]
    assert len(series.runs) == 2


def test_the_run_on_all_of_the_data_stands_at_the_number_that_it_has(tmp_path):
    """Whose settings do not say it: it learnt from 75 subjects more than the one with 25 fictitious ones."""
    few = {"changes": {"fictitious_entities": 25}, "subjects": 125, "rows": {"held_out": [0.0]}}
    scored(tmp_path, "prereq_tune", who="few", **few)
    scored(tmp_path, "prereq_tune", who="all", subjects=200)
    (series,) = curves.by_fictitious_data(lines(tmp_path), "held_out")
    assert series.mean == [(25.0, 0.0), (100.0, 75.0)]
    assert [x for x, low, high in series.intervals if low <= high] == [25.0, 100.0]


def kept_of(root, shows: str, **setting) -> Kept:
    """An experiment of every line under `root`, kept as a run keeps it."""
    runs = [
        Run(x.method, x.changes.get("fictitious_entities"), x.method, x.who) for x in lines(root)
    ]
    kept = Kept(Setting(shows, **(SETTING | setting)), runs)
    published.write(kept, root / "report")
    return kept


def test_the_papers_tables_stand_beside_what_was_run(tmp_path):
    for method in ("sft_fictitious", "prereq_tune"):
        scored(tmp_path, method)
        changes = {"fictitious_entities": 25}
        scored(tmp_path, method, who="25", changes=changes, rows={"held_out": [0.0, 1.0]})
    assert published.read(tmp_path / "report") == []
    kept = [kept_of(tmp_path, "table1"), kept_of(tmp_path, "figure4", subjects=100)]
    assert published.read(tmp_path / "report") == kept
    text = written_page(tmp_path, "report/index.html").read_text("utf-8")
    first, second = re.findall(r'<article class="published">(.*?)</article>', text, re.DOTALL)
    assert "75.0" in first and '<td class="printed">15.44</td>' in first and "FLAME" in first
    assert "→ another task and another model" in first and "<svg" not in first
    assert "<svg" in second and "100 subjects" in second and "style=" not in second
    assert "f-ink" in second and not any(colour in second for colour in svg.CLASSES)
    runs = re.findall(r'href="#(m-[^"]+)"', second.rpartition("runs:")[2])
    assert len(set(runs)) == 4 and all(f'id="{anchor}"' in text for anchor in runs)


def test_a_figure_of_which_scores_are_gone_has_what_is_left(tmp_path):
    scored(tmp_path, "sft")
    scored(tmp_path, "prereq_tune")
    kept = kept_of(tmp_path, "table1")
    shutil.rmtree(next(tmp_path.glob("*/*/scores/sft-*")))
    assert kept.lacking(lines(tmp_path)) == ["sft"]
    text = written_page(tmp_path, "report/index.html").read_text("utf-8")
    (table,) = re.findall(r'<article class="published">(.*?)</article>', text, re.DOTALL)
    assert "no longer here: sft" in table and "prereq<wbr>" not in table and "75.0" in table
    assert "python -m prereq experiment=table1 dataset=world model=tiny seed=1" in text
    shutil.rmtree(next(tmp_path.glob("*/*/scores/prereq_tune-*")))
    scored(tmp_path, "sft_known")
    assert "Beside the paper" not in written_page(tmp_path, "report/index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("{}", "setting"),
        ('{"setting": {"shows": "table1", "long": "?"}, "runs": []}', "setting.long"),
        ('{"setting": {"shows": "table1"}, "runs": []}', "missing"),
    ],
)
def test_a_damaged_experiment_is_refused_with_the_remedy(tmp_path, content, said):
    scored(tmp_path)
    file = tmp_path / "report" / "table1-world-tiny.json"
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(PrereqError, match=rf"{file.name}.*{said}.*remove it"):
        written_page(tmp_path, "report/index.html")


def test_what_is_missing_is_named_with_its_command(tmp_path):
    scored(tmp_path, "sft", seed=1)
    scored(tmp_path, "sft", seed=2)
    scored(tmp_path, "prereq_tune", seed=1, changes={"skill.epochs": 3})
    text = written_page(tmp_path).read_text("utf-8")
    section = text.partition('-missing"><h3>')[2]
    assert "prereq_tune (skill.epochs=3) with seed 2" in section
    assert "method=prereq_tune seed=2 skill.epochs=3" in section
    assert "python -m prereq stage=probe dataset=world model=tiny seed=1" in section
    assert "Answers side by side" not in text  # no answers were kept


def test_a_setting_is_told_by_the_whole_key_that_a_command_needs(tmp_path):
    (folder,) = (scored(tmp_path, changes={"skill.epochs": 3}), *tmp_path.glob("*/*/scores/*"))[1:]
    (line,) = lines(tmp_path)
    here = origins.read(tmp_path)
    here.configs[folder] = {"dataset": {"skill": {"training": {"epochs": 8}}, "rows": "a b.csv"}}
    command = here.command(line, 1, next(iter(line.runs[1].values())))
    assert command.startswith("python -m prereq stage=eval dataset=world model=tiny method=sft")
    assert "dataset.skill.training.epochs=3" in command and "'dataset.rows=a b.csv'" in command


def test_an_altered_log_is_refused_with_the_remedy(tmp_path):
    scored(tmp_path)
    (folder,) = tmp_path.glob("*/*/scores/*")
    (folder / "config.yaml").write_text("changed: true\n")
    with pytest.raises(PrereqError, match=r"config\.yaml: .* remove the folder"):
        origins.read(tmp_path).config(folder)


def test_a_picture_has_no_style_of_its_own_and_says_what_it_shows():
    series = [charts.Series("a <b>", [(1, 10), (2, 90)], []), charts.Series("c", [(1, 5)], [])]
    panels = charts.panels(series, curves.EPOCHS, "p", reference="c")
    for panel in panels:
        assert "style" not in panel.picture and "f-ink" in panel.picture
        assert not any(colour in panel.picture for colour in svg.CLASSES)
        assert "s-accent" in panel.picture or "f-accent" in panel.picture
    assert 'aria-label="a &lt;b&gt;: accuracy' in panels[0].picture
    assert panels[0].note == "10.0 → 90.0 %"


def test_a_share_of_several_seeds_stays_within_0_and_100(tmp_path):
    """Where rows are not kept, the interval is made of the seeds' own."""
    group = {"split": "held_out/prop=x", "metric": "accuracy", "knowledge": "", "unit": "share"}
    for seed in (1, 2, 3):
        score = group | {"value": 100.0, "low": 60.0, "high": 100.0, "n": 4}
        scored(tmp_path, seed=seed, scores=[score])
    found = estimate(*lines(tmp_path), "held_out/prop=x", "accuracy")
    assert found.value == 100 and 0 < found.low < 100 and found.high == 100


def test_scores_alone_make_a_page(tmp_path):
    scored(tmp_path, rows={"mine": [1.0, 0.0]}, roles={"mine": None})
    assert "Not here" in written_page(tmp_path).read_text("utf-8")
