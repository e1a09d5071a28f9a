"""The texts of a knowledge source by subject: what a teacher reads about each (`training.distillation`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prereq.config import KnowledgeSource
from prereq.config.schema.training import DISTILLATION
from prereq.data.checks import is_text
from prereq.data.problems import shown
from prereq.data.sources import read_text, read_titles, text_place
from prereq.data.tokens import TokenRow, begun
from prereq.errors import PrereqError
from prereq.stages.data import tokens
from prereq.stages.specs import Specs
from prereq.training.distillation import Text, longest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def read(
    specs: Specs, source: KnowledgeSource, tokenizer: PreTrainedTokenizerBase
) -> list[TokenRow]:
    """The rows that training will see of a knowledge source, the longest of a teacher's with them."""
    if specs.config.dataset.knowledge_objective != DISTILLATION:
        return tokens.text(specs, source, tokenizer)[0]
    subjects, _ = by_subject(specs, source, tokenizer)
    context = specs.config.dataset.distillation.context
    rows = [text.row for texts in subjects for text in texts]
    return [*rows, longest(subjects, context, len(begun(tokenizer, "")))]


def by_subject(
    specs: Specs, source: KnowledgeSource, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[list[Text]], dict[str, Any]]:
    """The texts of each subject, in the order of the source, and what the manifest says of them.

    Raises PrereqError for a text that nothing says the subject of, for one that is longer than a context
    may be, and for subjects of a single text.
    """
    where = f"knowledge {source.name}: dataset.knowledge_objective=distillation"
    remedy = "or use dataset.knowledge_objective=next_token"
    place = specs.folder(source.subset), source.subset, source.split
    titles, texts = read_titles(*place), read_text(*place)
    nameless = [number for number, title in enumerate(titles) if not is_text(title)]
    if nameless:
        lacks = (
            "no column title"
            if titles[nameless[0]] is None
            else f"title {shown(titles[nameless[0]])}"
        )
        raise PrereqError(
            f"{where} has a teacher read other texts of the same subject, and "
            f"{text_place(*place, nameless[0])} has {lacks}; it must say what the text is about, a "
            "non-empty string. Add it (a data set that an older version made here is made anew where its "
            f"folder is removed), {remedy}"
        )
    rows, counts = tokens.text(specs, source, tokenizer)
    limit = specs.config.dataset.distillation.context
    subjects: dict[str, list[Text]] = {}
    # A line of its own each, as text is written; a tokenizer without line breaks reads none.
    lines = [f"{texts[row.number - 1]}\n" for row in rows]
    encoded = tokenizer(lines, add_special_tokens=False)["input_ids"]
    for row, told in zip(rows, encoded, strict=True):
        if len(told) > limit:
            raise PrereqError(
                f"{where}: {text_place(*place, row.number - 1)} has {len(told)} tokens, more than the "
                f"teacher may read (dataset.distillation.context={limit}); raise that, {remedy}"
            )
        subjects.setdefault(titles[row.number - 1], []).append(Text(row, told))
    single = [title for title, several in subjects.items() if len(several) < 2]
    if single:
        some = ", ".join(single[:3]) + (", …" if len(single) > 3 else "")
        raise PrereqError(
            f"{where} needs two texts of a subject, one to read and one to learn, and {len(single):,} of "
            f"{len(subjects):,} have one ({some}); add others, drop those, {remedy}"
        )
    return list(subjects.values()), counts
