"""What a skill row must be, and what training and scoring need of the rows together."""

import json

import pytest

from prereq.data.sources import BadRows, Wanted, check_rows, read_skill, read_values
from tests.rows import GOOD, asked, write, write_text

USER, ASSISTANT = GOOD["messages"]


def refusal(root, *wanted: Wanted) -> str:
    with pytest.raises(BadRows) as error:
        check_rows(root, wanted)
    return str(error.value)


def without(*columns: str) -> dict:
    return {key: value for key, value in GOOD.items() if key not in columns}


def fictitious(subject: int, version: int | None, **more) -> dict:
    return GOOD | {"fake": 1, "subj_index": subject, "version": version} | more


def test_a_row_is_read_with_its_types_and_its_place(tmp_path):
    (row,) = read_skill(write(tmp_path, [GOOD]), "skill", "train")
    assert row.answers == ("Lyon", "Lyons") and row.extra == {"s_pop": 12}
    assert (row.user, row.assistant, row.turns) == ("Where was Ada Moss born?", "Lyon", ())
    assert row.version is None and not row.fictitious
    assert row.number == 1 and row.place == "skill/train.jsonl line 1"


@pytest.mark.parametrize(
    "change",
    [
        {"fake": False},
        {"fake": True, "version": None},
        {"known": 0},
        {"known": True},
        {"known": None},
        {"s_pop": 1.5},
        {"s_pop": None, "type": None, "prop": None, "facts": None, "answer": None},
        {"type": 3, "prop": "city", "facts": {"city": "Lyon"}, "answer": "Lyon"},
        {"possible_answers": ["Lyon"]},
        {"possible_answers": "['L\\'Aquila', \"Lyon\"]"},
        {"s_wiki_title": None},
        {"another column": [{"a": 1}]},
    ],
)
def test_a_right_row_is_read(tmp_path, change):
    (row,) = read_skill(write(tmp_path, [GOOD | change]), "skill", "train")
    assert row.fictitious is bool(change.get("fake")) and row.answers


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"messages": None},
            "messages is null; it must be a user message and an assistant message",
        ),
        ({"messages": "a"}, "messages is 'a'; it must be a user message"),
        ({"messages": ["a", "b"]}, "messages is ['a', 'b']"),
        ({"messages": [ASSISTANT, USER]}, "messages is"),
        ({"messages": [USER]}, "messages is"),
        ({"messages": [USER, ASSISTANT, USER]}, "messages is"),
        ({"messages": [USER, ASSISTANT, ASSISTANT, USER]}, "messages is"),
        ({"messages": [USER | {"role": "system"}]}, "messages is"),
        ({"messages": [USER | {"role": "system"}, ASSISTANT]}, "messages is"),
        ({"messages": [USER, {"role": "assistant"}]}, "the assistant's content is null"),
        ({"messages": [USER, ASSISTANT | {"content": " "}]}, "the assistant's content is ' '"),
        ({"messages": [USER | {"content": 7}, ASSISTANT]}, "the user's content is 7"),
        (
            {"messages": [USER, ASSISTANT | {"content": [{}]}]},
            "a list of content parts is not read",
        ),
        ({"fake": 2}, "fake is 2; it must be 0 (real) or 1 (fictitious)"),
        ({"fake": "1"}, "fake is '1'"),
        ({"fake": "False"}, "fake is 'False'"),
        ({"fake": 1.0}, "fake is 1.0"),
        ({"fake": None}, "fake is null"),
        ({"fake": [0]}, "fake is [0]"),
        ({"subj_index": None}, "subj_index is null; it must be an integer"),
        ({"subj_index": "12"}, "subj_index is '12'"),
        ({"subj_index": 2.0}, "subj_index is 2.0"),
        ({"subj_index": True}, "subj_index is True"),
        ({"version": "0"}, "version is '0'; it must be an integer or null"),
        ({"version": 1.0}, "version is 1.0"),
        ({"version": False}, "version is False"),
        ({"known": "no"}, "known is 'no'; it must be 0, 1 or null"),
        ({"known": 2}, "known is 2"),
        ({"s_pop": "1,234"}, "s_pop is '1,234'; it must be a finite number or null"),
        ({"s_pop": True}, "s_pop is True"),
        ({"type": {"a": 1}}, "type is {'a': 1}; it must be a string, a number or null"),
        ({"prop": ["x"]}, "prop is ['x']"),
        ({"s_wiki_title": 5}, "s_wiki_title is 5; it must be a string"),
        ({"facts": "abc"}, "facts is 'abc'; it must be an object"),
        ({"facts": {"city": None}}, "facts is {'city': None}"),
        ({"facts": {"city": ""}}, "facts is {'city': ''}"),
        ({"answer": 1984}, "answer is 1984; it must be a non-empty string"),
        ({"answer": ""}, "answer is ''"),
        ({"possible_answers": "Lyon"}, "possible_answers is 'Lyon'; it must be a non-empty list"),
        ({"possible_answers": "__import__('os').getcwd()"}, "possible_answers is"),
        ({"possible_answers": "[]"}, "possible_answers is '[]'"),
        ({"possible_answers": []}, "possible_answers is []"),
        ({"possible_answers": '[""]'}, "possible_answers is"),
        ({"possible_answers": "[1, 2]"}, "possible_answers is"),
        ({"possible_answers": "('a', 'b')"}, "possible_answers is"),
        ({"possible_answers": "['Lyon' 'Paris']"}, "possible_answers is"),
        ({"possible_answers": "['Lyon'\n 'Paris']"}, "possible_answers is"),
        ({"possible_answers": '["\\ud800"]'}, "possible_answers is"),
        ({"possible_answers": "[" * 100_000}, "possible_answers is"),
        ({"possible_answers": "-" * 19_000 + "1"}, "possible_answers is"),
        ({"possible_answers": "'" + "#" * 19_000}, "possible_answers is"),
        ({"possible_answers": "['" + "a" * 30_000 + "']"}, "possible_answers is"),
        ({"possible_answers": 5}, "possible_answers is 5"),
    ],
)
def test_types_are_checked_not_cast(tmp_path, change, said):
    write(tmp_path, [GOOD, GOOD | change])
    with pytest.raises(BadRows) as error:
        read_skill(tmp_path, "skill", "train")
    message = str(error.value)
    assert "skill/train.jsonl line 2: " in message and said in message
    assert len(message.split("\n")) == 2 and len(message) < 600


