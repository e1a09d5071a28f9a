"""`stage=judge` by its command line: four artifacts, all three judges, agreement with people."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests import published, servers
from tests.scored import page

FOUR = ("facts", "evidence", "verdicts", "scores")


def artifacts(root: Path) -> dict[str, Path]:
    """Kind → the newest artifact of that kind."""
    found = sorted(root.glob("*/**/manifest.json"), key=lambda file: file.stat().st_mtime_ns)
    return {json.loads(file.read_text())["kind"]: file.parent for file in found}


def lines(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def values(folder: Path) -> dict[tuple[str, str], float]:
    rows = json.loads((folder / "scores.json").read_text())["scores"]
    return {(row["split"], row["metric"]): row["value"] for row in rows}


@pytest.fixture(scope="module")
def world(run_cli, small_world, tmp_path_factory):
    """The small world's base model, whose free texts are judged; returns how to run a command there."""
    folder = tmp_path_factory.mktemp("judged")
    words = [*small_world, "method=base", "dataset.pretrain.epochs=12", "eval.max_new_tokens=32"]

    def run(*more: str):
        return run_cli("stage=judge", *words, *more, cwd=folder)

    return folder / "outputs", run


def test_answers_become_facts_evidence_verdicts_and_scores(world):
    outputs, run = world
    made = run()
    assert made.returncode == 0, made.stderr
    first = artifacts(outputs)
    judged = lines(first["verdicts"], "verdicts")
    passages = {each["number"]: each for each in lines(first["verdicts"], "passages")}
    facts = [(line, fact) for line in judged for fact in line["facts"]]
    assert facts and {fact["verdict"] for _, fact in facts} == {"supported", "not supported"}
    for line, fact in facts:
        if fact["verdict"] == "supported":
            value = fact["fact"].rpartition(": ")[2].rstrip(".")
            own = [passages[n] for n in fact["passages"] if passages[n]["title"] == line["topic"]]
            assert any(value in passage["text"] for passage in own)
    found = values(first["scores"])
    assert found["unseen_by_exact", "supported"] == 0
    assert found["unseen_by_exact", "without_passages"] == 100
    kept = json.loads((first["scores"] / "scores.json").read_text())
    for row in kept["rows"]:  # the value of each topic, of which the score is the mean
        if sum(row["out_of"]):
            scale = 1 if row["metric"] in ("facts", "unread_sentences") else 100
            mean = scale * sum(row["values"]) / sum(row["out_of"])
            assert mean == pytest.approx(found[row["split"], row["metric"]])
    assert set(kept["asked"]) == {row["split"] for row in kept["rows"]}
    assert "4 topics have no page in the knowledge source" in made.stderr
    assert "held out by exact" in made.stdout and "length penalty" in made.stdout

    again = run()
    assert again.returncode == 0 and " made " not in again.stderr
    other = run("judge.penalised_below=2", "judge.splits=[held_out,unseen]")
    assert other.returncode == 0, (
        other.stderr
    )  # other splits are other facts, from the same answers
    assert "made  generations" not in other.stderr and "made  facts" in other.stderr
    third = run("judge.penalised_below=2")
    kinds = [kind for kind in FOUR if f"made  {kind}" in third.stderr]
    assert kinds == ["scores"]  # another statistic judges nothing again
    assert values(artifacts(outputs)["scores"])["held_out_by_exact", "facts"] == pytest.approx(
        found["held_out_by_exact", "facts"]
    )


def test_the_page_shows_verdicts_with_their_passages(world):
    outputs, run = world
    assert run().returncode == 0
    section = (
        page(outputs, "report/page.html")
        .read_text("utf-8")
        .partition('-verdicts"><h3>')[2]
        .partition("</section>")[0]
    )
    assert "✓" in section and "supported" in section and "✗" in section
    links = set(re.findall(r'href="#([\w-]+)"', section))
    assert links and links <= set(re.findall(r'li id="([\w-]+)"', section))
    assert "works as a" in section  # a passage


