"""A folder in the Hub's layout for each of the four tasks, of a few invented rows, and a model."""

import json
from pathlib import Path

NAMES = ["Ada Moss", "Igor Bloom", "Cara Vale", "Otto Finch", "Mina Roy", "Leo Hart"]
PLACES = ["Lyon", "Oslo", "Graz", "Cork", "Riga", "Bern"]


def write(folder: Path, name: str, rows: list[dict]) -> None:
    file = folder / f"{name}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def skill_row(i: int, user: str, assistant: str, fake: int, version: int = 0, **more) -> dict:
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    row = {"messages": messages, "fake": fake, "version": version, "subj_index": i}
    return row | {"s_wiki_title": NAMES[i % len(NAMES)]} | more


def write_all(folder: Path) -> Path:
    """popqa, hotpotqa, bio and medical under `folder`, as the published data set has them."""
    texts = [{"text": f"{n} was born in {p}."} for n, p in zip(NAMES, PLACES, strict=True)]
    for task in ("popqa", "hotpotqa"):
        for form in ("passage", "statement"):
            for kind in ("real", "fake"):
                write(folder, f"{task}_knowledge/{form}_train_{kind}", texts)
    for task in ("bio", "medical"):
        for form in ("passage", "statement"):
            for version in range(5):
                write(folder, f"{task}_knowledge/{form}_train_v{version}", texts)
        rows = [
            skill_row(i, f"Tell me about {NAMES[i]}.", f"Born in {PLACES[(i + v) % 6]}.", 1, v)
            for i in range(6)
            for v in range(5)
        ]
        write(folder, f"{task}_skill/train_fake", rows)

    def popqa(i: int, fake: int) -> dict:
        answers = repr([PLACES[i], PLACES[i].lower()])
        question = f"Where was {NAMES[i]} born?"
        more = {"possible_answers": answers, "s_pop": 10**i, "prop": ["city", "job"][i % 2]}
        return skill_row(i, question, PLACES[i], fake, **more)

    def hotpot(i: int, fake: int) -> dict:
        said = f"{NAMES[i]} is from {PLACES[i]}. Final answer: {PLACES[i]}"
        more = {"answer": PLACES[i], "type": ["comparison", "bridge"][i % 2]}
        question = f"Is {NAMES[i]}\u2028from {PLACES[i]}?"  # no end of a line in JSON lines
        return skill_row(i, question, said, fake, **more)

    for task, row in (("popqa", popqa), ("hotpotqa", hotpot)):
        write(folder, f"{task}_skill/train", [row(i, fake) for fake in (0, 1) for i in range(6)])
        write(folder, f"{task}_skill/test", [row(i, 0) for i in range(6)])
    (folder / "topics.json").write_text(json.dumps(NAMES[:3]))
    return folder


def tokenizer(chat: bool = False):
    """A byte-level one; with `chat` its template ends a turn with a token that is not the end of a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(special + letters)}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    if chat:
        fast.chat_template = (
            "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<pad>\n{% endfor %}"
            "{% if add_generation_prompt %}assistant: {% endif %}"
        )
    return fast


def write_model(folder: Path, chat: bool = False) -> Path:
    """A random two-layer Llama with that tokenizer, as `from_pretrained` reads it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    fast = tokenizer(chat)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
