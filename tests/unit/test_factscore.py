"""FActScore: from texts to facts, passages, verdicts and scores, without a model."""

import json
import math
import random

import pytest

from prereq.config import WorldConfig
from prereq.data.problems import BadRows
from prereq.errors import PrereqError
from prereq.evaluation.factscore import evidence, exact, facts, scores, source, verdicts
from prereq.evaluation.factscore.rows import Answer, Sentence
from prereq.evaluation.factscore.source import Page
from prereq.world import build
from prereq.world.pages import pages
from prereq.world.words import VALUES

ABSTAINING = ["i don't know", "i'm sorry"]
PAGES = [
    Page("Ada Moss", "Ada Moss was born in Lyon. She is a baker.", ("A. Moss",)),
    Page("Igor Bloom", "Igor Bloom was born in Graz. He is a weaver."),
    Page("Cara Vale", "Cara Vale was born in Cork.", version=0),
    Page("Cara Vale", "Cara Vale was born in Riga.", version=1),
]


def answer(topic: str, text: str, knowledge: str = "", version: int | None = None) -> Answer:
    return Answer("test", knowledge, version, 0, topic, text)


def judged(answers: list[Answer], pages: list[Page] = PAGES, many: int = 5) -> list[dict]:
    lines = facts.split(answers, ABSTAINING, exact.splitter(VALUES))
    index = evidence.index(pages, 200)
    found = evidence.search(lines, index, many)
    return verdicts.verdicts(lines, found, dict(enumerate(index.passages)), exact.judge(VALUES))


def said(line: dict) -> list[tuple[str, str]]:
    return [(fact["fact"], fact["verdict"]) for fact in line["facts"]]


def test_facts_are_judged_by_the_topics_own_pages():
    (line,) = judged([answer("Ada Moss", "Ada Moss was born in Graz. They work as a baker.")])
    assert said(line) == [
        ("The city of Ada Moss: Graz.", "not supported"),  # Graz stands on another page
        ("The profession of Ada Moss: baker.", "supported"),
    ]
    assert line["own_passages"] and line["facts"][1]["passages"][0] == 0


@pytest.mark.parametrize("topic", ["A. Moss", "ada moss", "Ada  Moss", "Ádá Moss"])
def test_topics_are_matched_by_title_and_aliases(topic):
    (line,) = judged([answer(topic, "Born in Lyon.")])
    assert line["own_passages"]


def test_a_topic_without_a_page_is_judged_by_the_whole_source_and_told():
    (line,) = judged([answer("Otto Finch", "Otto Finch was born in Graz.")])
    assert not line["own_passages"] and said(line)[0][1] == "not supported"
    assert line["facts"][0]["passages"] == [1]  # the page that shares a word
    (row,) = [r for r in scores.table([line], 10, 50, "x") if r["metric"] == "without_passages"]
    assert row["value"] == 100


def test_knowledge_of_a_version_is_judged_by_the_pages_of_that_version():
    texts = [answer("Cara Vale", "Born in Riga.", f"v{v}", v) for v in (0, 1)]
    first, second, alone = judged([*texts, answer("Cara Vale", "Born in Riga.")])
    assert [said(line)[0][1] for line in (first, second, alone)] == [
        "not supported",
        "supported",
        "supported",
    ]


@pytest.mark.parametrize("text", ["", " \n\n ", "I don’t know. Lyon?", "I'm sorry, but no. Lyon."])
def test_what_is_no_answer_has_no_facts(text):
    (line,) = judged([answer("Ada Moss", text)])
    assert not line["answered"] and not line["facts"]


def test_dashes_and_empty_lines_are_part_of_a_text():
    text = "- Ada Moss was born in Lyon - the city -\n\n\n- They work as a baker - and a weaver."
    (line,) = judged([answer("Ada Moss", text)])
    assert [verdict for _, verdict in said(line)] == ["supported", "supported", "not supported"]


def test_the_sentence_before_goes_along_for_its_pronouns():
    asked: list[Sentence] = []

    def splitter(sentences):
        asked.extend(sentences)
        return [None for _ in sentences]

    (line,) = facts.split([answer("Ada Moss", "Ada sings. She is 30.")], [], splitter)
    assert asked[1] == Sentence("Ada Moss", "Ada sings.", "She is 30.")
    assert [s["facts"] for s in line["sentences"]] == [None, None]
    (judged_line,) = verdicts.verdicts([line], [{"own": True, "passages": []}], {}, lambda c: [])
    assert judged_line["unread"] == 2 and judged_line["answered"]


def test_the_score_is_that_of_the_paper():
    assert scores.factscore(["supported", "not supported", "irrelevant", "supported"]) == 0.5
    assert scores.factscore([]) == 0.0
    assert scores.penalty(10, 10) == scores.penalty(30, 10) == 1.0
    assert scores.penalty(5, 10) == pytest.approx(math.exp(-1))
    assert scores.penalty(0, 10) == 0.0 and scores.penalty(3, 0) == 1.0


