"""The sizes of a model's tables: token ids and positions beyond them are refused, not looked up."""

from transformers import PretrainedConfig, PreTrainedModel

from prereq.errors import PrereqError


def check_ids(model: PreTrainedModel, largest: int, what: str) -> None:
    """Refuse a token id that the model has no embedding for."""
    count = model.get_input_embeddings().weight.shape[0]
    if largest >= count:
        raise PrereqError(
            f"{what}: the tokenizer gives token id {largest}, and {model.name_or_path} has embeddings "
            f"for 0 to {count - 1} only; tokenizer and model do not belong together, give a folder "
            "that holds both as they were saved"
        )


def check_length(shape: PretrainedConfig, length: int, what: str, key: str) -> None:
    """Refuse a sequence of more tokens than the model has positions; `key` is what makes it shorter."""
    most = getattr(shape.get_text_config(), "max_position_embeddings", None)
    if most and length > most:
        raise PrereqError(
            f"{what}: the longest sequence would have {length:,} tokens, and the base model has {most:,} "
            f"positions (max_position_embeddings); lower {key}"
        )
