"""`stage=eval`: generate answers with the skill alone (and knowledge plugged in), then score them.

Generations and scores are two artifacts: a new metric never generates again. Where the skill's
adapter of every epoch was kept, the best epoch is the one with the highest accuracy on the split
`validation`; every method is scored there (`held_out`) and at its last epoch (`held_out_last`).
"""

import math
from collections.abc import Sequence
from pathlib import Path

from prereq import track
from prereq.artifacts.spec import Artifact
from prereq.config import Config, KnowledgeSource, TestSplit
from prereq.console import progress
from prereq.data.problems import shown
from prereq.data.rows import SkillRow
from prereq.data.sources import Wanted, check_rows, read_skill, read_topics, read_values
from prereq.data.tokens import prompt_ids
from prereq.errors import PrereqError
from prereq.evaluation import score
from prereq.evaluation.engines import engine
from prereq.evaluation.generate import Generation
from prereq.evaluation.score import Item
from prereq.files import read_lines, write_json, write_lines
from prereq.model.adapter_files import check_base, fetch
from prereq.model.loading import load_tokenizer
from prereq.model.precision import dtype_of
from prereq.stages import cpt, inputs, sft


def run(config: Config) -> Artifact:
    artifact = scores(config)
    from prereq.report import tables

    tables.show_scores(artifact)
    return artifact


def scores(config: Config) -> Artifact:
    """The scores of one skill adapter, found or made from its generations."""
    data = inputs.data_set(config)
    # Read first, so that a missing test file is told before anything is trained.
    asked = prompts(config, data)
    skill = _skill(config)
    texts = generations(config, data, skill, asked)
    content = {"generations": texts.reference, "scoring": config.eval.scoring}
    content |= {"bootstrap": config.eval.bootstrap, "rules": score.RULES}
    labels = skill.manifest.get("labels", {}) | {"skill": str(skill.path)}
    spec = inputs.spec(config, "scores", _name(config, skill), content, labels)

    def make(folder: Path, tracker: track.Tracker) -> dict:
        tests = _tests(config)
        items = {test.name: _items(config, data, test) for test in tests}
        file = texts.path / "generations.jsonl"
        said = read_lines(file, f"remove {texts.path} and run the command again")
        epochs = texts.manifest["epochs"]
        right = _scorer(config, data)
        result = score.table(
            said,
            items,
            tests,
            config.eval.scoring,
            right,
            epochs,
            versions={s.name: s.version for s in config.dataset.knowledge},
            resamples=config.eval.bootstrap,
        )
        write_json(folder / "scores.json", result)
        tracker.scores(result, *score.answers(said, items, right, epochs))
        return {"epochs": epochs, "rows": _check_tests(config, data)}

    return track.obtain(spec, config, make, uses=[data, texts])


def prompts(config: Config, data: Artifact) -> list[str]:
    """What stands for the prompts of each test split in a key; raises where a row is bad."""
    _check_tests(config, data)
    return [_reference(config, data, test) for test in _tests(config)]


def knowledge_for(config: Config) -> list[KnowledgeSource]:
    """The knowledge that the method's skill and its evaluation need."""
    trained = sft.sources_for(config)
    return trained + [source for source in plugged(config) if source not in trained]


def plugged(config: Config) -> list[KnowledgeSource]:
    """The knowledge plugged in, in turn, where a test split asks for it: all that is fictitious."""
    if not config.method.knowledge or not any(test.plug_in for test in _tests(config)):
        return []
    return [source for source in config.dataset.knowledge if source.fictitious]


def generations(config: Config, data: Artifact, skill: Artifact, asked: list[str]) -> Artifact:
    """What the skill adapter says to every test prompt, as `generations.jsonl`.

    `asked` stands for the prompts in the key.
    """
    base = inputs.base_model(config)
    tests = _tests(config)
    plug_in = plugged(config)
    made = cpt.knowledge_adapters(config, plug_in)
    plugs = {source.name: artifact for source, artifact in zip(plug_in, made, strict=True)}
    content = {
        "skill": skill.reference,
        "base": base.reference,
        "plugs": {name: artifact.reference for name, artifact in plugs.items()},
        "tests": tests,
        "data": asked,
        "scoring": config.eval.scoring,  # it chooses the best epoch
        "max_new_tokens": config.eval.max_new_tokens,
        "dtype": dtype_of(config.model),
    }
    if config.eval.engine != "batches":  # the same but for rounding
        content["engine"] = [config.eval.engine, config.eval.server, config.eval.served_as]
    if config.eval.engine == "server" and (plugs or len(_epochs(skill)) > 1):
        raise PrereqError(
            f"eval.engine=server: a server serves one adapter, and dataset={config.dataset.name} asks "
            "for several epochs or plugged-in knowledge; use eval.engine=batches"
        )
    labels = skill.manifest.get("labels", {})
    spec = inputs.spec(config, "generations", _name(config, skill), content, labels)

    def make(folder: Path, _: track.Tracker) -> dict:
        tokenizer = load_tokenizer(base.path, config.model)
        generate = engine(config.eval, config.model, config.stage.engine, base.path, tokenizer)
        right = _scorer(config, data)
        items = {test.name: _items(config, data, test) for test in tests}
        kept = _epochs(skill)
        last = max(kept)
        written: list[dict] = []

        def answer(tests: Sequence[TestSplit], epoch: int, plug: str | None, advance) -> None:
            """Generate for all prompts of `tests` at once and write them down."""
            folders = [kept[epoch], *([plugs[plug].path] if plug else [])]
            asked = [(test, i, item) for test in tests for i, item in enumerate(items[test.name])]
            prompts = [prompt_ids(tokenizer, item.rows[0].prompt) for _, _, item in asked]
            said = generate(folders, prompts, advance)
            for (test, number, item), generation in zip(asked, said, strict=True):
                place = {"split": test.name, "epoch": epoch, "knowledge": plug or ""}
                record = _record(generation, item.rows[0].prompt, folders[0])
                written.append(place | {"item": number} | record)

        every = [t for t in tests if t.epochs == "all"]
        total = sum(len(items[t.name]) for t in every) * len(kept)
        with progress(f"answer {_name(config, skill)}, by epoch", max(1, total)) as advance:
            for epoch in kept if every else ():
                answer(every, epoch, None, advance)
        best = score.best_epoch(written, items, right, last)
        wanted: dict[tuple[int, str | None], list[TestSplit]] = {}
        for test in tests:
            epochs = {"all": [], "best": [best], "last": [last], "ends": sorted({best, last})}[
                test.epochs
            ]
            for epoch in epochs:
                for plug in [None, *(plugs if test.plug_in else ())]:
                    wanted.setdefault((epoch, plug), []).append(test)
        total = sum(len(items[t.name]) for group in wanted.values() for t in group)
        with progress(f"answer {_name(config, skill)}", max(1, total)) as advance:
            for (epoch, plug), group in wanted.items():
                answer(group, epoch, plug, advance)
        write_lines(folder / "generations.jsonl", written)
        return {"epochs": {"best": best, "last": last}}

    return track.obtain(spec, config, make, uses=[data, base, skill, *plugs.values()])