def test_an_infinite_number_is_refused(tmp_path):
    write_text(tmp_path, json.dumps(GOOD).replace('"s_pop": 12', '"s_pop": 1e999'))
    with pytest.raises(BadRows, match="s_pop is inf; it must be a finite number"):
        read_skill(tmp_path, "skill", "train")


def test_a_missing_column_comes_with_the_nearest(tmp_path):
    write(tmp_path, [GOOD, without("messages", "fake") | {"mesages": []}])
    message = refusal(tmp_path, Wanted("skill", "train", "skill"))
    assert "line 2: the column messages is missing; did you mean 'mesages'?" in message
    assert "line 2: the column fake is missing; it has" in message


def test_one_error_for_the_rows_of_every_split(tmp_path):
    write(tmp_path, [GOOD, GOOD | {"fake": "0"}])
    write(tmp_path, [{"text": "a"}, *({"text": i} for i in range(50))], "knowledge", "real")
    write(tmp_path, [without("possible_answers")], "skill", "test")
    message = refusal(
        tmp_path,
        Wanted("knowledge", "real", "text"),
        Wanted("knowledge", "real", "text"),
        Wanted("knowledge", "gone", "text"),
        Wanted("skill", "train", "skill"),
        Wanted("skill", "test", "test", "qa"),
    )
    lines = message.split("\n")
    assert lines[0] == f"{tmp_path}: 53 problems in the rows, among them:" and len(lines) == 11
    assert "knowledge/real.jsonl line 2: text is 0" in lines[1]
    assert "no split 'gone'" in lines[8]
    assert "skill/train.jsonl line 2: fake is '0'" in lines[9]
    assert "skill/test.jsonl line 1: no accepted answer, which eval=qa needs" in lines[10]


def test_a_test_by_answers_needs_answers(tmp_path):
    write(tmp_path, [without("possible_answers") | {"answer": "Lyon"}, GOOD])
    for scoring in ("qa", "final_answer"):
        check_rows(tmp_path, [Wanted("skill", "train", "test", scoring)])
    write(tmp_path, [GOOD, without("possible_answers") | {"possible_answer": "['a']"}])
    message = refusal(tmp_path, Wanted("skill", "train", "test", "qa"))
    assert "line 2: no accepted answer" in message and "did you mean 'possible_answer'?" in message
    check_rows(tmp_path, [Wanted("skill", "train", "skill")])  # training needs none


