"""Fictitious short answers: worded like the user's, of the real distribution, stated, and nobody's."""

import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from prereq.data.sources import Wanted, check_rows, read_skill, read_text
from prereq.errors import PrereqError
from prereq.synth import checks
from prereq.synth.rows import RealRow, SynthSettings, read_titles
from prereq.synth.short import relations
from prereq.synth.write import write
from tests.conftest import REPOSITORY

PEOPLE = (
    "Ada Moss,Bo Lind,Cy Tarn,Di Wren,Ed Holt,Flo Best,Gus Penn,Hal Dorn,Ivy Cole,Jo Marsh".split(
        ","
    )
)
TOWNS = "Lyon,Lyon,Turin,Graz,Ghent,Bergen,Porto,Cork,Brno,Split".split(",")
JOBS = "poet,poet,poet,poet,poet,actor,actor,actor,dancer,dancer".split(",")
FILMS = "The Slow Boat,Night Ferry,Cold Harbour,Late Snow".split(",")
DIRECTORS = "Max Orme,Una Falk,Max Orme,Lea Brun".split(",")
YEARS = "1961,1984,1990,2003".split(",")
SETTINGS = SynthSettings(questions=200)


def real_rows() -> list[RealRow]:
    people = list(zip(PEOPLE, TOWNS, JOBS, strict=True))
    films = list(zip(FILMS, DIRECTORS, YEARS, strict=True))
    return [
        *(
            RealRow(f"In what city was {p} born?", (town,), p, "place of birth")
            for p, town, _ in people
        ),
        *(
            RealRow(
                f"What is {p}'s occupation?", (job, f"{job}s"), p, "occupation", f"{p} was a {job}."
            )
            for p, _, job in people
        ),
        *(RealRow(f"Who directed {film}?", (who,), film, "director") for film, who, _ in films),
        *(RealRow(f"When was {film} released?", (year,), film, "year") for film, _, year in films),
    ]


