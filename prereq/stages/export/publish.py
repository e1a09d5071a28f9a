"""`push_to_hub=OWNER/NAME`: what of an artifact goes to the Hub, and the upload."""

from pathlib import Path

from prereq.artifacts.spec import Artifact
from prereq.config import Config
from prereq.export import data_card, push
from prereq.runtime import ranks


def ready(config: Config, kind: str) -> None:
    """Where it is asked for: refuse before anything is made what the Hub would refuse in the end."""
    if config.push_to_hub:
        ranks.on_main_process(lambda: push.ready(config.push_to_hub, kind, config.private))


def show(config: Config, made: Artifact) -> None:
    """Say what would go where."""
    push.show(config.push_to_hub, _kind(made), config.private, contents(made))


def publish(config: Config, made: Artifact) -> None:
    """Where it is asked for: list what goes, and upload it as one commit. Raises PrereqError."""
    if not config.push_to_hub:
        return
    show(config, made)
    found, name = contents(made), Path(made.path).name
    ranks.on_main_process(
        lambda: push.push(config.push_to_hub, _kind(made), config.private, found, name)
    )


def contents(made: Artifact) -> dict[str, Path | bytes]:
    """Path in the repository → file or content: an export as it lies, rows with their card as README.md."""
    found: dict[str, Path | bytes] = dict(push.files(Path(made.path)))
    if made.manifest["kind"] == "synth":
        copied = bool(made.manifest.get("laid_out"))
        card = (Path(made.path) / "card.md").read_text("utf-8")
        found["README.md"] = data_card.text(card, list(found), copied).encode()
    return found


def _kind(made: Artifact) -> str:
    return "dataset" if made.manifest["kind"] == "synth" else "model"