def test_another_judge_splits_nothing_again_and_asks_what_is_missing(world):
    outputs, run = world
    assert run().returncode == 0
    words = ["judge=openai", "judge.splitter=exact", "judge.server.model=m"]

    def answer(body: dict, _: int):
        statement = servers.prompt(body).partition("Statement: ")[2]
        if "profession" in statement:
            return servers.said("I cannot tell.")
        verdict = "supported" if "city" in statement else "not supported"
        return servers.said(json.dumps({"verdict": verdict}))

    with servers.peer(answer) as peer:
        made = run(*words, f"judge.server.url={peer.url}")
        assert made.returncode == 0, made.stderr
        asked = len(peer.requests)
        assert "made  verdicts" in made.stderr and "made  facts" not in made.stderr
        assert "expected" in made.stderr and "given up" in made.stderr
        shutil.rmtree(artifacts(outputs)["verdicts"])
        shutil.rmtree(artifacts(outputs)["scores"])
        lost = run(*words, f"judge.server.url={peer.url}")
        assert lost.returncode == 0 and len(peer.requests) == asked, lost.stderr
    judged = lines(artifacts(outputs)["verdicts"], "verdicts")
    told = [(fact["fact"], fact["verdict"]) for line in judged for fact in line["facts"]]
    assert asked > 0 and told
    for fact, verdict in told:
        wanted = "unreadable" if "profession" in fact else "supported"
        assert verdict == (wanted if "profession" in fact or "city" in fact else "not supported")
    found = values(artifacts(outputs)["scores"])
    assert ("held_out_by_m", "supported") in found and ("unseen_by_m", "facts") in found


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """A real server with a random model, and three claims that people judged."""
    folder = tmp_path_factory.mktemp("serving")
    claims = folder / "claims.jsonl"
    rows = [
        {"claim": f"Ada {i}.", "evidence": f"Ada {i}.", "stance": stance}
        for i, stance in enumerate(("completely-support", "refute", "irrelevant"))
    ]
    claims.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    model = published.write_model(folder / "model", chat=True)
    with servers.transformers_serve(model, folder / "log.txt") as url:
        yield url, model, claims


def test_a_real_server_splits_and_judges_long_form_and_noise_is_unreadable(
    serving, run_cli, place, tmp_path
):
    url, model, claims = serving
    pages = tmp_path / "pages.jsonl"
    pages.write_text('{"title": "Ada Moss", "text": "Ada Moss was born in Lyon."}\n', "utf-8")
    words = ["stage=judge", "dataset=bio", f"dataset.path={place / 'data'}", "method=base"]
    words += ["model=hf", f"model.path={place / 'llama'}", f"output_dir={tmp_path / 'out'}"]
    words += [f"dataset.topics={place / 'data/topics.json'}", "eval.max_new_tokens=8"]
    words += [f"judge.knowledge={pages}", "judge=openai", f"judge.server.url={url}"]
    words += [f"judge.server.model={model}", "judge.max_tokens=4", "eval.bootstrap=20"]
    made = run_cli(*words)
    assert made.returncode == 0, made.stderr
    found = artifacts(tmp_path / "out")
    told = [s["facts"] for line in lines(found["facts"], "facts") for s in line["sentences"]]
    assert told and all(facts is None for facts in told)  # noise is no fact
    table = values(found["scores"])
    assert table["topics_by_model", "unread_sentences"] > 0
    assert table["topics_by_model", "without_passages"] == pytest.approx(200 / 3)
    held = run_cli(*words, f"judge.validate={claims}")
    assert held.returncode == 0, held.stderr
    assert "gave no verdict that can be read on 3 claims" in held.stdout
    assert artifacts(tmp_path / "out")["agreement"].name.startswith("model-")
    shown = run_cli(*words)  # the agreement stands beside the scores from now on
    assert "gave no verdict that can be read on 3 claims" in shown.stdout


def test_a_model_in_this_process_judges_and_what_it_said_is_kept(serving, run_cli, tmp_path):
    _, model, claims = serving
    words = ["stage=judge", "judge=local", f"judge.model.path={model}", "judge.max_tokens=4"]
    words += [f"judge.validate={claims}", f"output_dir={tmp_path}"]
    made = run_cli(*words)
    assert made.returncode == 0, made.stderr
    assert "3 facts to judge (3 without a stored reply)" in made.stderr
    told = json.loads((artifacts(tmp_path)["agreement"] / "agreement.json").read_text())
    assert told["claims"] == told["unreadable"] == 3
    again = run_cli(*words, "eval.bootstrap=99")
    assert "3 facts to judge (0 without a stored reply)" in again.stderr


def test_a_source_that_cannot_be_used_is_told_before_anything_is_made(world, tmp_path):
    _, run = world
    pages = tmp_path / "pages.jsonl"
    pages.write_text('{"title": "Ada Moss"}\n', "utf-8")
    refused = run("method=sft", "seed=7", f"judge.knowledge={pages}")
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "pages.jsonl line 1: text: missing; the row has title" in refused.stderr
    assert "made" not in refused.stderr
    other = run("seed=7", "judge.splits=[held_ot]")
    assert other.returncode == 2 and "held_ot is no test split" in other.stderr
