"""The embedded world's tokenizer: one token a word, built from the world's own word lists.

A name is two tokens and a value is one, so a fact is a single prediction and an answer is read off
one token. As in Llama's tokenizers, `<bos>` stands in front of every text and nothing behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from prereq.world.words import (
    ASIDES,
    BIOGRAPHY,
    FIRST_NAMES,
    FRAME,
    GRADES,
    LAST_NAMES,
    QUESTION,
    REQUEST,
    STATEMENTS,
    VALUES,
)

SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}


def build(task: str = "questions") -> PreTrainedTokenizerFast:
    """The tokenizer of a world: special tokens, words of the wordings, names, values.

    Those of the task "unsure" come last, and no other world has them: models keep their vocabulary.
    """
    said = GRADES.values() if task == "unsure" else ()
    vocabulary = {token: place for place, token in enumerate([*SPECIAL.values(), *_words(said)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk_token"]))
    # White space separates and is dropped, line breaks too; each mark is a token of its own.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    bos = SPECIAL["bos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, vocabulary[bos])]
    )
    # The first decoder puts words a space apart, the second takes that space from marks.
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.WordPiece(prefix="##", cleanup=True),
            decoders.Replace(" :", ":"),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)


def _words(said: Iterable[str]) -> list[str]:
    """Every word and mark that a text of the world can hold, once each, in a fixed order; `said` last."""
    wordings = [FRAME, REQUEST, *BIOGRAPHY.values(), *QUESTION.values()]
    wordings += [
        wording
        for group in (STATEMENTS, ASIDES)
        for several in group.values()
        for wording in several
    ]
    words = _parted(wordings) + FIRST_NAMES + LAST_NAMES
    words += [value for values in VALUES.values() for value in values]
    words += _parted(said)
    return list(dict.fromkeys(words))


def _parted(wordings: Iterable[str]) -> list[str]:
    """The words and marks of wordings, without what they leave open."""
    plain = re.sub(r"\{\w+\}", " ", " ".join(wordings))
    return re.findall(r"\w+|[^\w\s]", plain)
