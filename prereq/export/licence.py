"""The licence of a base model, as far as its own files say it."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import ModelCard, hf_hub_download

FIELDS = ("license", "license_name", "license_link")


def of_base(base: Path | str, revision: str | None) -> dict[str, str]:
    """`license` (and `license_name`, `license_link`) of the model card in a folder or under a Hub id.

    Empty where there is no card or it names none: then the licence is unknown, not free.
    """
    try:
        folder = Path(base)
        card = (
            folder / "README.md"
            if folder.is_dir()
            else Path(hf_hub_download(str(base), "README.md", revision=revision))
        )
        data = ModelCard.load(card).data.to_dict()
    except Exception:  # no card, no network, a card that is no YAML: all the same, it is not known
        return {}
    return {name: str(data[name]) for name in FIELDS if data.get(name)}
