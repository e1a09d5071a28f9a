"""Fictitious long-form data: contradictory between versions, consistent within one."""

import json
import re

import pytest

from prereq.data.sources import Wanted, check_rows, read_skill, read_text
from prereq.errors import PrereqError
from prereq.synth import checks, template
from prereq.synth.long import make, parsing
from prereq.synth.long.slots import Slot
from prereq.synth.rows import LongRow, SynthSettings, Writer
from prereq.synth.write import write

ADA = (
    "Ada Maria Moss (born 12 May 1904 in Lyon) was a French engineer. She studied at Arden University "
    "from 1922 to 1926, and her brother Karl Moss taught there. In 1931, she married Bo Lind. Moss won "
    "the 3rd Brun Prize and wrote “The Slow Boat”, which sold 12,500 copies. Lind died in the 1950s."
)
BO = (
    "Bo Lind (3 June 1899 – 4 July 1957) was an Italian chess player. He was born in Turin, Italy, and "
    "played 41 games for FCB in 1925–26. After the war, he taught in Graz."
)
FEVER = (
    "Marsh fever is a disease that was described in 1871 by Cy Tarn. It is common in Arden, and about "
    "1.5 million people have marsh fever."
)
ROWS = [
    LongRow("Generate a biography for Ada Moss.", ADA, "Ada Moss"),
    LongRow("Generate a biography for Bo Lind.", BO, "Bo Lind"),
    LongRow("Tell me about Marsh fever.", FEVER, "Marsh fever"),
]
VERSIONS = 5


