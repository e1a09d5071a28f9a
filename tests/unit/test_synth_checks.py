"""Texts that a writer gets wrong: found by the checks, written anew, dropped and counted."""

import pytest

from prereq.errors import PrereqError
from prereq.synth import checks, template
from prereq.synth.rows import SynthSettings, Writer
from prereq.synth.write import write
from tests.unit.test_synth import SETTINGS, lines, real_rows


def test_what_a_writer_gets_wrong_is_written_anew_then_dropped_and_counted(tmp_path):
    def forgetful(requests):
        """States no directors at all, and passages only when it is asked again."""
        texts = template.write(requests)
        for place, request in enumerate(requests):
            unknown = request.form == "statements" and request.facts[0].relation == "director"
            if unknown or (request.form == "passage" and request.attempt == 0):
                texts[place] = f"Of {request.subject} nothing is known."
        return texts

    writer = Writer("forgetful", forgetful, model="none-1", prompts=("Say it: …",))
    told = write(tmp_path, real_rows(), SynthSettings(questions=40), 0, writer=writer)
    counts = told["counts"]
    directors = counts["statements dropped: a fact is not stated"]
    assert directors == 6 and counts["statements written anew: a fact is not stated"] == 12
    assert counts["passages written anew: a fact is not stated"] == counts["subjects invented"]
    dropped = counts["subjects dropped: no text states all of its facts"]
    assert dropped == 6 and counts["subjects"] == counts["subjects invented"] - 6
    assert not [
        r for r in lines(tmp_path / "fictitious_skill/train.jsonl") if r["prop"] == "director"
    ]
    card = (tmp_path / "card.md").read_text()
    assert "| model | none-1 |" in card and "Say it: …" in card


def test_a_writer_that_loses_a_text_is_named(tmp_path):
    with pytest.raises(PrereqError, match="the writer short gave 0 texts for"):
        write(tmp_path, real_rows(), SETTINGS, 0, writer=Writer("short", lambda requests: []))


def test_near_duplicates_are_the_same_words_or_nearly():
    long = "one two three four five six seven eight nine ten"
    assert checks.near_duplicates(["Ann met Bo.", "ann  met, bo", "Ann met Cy."]) == {1}
    assert checks.near_duplicates([long, f"{long} eleven", f"{long} eleven twelve"]) == {1}
    assert checks.near_duplicates(["Élan vital", "elan vital", "a", "b"]) == {1}
