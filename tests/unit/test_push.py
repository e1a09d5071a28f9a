"""Publishing, against a stand-in of the Hub: what goes, and what is refused before anything does."""

import pytest
from huggingface_hub import constants

from prereq.errors import PrereqError
from prereq.export import push
from tests.hub import TOKEN, Repo, hub


@pytest.fixture
def there(monkeypatch):
    with hub() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


FILES = {"README.md": b"---\ntags: [x]\n---\n\n# A model\n", "folder/weights.bin": bytes(300)}


def test_files_go_as_one_commit_into_a_private_repository(there, capsys):
    push.show("team/name", "model", True, FILES)
    url = push.push("team/name", "model", True, FILES, "what")
    assert url == f"{there.url}/team/name"
    assert there.repos == {"models/team/name": Repo(True, FILES)}
    said = capsys.readouterr().err
    assert "private model team/name: 2 files, 329 bytes" in said and "README.md (29 bytes)" in said
    # The same again, with other content: on top of the first.
    changed = FILES | {"folder/weights.bin": bytes(200)}
    push.push("team/name", "model", True, changed, "what")
    assert there.repos["models/team/name"].files == changed


def test_data_go_into_a_repository_of_data_that_is_public_if_asked(there):
    push.push("me/rows", "dataset", False, FILES, "rows")
    assert there.repos == {"datasets/me/rows": Repo(False, FILES)}


@pytest.mark.parametrize(
    ("name", "private", "says"),
    [
        ("you/name", True, "who is not you and in no organisation of that name; write to one of me, team"),
        ("me/public", True, "exists and is public, and private=true asks for a private one"),
        ("me/own", False, "exists and is private, and private=false asks for a public one"),
        ("me/used", True, "holds 1 other files (old.bin)"),
    ],
)  # fmt: skip
def test_what_would_surprise_is_refused(there, name, private, says):
    there.repos |= {
        "models/me/public": Repo(False),
        "models/me/own": Repo(True),
        "models/me/used": Repo(True, {"old.bin": b"1", ".gitattributes": b""}),
    }
    before = {key: dict(repo.files) for key, repo in there.repos.items()}
    with pytest.raises(PrereqError) as told:
        push.push(name, "model", private, FILES, "what")
    assert says in str(told.value)
    assert {key: dict(repo.files) for key, repo in there.repos.items()} == before


def test_the_hub_the_network_and_the_token_are_told_apart(there, monkeypatch):
    there.refuses = 403
    with pytest.raises(PrereqError, match=r"answers 403.*token that may write there.*kept"):
        push.push("me/name", "model", True, FILES, "what")
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(PrereqError, match=r"answers 401.*give a valid token"):
        push.ready("me/name", "model", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PrereqError, match="not in reach"):
        push.ready("me/name", "model", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PrereqError, match="HF_HUB_OFFLINE is set"):
        push.ready("me/name", "model", True)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(push, "get_token", lambda: None)  # one may be saved on this machine
    with pytest.raises(PrereqError, match=r"no token for the Hub; set .* HF_TOKEN"):
        push.ready("me/name", "model", True)


def test_places_on_this_machine_do_not_go(tmp_path):
    for name in ("manifest.json", "config.yaml", "card.md", "skill/train.jsonl", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert set(push.files(tmp_path)) == {"skill/train.jsonl", "README.md"}