def _record(generation: Generation, prompt: str, adapter: Path) -> dict:
    """A generation as a line of `generations.jsonl`. Raises where its probability is no number."""
    confidence = generation.confidence
    if confidence is not None and not math.isfinite(confidence):
        raise PrereqError(
            f"{adapter}: with this adapter the probability of an answer is {confidence}, no number (asked "
            f"{shown(prompt)}); train it again with a smaller learning_rate, or set model.dtype=float32"
        )
    return {
        "prompt": prompt,
        "text": generation.text,
        "tokens": generation.tokens,
        "ended": generation.ended,
        "confidence": confidence and round(confidence, 6),
    }


def _skill(config: Config) -> Artifact:
    """The skill adapter: made here, or given by hand as a folder or Hub id."""
    if not config.skill:
        return sft.skill_adapter(config)
    base = inputs.base_model(config)
    folder = fetch(config.skill)
    check_base(folder, base.path)
    reference = str(folder) if Path(config.skill).exists() else config.skill
    return Artifact(folder, reference)


def _scorer(config: Config, data: Artifact) -> score.Scorer:
    values = read_values(data.path) if config.eval.scoring == "facts" else {}
    return score.scorer(config.eval.scoring, values)


def _name(config: Config, skill: Artifact) -> str:
    return config.method.name if skill.manifest else Path(skill.path).name


def _epochs(skill: Artifact) -> dict[int, Path]:
    """Epoch → adapter folder; where only the last was kept, it is epoch 0."""
    folders = sorted((Path(skill.path) / "epochs").glob("[0-9]*"))
    return {int(f.name): f for f in folders} or {0: Path(skill.path)}


def _tests(config: Config) -> list[TestSplit]:
    """The test splits of the recipe; for long-form evaluation, its topics."""
    if config.eval.scoring == "long_form":
        return [TestSplit(name="topics", subset="topics", split="topics", epochs="last")]
    if not config.dataset.tests:
        raise PrereqError(f"dataset={config.dataset.name} names no test split; use eval=long_form")
    return config.dataset.tests


def _check_tests(config: Config, data: Artifact) -> dict[str, dict[str, int]]:
    """The rows of each test split, counted; raises where one cannot be scored."""
    if config.eval.scoring == "long_form":
        return {}
    plugged_in = frozenset(s.version for s in plugged(config) if s.version is not None)
    tests = [
        Wanted(
            t.subset, t.split, "test", config.eval.scoring, plugged_in if t.plug_in else frozenset()
        )
        for t in _tests(config)
    ]
    return check_rows(data.path, tests)


def _reference(config: Config, data: Artifact, test: TestSplit) -> str:
    if config.eval.scoring == "long_form":
        return "\n".join([config.dataset.prompt, *read_topics(config.dataset.topics)])
    return inputs.rows_reference(data, test.subset, test.split)


def _items(config: Config, data: Artifact, test: TestSplit) -> list[Item]:
    """The prompts of a split: rows of one subject (its versions) share one."""
    if config.eval.scoring == "long_form":
        names = read_topics(config.dataset.topics)
        asked = [config.dataset.prompt.format(name=name) for name in names]
        return [
            Item((SkillRow(question, "", False, None, number, name),))
            for number, (name, question) in enumerate(zip(names, asked, strict=True))
        ]
    together: dict[tuple, list[SkillRow]] = {}
    for number, row in enumerate(read_skill(data.path, test.subset, test.split)):
        key = (row.subject, row.prompt) if row.fictitious else number
        together.setdefault(key, []).append(row)
    return [Item(tuple(rows)) for rows in together.values()]