def lines(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth")
    told = write(folder, real_rows(), SETTINGS, 0)
    return folder, told


def test_the_published_layout_is_read(made):
    folder, told = made
    rows = read_skill(folder, "fictitious_skill", "train")
    assert len(rows) == 200 and all(row.fictitious and row.version is None for row in rows)
    assert len({row.subject for row in rows}) == 200
    assert read_text(folder, "fictitious_knowledge", "statement_train")
    assert read_text(folder, "fictitious_knowledge", "passage_train")
    counts = check_rows(folder, [Wanted("fictitious_skill", "train", "test", "qa")])
    assert counts["fictitious_skill/train"] == {"rows": 200, "repeated": 0, "contradicting": 0}
    assert json.loads((folder / "counts.json").read_text()) == told
    first = lines(folder / "fictitious_skill/train.jsonl")[0]
    assert json.loads(first["possible_answers"])[0] == first["answer"]


def test_questions_are_worded_like_the_users(made):
    folder, _ = made
    shapes = {
        "place of birth": r"In what city was (.+) born\?",
        "occupation": r"What is (.+)'s occupation\?",
        "director": r"Who directed (.+)\?",
        "year": r"When was (.+) released\?",
    }
    for row in lines(folder / "fictitious_skill/train.jsonl"):
        match = re.fullmatch(shapes[row["prop"]], row["messages"][0]["content"])
        assert match and match[1] == row["s_wiki_title"]


def test_relations_and_categories_keep_their_shares(made):
    folder, _ = made
    rows = lines(folder / "fictitious_skill/train.jsonl")
    asked = Counter(row["prop"] for row in rows)
    assert asked == {"place of birth": 71, "occupation": 71, "director": 29, "year": 29}
    jobs = Counter(row["answer"] for row in rows if row["prop"] == "occupation")
    for job, real in Counter(JOBS).items():
        assert jobs[job] / 71 == pytest.approx(real / 10, abs=0.05)
    towns = Counter(row["answer"] for row in rows if row["prop"] == "place of birth")
    [(town, most), (_, second)] = towns.most_common(2)
    assert most / 71 == pytest.approx(0.2, abs=0.05) and second == 1 and town not in TOWNS
    years = [int(row["answer"]) for row in rows if row["prop"] == "year"]
    assert min(years) >= 1961 and max(years) <= 2003 and len(set(years)) > 10


def test_no_name_is_a_real_one(made):
    folder, _ = made
    names = {row["s_wiki_title"] for row in lines(folder / "fictitious_skill/train.jsonl")}
    assert not names & {*PEOPLE, *FILMS}
    every = " ".join(read_text(folder, "fictitious_knowledge", "statement_train"))
    assert not [name for name in (*PEOPLE, *FILMS, *TOWNS, *DIRECTORS) if checks.holds(every, name)]


def test_every_answer_stands_in_both_forms_of_knowledge(made):
    folder, _ = made
    knowledge = {}
    for form in ("statement", "passage"):
        for row in lines(folder / f"fictitious_knowledge/{form}_train.jsonl"):
            knowledge.setdefault((form, row["title"]), []).append(row["text"])
    for row in lines(folder / "fictitious_skill/train.jsonl"):
        name = row["s_wiki_title"]
        stating = [
            text for text in knowledge["statement", name] if checks.holds(text, row["answer"])
        ]
        assert len(stating) >= 4 and all(checks.holds(text, name) for text in stating)
        [passage] = knowledge["passage", name]
        assert checks.holds(passage, row["answer"]) and checks.holds(passage, name)


def test_wordings_of_a_fact_are_numbered_and_differ(made):
    folder, _ = made
    rows = lines(folder / "fictitious_knowledge/statement_train.jsonl")
    assert Counter(row["wording"] for row in rows) == dict.fromkeys(range(4), 200)
    assert len({row["text"] for row in rows}) == len(rows)


def test_a_sentence_of_the_users_passages_is_a_wording(made):
    folder, _ = made
    texts = read_text(folder, "fictitious_knowledge", "statement_train")
    assert sum(bool(re.fullmatch(r"\S+ \S+ was an? (poet|actor|dancer)\.", t)) for t in texts) == 71
    assert not [text for text in texts if re.search(r"\ba actor|\ban (poet|dancer)", text)]


def test_a_person_has_several_facts_in_one_passage(made):
    folder, _ = made
    passages = [row["text"] for row in lines(folder / "fictitious_knowledge/passage_train.jsonl")]
    assert any(re.search(r"\. (He|She|His|Her) ", text) for text in passages)


def test_the_same_seed_gives_the_same_files_in_another_process(made, tmp_path):
    folder, _ = made
    code = (
        "import sys; from pathlib import Path; from prereq.synth.write import write;"
        "from tests.unit.test_synth import real_rows, SETTINGS;"
        "write(Path(sys.argv[1]), real_rows(), SETTINGS, int(sys.argv[2]))"
    )
    for seed, same in ((0, True), (1, False)):
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "7"}
        target = tmp_path / str(seed)
        target.mkdir()
        command = [sys.executable, "-c", code, str(target), str(seed)]
        subprocess.run(command, env=environment, check=True, cwd=REPOSITORY)
        for file in [path for path in folder.rglob("*") if path.is_file()]:
            there = (target / file.relative_to(folder)).read_bytes()
            assert (there == file.read_bytes()) == same, file


def test_names_in_a_given_list_are_thrown_away_and_counted(made, tmp_path):
    folder, _ = made
    titles = {row["s_wiki_title"] for row in lines(folder / "fictitious_skill/train.jsonl")}
    (tmp_path / "titles.txt").write_text("\n".join(sorted(titles)) + "\n", "utf-8")
    given = {"titles.txt": read_titles(tmp_path / "titles.txt")}
    told = write(tmp_path, real_rows(), SETTINGS, 0, given)
    assert told["counts"]["names thrown away, in titles.txt"] > 0
    again = {row["s_wiki_title"] for row in lines(tmp_path / "fictitious_skill/train.jsonl")}
    assert not again & titles