def test_a_test_by_facts_needs_facts_and_their_values(tmp_path, capsys):
    test = Wanted("skill", "train", "test", "facts")
    rows = [GOOD | {"facts": {"city": "Lyon"}}, GOOD, GOOD | {"facts": {"job": "baker"}}]
    write(tmp_path, rows)
    assert "values.json: missing; eval=facts needs the values" in refusal(tmp_path, test)
    for content, said in (
        ("{bad", "values.json: not JSON"),
        ("[]", "values.json: [] is no object of relations"),
        ('{"city": []}', "values.json: 'city' is []; it must be a non-empty list of strings"),
        ('{"city": "Lyon"}', "values.json: 'city' is 'Lyon'"),
        ('{"city": ["Lyon", 3]}', "values.json: 'city' is ['Lyon', 3]"),
    ):
        (tmp_path / "values.json").write_text(content)
        assert said in refusal(tmp_path, test)
        with pytest.raises(BadRows, match=r"values\.json"):
            read_values(tmp_path)
    (tmp_path / "values.json").write_text('{"city": ["Lyon"]}')
    message = refusal(tmp_path, test)
    assert "line 2: no facts, which eval=facts needs" in message
    assert "line 3: facts: values.json has no relation 'job'" in message
    versions = [fictitious(1, v, facts={r: "Lyon"}) for v, r in ((0, "city"), (1, "town"))]
    write(tmp_path, versions)
    (tmp_path / "values.json").write_text('{"city": ["Lyon"], "town": ["Graz"]}')
    assert "line 2: facts: other relations than" in refusal(tmp_path, test)
    write(tmp_path, versions[1:])
    check_rows(tmp_path, [test])
    assert "of 1 rows 1 have a fact with a value that values.json lacks" in capsys.readouterr().err


def test_versions_are_complete_over_all_training_splits(tmp_path):
    write(tmp_path, [fictitious(1, 0), fictitious(2, 0), GOOD])
    write(tmp_path, [fictitious(1, 1), fictitious(1, 0)], split="more")
    wanted = [Wanted("skill", s, "skill", versions=frozenset({0, 1})) for s in ("train", "more")]
    message = refusal(tmp_path, *wanted)
    assert (
        "more.jsonl line 2: subject 1 ('Ada Moss') has version 0 twice, as in skill/train"
        in message
    )
    assert "train.jsonl line 2: fictitious subject 2 ('Ada Moss') lacks version 1" in message
    check_rows(tmp_path, [Wanted("skill", "train", "skill")])


def test_plugged_in_knowledge_is_tested_on_fictitious_rows_of_its_versions(tmp_path):
    test = Wanted("skill", "train", "test", "qa", frozenset({0, 1}))
    write(tmp_path, [fictitious(1, 0), fictitious(1, 1), fictitious(2, 1), GOOD])
    message = refusal(tmp_path, test)
    assert "line 3: fictitious subject 2 ('Ada Moss') lacks version 0" in message
    assert "line 4: a real row in a split for plugged-in knowledge" in message


def test_repeated_and_contradicting_rows_are_counted_and_noted(tmp_path, capsys):
    rows = [asked("A?"), asked("A?"), asked("A?", "Oslo"), asked("B?"), fictitious(1, 0)]
    write(tmp_path, [*rows, fictitious(1, 1)])
    write(tmp_path, [{"text": "a"}] * 3 + [{"text": "b"}], "knowledge [x]", "real")
    counts = check_rows(
        tmp_path, [Wanted("skill", "train", "skill"), Wanted("knowledge [x]", "real", "text")]
    )
    assert counts == {
        "skill/train": {"rows": 6, "repeated": 1, "contradicting": 1},
        "knowledge [x]/real": {"rows": 4, "repeated": 2, "contradicting": 0},
    }
    said = capsys.readouterr().err
    assert "skill/train.jsonl: of 6 rows 1 repeat an earlier row, 1 ask what" in said
    assert "knowledge [x]/real.jsonl: of 4 rows 2 repeat an earlier row" in said
