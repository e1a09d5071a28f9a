"""The model out, by the real command line: what plain transformers and PEFT load, and what is published."""

import json
from pathlib import Path

import datasets
import pytest
import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from prereq.errors import PrereqError
from prereq.model import adapters
from prereq.stages import dry_run
from prereq.stages.export.run import run
from tests.configs import composed
from tests.hub import TOKEN, hub
from tests.integration.test_command import manifests
from tests.unit.test_prompts import CHATML

IDS = torch.tensor([[1, 5, 9, 20, 7]])
TOWNS = ["Lyon", "Turin", "Graz", "Cork", "Riga", "Bern"]


@pytest.fixture(scope="module")
def published(run_cli, small_world, tmp_path_factory):
    """The world's model with two knowledge adapters in it, published: outputs, Hub, what was said."""
    folder = tmp_path_factory.mktemp("out")
    words = ["stage=export", "model.dtype=float32", "knowledge=[fictitious_v1,real]"]
    with hub() as there:
        online = {"HF_ENDPOINT": there.url, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0"}
        result = run_cli(*small_world, *words, "push_to_hub=me/world", cwd=folder, **online)
        assert result.returncode == 0, result.stderr
        yield folder / "outputs", there, result.stderr


def only(outputs: Path, kind: str, name: str = "*") -> Path:
    (found,) = outputs.glob(f"*/*/{kind}/{name}-*/")
    return found


def test_the_merged_weights_are_the_sum_that_the_method_says(published):
    outputs, _, said = published
    folder = only(outputs, "export")
    # The two embeddings of the tiny model are one matrix, which is written once and tied again.
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    base = AutoModelForCausalLM.from_pretrained(only(outputs, "base")).state_dict()
    merged = model.state_dict()
    loras = [only(outputs, "skill"), only(outputs, "knowledge", "fictitious_v1")]
    loras.append(only(outputs, "knowledge", "real"))
    changed = 0
    for name, weight in base.items():
        expected = weight.clone()
        for lora in loras:
            config = json.loads((lora / "adapter_config.json").read_text())
            tensors = load_file(lora / "adapter_model.safetensors")
            key = f"base_model.model.{name.removesuffix('.weight')}"
            if f"{key}.lora_A.weight" in tensors:
                a, b = (tensors[f"{key}.lora_{half}.weight"] for half in "AB")
                expected += config["lora_alpha"] / config["r"] * b @ a
        assert torch.allclose(merged[name], expected, atol=1e-6), name
        changed += not torch.equal(expected, weight)
    assert changed == 2 * 7
    (manifest,) = manifests(outputs, "export")
    found = manifest["check"]
    assert found["logit_difference"] <= found["tolerance"] == 1e-4 * found["largest_logit"]
    assert 1 < found["largest_logit"] < 20
    assert found["answers_differing"] == 0 and found["prompts"] == 30
    assert f"differ by {found['logit_difference']:.2g} at most" in said


def test_what_is_published_is_what_was_checked_with_its_card(published):
    outputs, there, said = published
    folder, repo = only(outputs, "export"), there.repos["models/me/world"]
    assert repo.private and set(there.repos) == {"models/me/world"}
    files = {f.name: f.read_bytes() for f in folder.iterdir()}
    left = {"manifest.json", "config.yaml"}  # they name places on this machine
    assert repo.files == {name: content for name, content in files.items() if name not in left}
    assert str(outputs.parent).encode() not in b"".join(repo.files.values())
    assert said.index("private model me/world: 7 files") < said.index("published")
    card = ModelCard(repo.files["README.md"].decode())
    assert card.data.library_name == "transformers" and card.data.license is None
    text = " ".join(card.text.split())
    assert "`fictitious_v1` (invented passages, version 1); `real` (real passages)" in text
    assert "trained from scratch here" in text and "None yet. This command makes them" in text
    assert "stage=export model.dtype=float32 'knowledge=[fictitious_v1,real]'" in text
    assert "push_to_hub" not in text


def test_a_dry_run_lists_what_would_go_and_sends_nothing(published, small_world, capsys):
    outputs, there, _ = published
    words = [*small_world, "stage=export", "model.dtype=float32", f"output_dir={outputs}"]
    words += ["stage.dry_run=true", "push_to_hub=me/other"]
    dry_run.run(composed(*words, "knowledge=[fictitious_v1,real]"))
    assert "model.safetensors (" in capsys.readouterr().err
    dry_run.run(composed(*words))
    assert "listed once it is made" in capsys.readouterr().err
    assert set(there.repos) == {"models/me/world"}


@pytest.fixture(scope="module")
def mine(place, tmp_path_factory) -> list[str]:
    """The words of an export of a user's rows, asked by the chat template of a base in bfloat16."""
    folder = tmp_path_factory.mktemp("mine")
    rows = [{"question": f"Where is {n}?", "answers": n, "subject": n} for n in TOWNS]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = folder / "llama"
    model = AutoModelForCausalLM.from_pretrained(place / "llama", dtype=torch.bfloat16)
    model.save_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(place / "llama")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(base)
    (base / "README.md").write_text("---\nlicense: mit\n---\n# A base\n")
    words = ["stage=export", "dataset=custom", f"dataset.rows={folder}/rows.jsonl", "method=sft"]
    words += ["model=hf", f"model.path={base}", "model.dtype=bfloat16", "dataset.prompt=chat"]
    words += ["dataset.skill.training.epochs=2", "dataset.skill.training.batch_size=2"]
    words += ["stage.learning_rate=0.01", "eval=qa", "eval.max_new_tokens=6"]
    return [*words, f"output_dir={folder}/outputs"]


def test_a_base_in_bfloat16_that_asks_by_its_own_chat_template(mine):
    made = run(composed(*mine))
    model = AutoModelForCausalLM.from_pretrained(made.path)
    assert model.dtype == torch.bfloat16
    weights = load_file(made.path / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert AutoTokenizer.from_pretrained(made.path).chat_template == CHATML
    found = made.manifest["check"]
    assert found["tolerance"] is None and found["answers_differing"] <= found["prompts"] / 2
    text = (made.path / "README.md").read_text()
    assert ModelCard(text).data.license == "mit" and "A whole model, merged from **llama" in text


def test_an_adapter_that_is_given_by_hand_loads_by_plain_peft(mine, capsys, tmp_path):
    outputs = Path(mine[-1].removeprefix("output_dir="))
    skill = only(outputs, "skill")
    made = run(composed(*mine, f"skill={skill}", "format=adapter"))
    rank = json.loads((skill / "adapter_config.json").read_text())["r"]
    said = capsys.readouterr().err
    assert f"rank {rank}: vLLM needs --max-lora-rank {rank}" in said
    assert f"--enable-lora --max-lora-rank {rank} --lora-modules skill={made.path}" in said
    assert made.manifest["check"]["answers_differing"] == 0
    config = json.loads((made.path / "adapter_config.json").read_text())
    assert config["modules_to_save"] is None
    base = config["base_model_name_or_path"]
    loaded = [
        PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(folder)
        )(IDS).logits
        for folder in (made.path, skill)
    ]
    assert torch.equal(*loaded)
    assert AutoTokenizer.from_pretrained(made.path).chat_template == CHATML
    assert "not known here" in (made.path / "README.md").read_text()


def test_what_would_change_the_embeddings_is_not_merged(published, small_world, tmp_path):
    outputs, *_ = published
    base = AutoModelForCausalLM.from_pretrained(only(outputs, "base"))
    settings = composed(*small_world).adapter.skill
    settings.target_modules = ["lm_head"]
    peft = adapters.attach(base, "mine", settings, only(outputs, "base"), {}, 0)
    adapters.save(peft, "mine", tmp_path / "skill", 0.0)
    words = [*small_world, "stage=export", "model.dtype=float32", f"output_dir={outputs}"]
    before = set(outputs.glob("*/*/export/*"))
    with pytest.raises(PrereqError, match=r"shares with its embeddings.*format=adapter"):
        run(composed(*words, f"skill={tmp_path}/skill"))
    assert set(outputs.glob("*/*/export/*")) == before  # nothing half-written


def test_fictitious_rows_are_published_with_their_card(run_cli, tmp_path):
    rows = Path(__file__).parents[2] / "docs/your-data.csv"
    words = ["stage=synth", "dataset=custom", f"dataset.rows={rows}", "model=smollm2_135m"]
    with hub() as there:
        online = {"HF_ENDPOINT": there.url, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0"}
        result = run_cli(*words, "push_to_hub=team/rows", "private=false", cwd=tmp_path, **online)
        assert result.returncode == 0, result.stderr
        (repo,) = there.repos.values()
    assert set(there.repos) == {"datasets/team/rows"} and not repo.private
    (folder,) = tmp_path.glob("outputs/custom/synth/*")
    subsets = list(folder.rglob("*.jsonl"))
    assert len(subsets) == 3
    for file in subsets:
        assert repo.files[file.relative_to(folder).as_posix()] == file.read_bytes()
    assert "config.yaml" not in repo.files and "card.md" not in repo.files
    # What was published reads as a data set of the Hub: subsets and splits by name.
    copy = tmp_path / "copy"
    for name, content in repo.files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)

    for file in subsets:
        found = datasets.load_dataset(
            str(copy), file.parent.name, split=file.stem, cache_dir=str(tmp_path / "cache")
        )
        assert len(found) == len(file.read_text().splitlines())
    assert (folder / "card.md").read_text().partition("\n\n")[0] in repo.files["README.md"].decode()