def test_a_share_of_the_subjects_is_kept_for_plug_in(tmp_path):
    write(tmp_path, real_rows(), SynthSettings(questions=100, plug_in=0.2), 0)
    names = {
        split: {row.title for row in read_skill(tmp_path, "fictitious_skill", split)}
        for split in ("train", "plug_in")
    }
    share = len(names["plug_in"]) / (len(names["plug_in"]) + len(names["train"]))
    assert share == pytest.approx(0.2, abs=0.02) and not names["plug_in"] & names["train"]
    told = {row["title"] for row in lines(tmp_path / "fictitious_knowledge/statement_train.jsonl")}
    assert names["plug_in"] <= told


def test_the_card_says_what_was_made_and_shows_twenty_examples(made):
    folder, told = made
    card = (folder / "card.md").read_text("utf-8")
    for part in ("| writer | template |", "| model | none |", "| seed | 0 |", "## Examples (20)"):
        assert part in card
    assert card.count("  - passage: ") == 20
    assert "| fictitious_skill/train.jsonl | 200 | 1 |" in card
    assert re.search(r"\| occupation \| person \| category \| 10 \| 71 \|.*poet 50%", card)
    assert "| director | work | person |" in card and "| year | work | year |" in card
    assert (
        told["versions"]["faker"] in card
        and told["files"]["fictitious_skill/train.jsonl"]["rows"] == 200
    )


def test_rows_without_a_relation_are_grouped_by_their_question():
    rows = [RealRow(row.question, row.answers, row.subject) for row in real_rows()]
    rows.append(RealRow("Who is meant here?", ("nobody",), "Ada Moss"))
    found, notes = relations.learn(rows, {})
    assert {r.name: r.answer_type for r in found} == {
        "In what city was … born?": "place",
        "What is …'s occupation?": "category",
        "Who directed …?": "person",
        "When was … released?": "year",
    }
    assert notes["question does not name its subject"] == 1
    assert notes["row not used: no relation, and the question does not name its subject"] == 1


def test_a_relation_whose_questions_do_not_name_the_subject_has_it_put_before(tmp_path):
    rows = [
        RealRow("Where was the battle?", (town,), f"Siege of {town}", "site") for town in TOWNS[1:]
    ]
    told = write(tmp_path, rows, SynthSettings(questions=5), 0)
    assert told["counts"]["relations whose questions do not name their subject"] == 1
    assert told["counts"]["rows: question does not name its subject"] == 9
    for row in read_skill(tmp_path, "fictitious_skill", "train"):
        assert row.user == f"{row.title}: Where was the battle?"


def test_a_type_can_be_given_and_is_checked(tmp_path):
    settings = SynthSettings(questions=20, types={"place of birth": "category"})
    write(tmp_path, real_rows(), settings, 0)
    answers = {
        row.answers[0]
        for row in read_skill(tmp_path, "fictitious_skill", "train")
        if row.extra["prop"] == "place of birth"
    }
    assert answers <= set(TOWNS) and "given in types" in (tmp_path / "card.md").read_text()
    with pytest.raises(
        PrereqError, match=r"types.occupation=categry: no type.*did you mean category"
    ):
        write(tmp_path, real_rows(), SynthSettings(types={"occupation": "categry"}), 0)
    with pytest.raises(
        PrereqError, match=r"synth.types.job: the rows have no such relation; they have"
    ):
        write(tmp_path, real_rows(), SynthSettings(types={"job": "category"}), 0)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([], {}, "there are no rows"),
        ([RealRow("Who?", (), "Ada")], {}, r"row 1: answers are \(\)"),
        ([RealRow("Who?", ("x",), " ")], {}, r"row 1: subject is ' '"),
        (
            real_rows(),
            {"questions": 0, "plug_in": 1.0},
            r"questions=0; it must be 1(.|\n)*plug_in=1.0",
        ),
    ],
)
def test_what_cannot_be_used_is_one_error_and_leaves_nothing(tmp_path, rows, settings, message):
    with pytest.raises(PrereqError, match=message):
        write(tmp_path, rows, SynthSettings(**settings), 0)
    assert not list(tmp_path.iterdir())


def test_a_list_of_titles_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(PrereqError, match=r"titles.txt: cannot be read .*a title a line"):
        read_titles(tmp_path / "titles.txt")
    (tmp_path / "titles.txt").write_text("\n \n")
    with pytest.raises(PrereqError, match="holds no title"):
        read_titles(tmp_path / "titles.txt")