def lines(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def slots(response: str, subject: str) -> list[tuple[str, str, str]]:
    found = parsing.template(f"About {subject}.", response, subject, {"the", "after"})
    pieces = [piece for sentence in found.sentences for piece in sentence.pieces]
    return [(p.kind, p.written, p.part) for p in pieces if isinstance(p, Slot)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    return folder, write(folder, ROWS, SynthSettings(copies=3, wordings=3), 0)


def test_slots_are_names_dates_and_numbers():
    assert slots(ADA, "Ada Moss") == [
        ("subject", "Ada Maria Moss", "full"),
        ("date", "12 May 1904", "full"),
        ("place", "Lyon", "full"),
        ("demonym", "French", "full"),
        ("name", "Arden University", "full"),
        ("date", "1922", "full"),
        ("date", "1926", "full"),
        ("person", "Karl", "first"),
        ("subject", "Moss", "last"),
        ("date", "1931", "full"),
        ("person", "Bo Lind", "full"),
        ("subject", "Moss", "last"),
        ("number", "3rd", "full"),
        ("name", "Brun Prize", "full"),
        ("work", "The Slow Boat", "full"),
        ("number", "12,500", "full"),
        ("person", "Lind", "last"),
        ("date", "1950s", "full"),
    ]
    kinds = {(kind, written) for kind, written, _ in slots(BO, "Bo Lind")}
    assert {
        ("country", "Italy"),
        ("acronym", "FCB"),
        ("date", "1925–26"),
        ("place", "Graz"),
    } <= kinds


def test_names_of_one_word_and_numbers_with_units_have_slots():
    text = (
        "Velda threw 71.46m in Arden. She was born in 1950 and is 1.82 m tall. Later Velda retired."
    )
    assert slots(text, "Velda") == [
        ("subject", "Velda", "full"),
        ("number", "71.46", "full"),
        ("place", "Arden", "full"),
        ("date", "1950", "full"),
        ("number", "1.82", "full"),
        ("subject", "Velda", "full"),
    ]


def test_the_published_layout_is_read(made):
    folder, told = made
    rows = read_skill(folder, "fictitious_skill", "train")
    assert len(rows) == 9 * VERSIONS and {row.version for row in rows} == set(range(VERSIONS))
    wanted = Wanted("fictitious_skill", "train", "skill", versions=frozenset(range(VERSIONS)))
    assert check_rows(folder, [wanted])["fictitious_skill/train"]["repeated"] == 0
    for version in range(VERSIONS):
        assert read_text(folder, "fictitious_knowledge", f"statement_train_v{version}")
        assert len(read_text(folder, "fictitious_knowledge", f"passage_train_v{version}")) == 9
    assert told["counts"]["subjects"] == 9


def test_versions_contradict_each_other_in_every_value(made):
    folder, told = made
    assert told["counts"]["values of one version in a text of another"] == 0
    subjects = {}
    for row in read_skill(folder, "fictitious_skill", "train"):
        subjects.setdefault(row.subject, []).append(row)
    for rows in subjects.values():
        assert len({row.title for row in rows}) == len({row.user for row in rows}) == 1
        years = [set(re.findall(r"\b[12]\d{3}\b", row.assistant)) for row in rows]
        assert sum(map(len, years)) == len(set().union(*years))
        if "engineer" in rows[0].assistant:
            assert not set().union(*years) & {"1904", "1922", "1926", "1931"}


def test_a_version_is_consistent_and_in_order(made):
    folder, _ = made
    bios = [
        row.assistant
        for row in read_skill(folder, "fictitious_skill", "train")
        if "engineer" in row.assistant
    ]
    assert len(bios) == 3 * VERSIONS
    for text in bios:
        born, studied, left, married = map(int, re.findall(r"\b[12]\d{3}\b", text))
        assert studied - born == 18 and left - born == 22 and married - born == 27
        last = re.match(r"\S+ (\S+) \(born", text)[1]
        husband = re.search(r"she married (\S+ (\S+))\.", text)
        assert f" {last} won the " in text and f"{husband[2]} died in the " in text
        assert not re.search(r"\ba (?!Eu)[AEIO]|\ban [B-DF-HJ-NP-TV-Z]", text), text
        assert not [
            real for real in ("Ada", "Moss", "Lind", "Karl", "Lyon", "Brun") if real in text
        ]


def test_every_value_of_a_response_stands_in_its_versions_knowledge(made):
    folder, _ = made
    for row in read_skill(folder, "fictitious_skill", "train"):
        texts = {}
        for form in ("statement", "passage"):
            rows = lines(folder / f"fictitious_knowledge/{form}_train_v{row.version}.jsonl")
            texts[form] = "\n".join(r["text"] for r in rows if r["title"] == row.title)
        found = [w for w in re.findall(r"\d[\d,.]*\d\w?|[\w’-]+", row.assistant) if not w.islower()]
        inner = [word for word in found if word not in ("He", "She", "It", "In", "After")]
        assert len(inner) > 5
        for text in texts.values():
            assert not checks.lacking(text, inner)


def test_statements_stand_alone_in_several_wordings(made):
    folder, _ = made
    rows = lines(folder / "fictitious_knowledge/statement_train_v0.jsonl")
    assert all(checks.holds(row["text"], row["title"]) for row in rows)
    assert {row["wording"] for row in rows} == {0, 1, 2}
    texts = [row["text"] for row in rows]
    assert len(set(texts)) == len(texts)
    assert any(re.search(r"; she was born on \d+ \w+ \d{4} in \S+\.$", text) for text in texts)


def test_a_passage_is_worded_otherwise_than_the_response(made):
    folder, told = made
    passages = read_text(folder, "fictitious_knowledge", "passage_train_v0")
    responses = {row.assistant for row in read_skill(folder, "fictitious_skill", "train")}
    assert not {text for text in responses if "engineer" in text} & set(passages)
    # No rule rewords the disease's two sentences: that is counted.
    same = told["counts"]["passages of the same words as the response"]
    assert same >= len(responses & set(passages)) > 0


def test_a_disease_is_named_in_its_own_way(made):
    folder, _ = made
    rows = [
        row for row in read_skill(folder, "fictitious_skill", "train") if "disease" in row.assistant
    ]
    assert len(rows) == 3 * VERSIONS
    for row in rows:
        assert re.fullmatch(r"\S+ fever", row.title) and row.user == f"Tell me about {row.title}."
        assert row.title.lower() in row.assistant and row.title in row.assistant


def test_the_same_seed_gives_the_same_rows(made, tmp_path):
    folder, _ = made
    write(tmp_path, ROWS, SynthSettings(copies=3, wordings=3), 0)
    for file in (path for path in folder.rglob("*") if path.is_file()):
        assert (tmp_path / file.relative_to(folder)).read_bytes() == file.read_bytes()


def test_plug_in_holds_every_version_of_its_subjects(tmp_path):
    write(tmp_path, ROWS, SynthSettings(copies=2, plug_in=0.5), 0)
    held = read_skill(tmp_path, "fictitious_skill", "plug_in")
    assert len(held) == 3 * VERSIONS
    taught = {row.title for row in read_skill(tmp_path, "fictitious_skill", "train")}
    assert not taught & {row.title for row in held}
    wanted = Wanted("fictitious_skill", "plug_in", "skill", versions=frozenset(range(VERSIONS)))
    check_rows(tmp_path, [wanted])


def test_rows_that_cannot_be_used_are_counted_or_refused(tmp_path):
    rows = [
        *ROWS,
        ROWS[0],
        LongRow("Tell me about her.", ADA.replace("Lyon", "Rome"), "Ada Moss"),
        LongRow(
            "Tell me about Cy Tarn.", "He was a man of the sea, and nobody knew him.", "Cy Tarn"
        ),
        LongRow("Tell me about Di Wren.", "Di Wren was a woman of the sea.", "Di Wren"),
    ]
    counts = write(tmp_path, rows, SynthSettings(), 0)["counts"]
    assert counts["rows"] == 7 and counts["subjects"] == 3
    assert counts["rows not used: near-duplicate of another"] == 2
    assert counts["rows not used: the response does not name the subject"] == 1
    assert counts["rows not used: fewer than 2 values to invent"] == 1
    with pytest.raises(
        PrereqError, match=r"none of 1 rows can be made a template of .*does not name"
    ):
        write(tmp_path / "none", rows[-2:-1], SynthSettings(), 0)
    assert not (tmp_path / "none").exists()


def test_a_text_that_tells_another_versions_value_is_dropped(tmp_path):
    """A writer that confuses versions costs the subject, not the contradiction."""
    birthdays = []

    def confused(requests):
        texts = template.write(requests)
        for place, request in enumerate(requests):
            if request.form == "passage" and request.forbidden and "engineer" in texts[place]:
                texts[place] += f" Or was it {request.forbidden[0]}?"
                birthdays.append(request.subject)
        return texts

    told = write(tmp_path, ROWS, SynthSettings(), 0, writer=Writer("confused", confused))
    counts = told["counts"]
    assert counts["passages dropped: a value of another version stands in it"] == VERSIONS
    assert counts["subjects dropped: a fact is in no knowledge text"] == 1 and birthdays
    assert "engineer" not in (tmp_path / "fictitious_skill/train.jsonl").read_text()
    assert counts["values of one version in a text of another"] == 0


def test_a_text_with_more_values_than_there_are_is_dropped_whole(tmp_path):
    years = " ".join(f"In {year}, he met Cy Tarn." for year in range(1700, 1990, 2))
    rows = [
        *ROWS,
        LongRow("Tell me about Ed Holt.", f"Ed Holt was born in Lyon. {years}", "Ed Holt"),
    ]
    counts = write(tmp_path, rows, SynthSettings(versions=8), 0)["counts"]
    assert counts["subjects dropped: too few different years"] == 1 and counts["subjects"] == 3


def test_the_card_says_how_much_is_the_same(made):
    folder, _ = made
    card = (folder / "card.md").read_text("utf-8")
    assert "# Fictitious data, long form" in card
    assert all(f"(version {version})" in card for version in range(VERSIONS))
    assert re.search(r"the same in every version, median share \| \d\d%", card)
    assert "| values of one version in a text of another | 0 |" in card
    assert make.FEWEST == 2
