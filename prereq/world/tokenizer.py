"""The embedded world's tokenizer: one token a word, built from the world's own word lists.

A name is two tokens and a value is one, so a fact is a single prediction and an answer is read off
one token. As in Llama's tokenizers, `<bos>` stands in front of every text and nothing behind it.
"""

from __future__ import annotations

import re

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from prereq.world.words import (
    ASIDES,
    BIOGRAPHY,
    FIRST_NAMES,
    FRAME,
    LAST_NAMES,
    QUESTION,
    REQUEST,
    STATEMENTS,
    VALUES,
)

SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}


def build() -> PreTrainedTokenizerFast:
    """The tokenizer of every world: special tokens, words of the wordings, names, values."""
    vocabulary = {token: place for place, token in enumerate([*SPECIAL.values(), *_words()])}
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


def _words() -> list[str]:
    """Every word and mark that a text of the world can hold, once each, in a fixed order."""
    wordings = [FRAME, REQUEST, *BIOGRAPHY.values(), *QUESTION.values()]
    wordings += [
        wording
        for group in (STATEMENTS, ASIDES)
        for several in group.values()
        for wording in several
    ]
    plain = re.sub(r"\{\w+\}", " ", " ".join(wordings))
    words = re.findall(r"\w+|[^\w\s]", plain) + FIRST_NAMES + LAST_NAMES
    words += [value for values in VALUES.values() for value in values]
    return list(dict.fromkeys(words))