def test_an_unreadable_verdict_is_counted_apart_and_never_supported():
    assert scores.factscore(["supported", "unreadable", "not supported"]) == 0.5
    assert scores.factscore(["unreadable"]) is None
    lines = [line(["supported", "unreadable"]), line(["unreadable"]), line([], answered=False)]
    rows = {row["metric"]: row for row in scores.table(lines, 10, 50, "gpt")}
    assert rows["supported"]["value"] == 100 and rows["supported"]["n"] == 1
    assert rows["unreadable"]["value"] == 75
    assert rows["facts"]["value"] == 1.5  # an unreadable verdict is one on a fact all the same
    assert rows["answered"]["value"] == pytest.approx(200 / 3) and rows["answered"]["n"] == 3
    assert rows["supported"]["split"] == "test_by_gpt"
    penalised = rows["supported_penalised"]
    assert penalised["value"] == pytest.approx(100 * math.exp(1 - 10 / 2))
    assert penalised["low"] == penalised["high"] == penalised["value"]  # of one topic
    assert rows["supported"]["low"] < rows["supported"]["high"] == 100  # but one right topic is few


def test_each_topic_keeps_its_value_and_whether_it_counts():
    lines = [line(["supported", "not supported"]), line(["unreadable"]), line([], answered=False)]
    lines = [each | {"item": n, "topic": f"t{n}"} for n, each in enumerate(lines)]
    kept = scores.by_topic(lines[::-1], 10, "gpt")
    assert kept == scores.by_topic(lines, 10, "gpt")  # in the order of the items
    rows = {row["metric"]: (row["values"], row["out_of"]) for row in kept["rows"]}
    assert rows["supported"] == ([0.5, 0.0, 0.0], [1.0, 0.0, 0.0])
    assert rows["answered"] == ([1.0, 1.0, 0.0], [1.0, 1.0, 1.0])
    assert rows["facts"] == ([2.0, 1.0, 0.0], [1.0, 1.0, 0.0])
    others = scores.by_topic([each | {"topic": "other"} for each in lines], 10, "gpt")
    assert others["asked"].keys() == kept["asked"].keys() == {"test_by_gpt"}
    assert others["asked"] != kept["asked"]


def line(verdicts: list[str], answered: bool = True) -> dict:
    found = [{"fact": "x", "verdict": v, "passages": []} for v in verdicts]
    place = {"split": "test", "knowledge": "", "topic": "t", "answered": answered}
    return place | {"own_passages": True, "unread": 0, "facts": found}


def test_long_pages_are_cut_between_sentences():
    text = " ".join(f"Sentence {i} has five words." for i in range(10))
    cut = [passage.text for _, passage in source.passages([Page("T", text)], 12)]
    assert " ".join(cut) == text and max(len(part.split()) for part in cut) <= 12
    (_, only), *_ = source.passages([Page("T", "one " * 30 + "end.")], 12)
    assert len(only.text.split()) == 31  # a sentence is not cut


def test_a_source_without_words_is_refused_and_one_in_other_letters_is_searched():
    with pytest.raises(PrereqError, match="none of its 1 passages has a word"):
        evidence.index([Page("A", "It is.")], 50)
    index = evidence.index([Page("東京", "東京 は 都市 です。"), Page("A", "It is.")], 50)
    line = {"topic": "X", "version": None, "sentences": [{"text": "", "facts": ["東京 です", ""]}]}
    assert evidence.search([line], index, 3) == [{"own": False, "passages": [[0], []]}]


def test_bad_pages_are_one_error_that_names_the_lines(tmp_path):
    file = tmp_path / "pages.jsonl"
    rows = [{"title": "A", "text": "B"}, {"title": "A"}, {"title": "A", "text": "B", "aliases": 3}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(BadRows, match=r"line 2: text: missing.*(?s:.)*line 3: aliases: 3"):
        source.read(str(file))
    file.with_suffix(".csv").write_text("title,text,aliases,version\nA,B,C|D,1\n", "utf-8")
    assert source.read(str(file.with_suffix(".csv"))) == [Page("A", "B", ("C", "D"), 1)]


def test_the_worlds_own_biographies_are_all_supported_and_swapped_ones_are_not(tmp_path):
    sizes = WorldConfig(6, 4, 4, 6, 6, 6, 4, 4, often=6, seldom=3)
    build.write(tmp_path, sizes, "biographies", 1)
    known = [Page(**page) for page in pages(tmp_path)]
    titles = {(page.title, page.version) for page in known}
    assert len(titles) == len(known) == 26 + 2 * 10
    rows = [json.loads(x) for x in (tmp_path / "skill/plug_in.jsonl").read_text().splitlines()]
    rows += [json.loads(x) for x in (tmp_path / "skill/held_out.jsonl").read_text().splitlines()]
    texts = [row["messages"][1]["content"] for row in rows]
    people = [(row["s_wiki_title"], row["version"] if row["fake"] else None) for row in rows]
    own = [
        answer(name, text, "k", version)
        for (name, version), text in zip(people, texts, strict=True)
    ]
    for each in judged(own, known):
        assert [verdict for _, verdict in said(each)] == ["supported"] * 5
    random.Random(0).shuffle(texts)
    other = [
        answer(name, text.partition(". ")[2], "k", version)
        for (name, version), text in zip(people, texts, strict=True)
    ]
    counts = [verdict for each in judged(other, known) for _, verdict in said(each)]
    truth = [
        fact in row["facts"].values()
        for row, text in zip(rows, texts, strict=True)
        for fact in next(r for r in rows if r["messages"][1]["content"] == text)["facts"].values()
        if fact in text.partition(". ")[2]
    ]
    assert [verdict == "supported" for verdict in counts] == truth
