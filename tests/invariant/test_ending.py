"""However one of several processes ends, its exit code and its words are its own."""

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    result = subprocess.run(
        [sys.executable, "-m", "tests.invariant.ending", tmp_path_factory.mktemp("ending")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("way", "expected", "words"),
    [
        ("done", 0, ""),
        ("refused", 2, ""),
        ("said", 1, "no such dataset\n"),
        ("a bug", 1, "ZeroDivisionError: of a bug"),
        ("Ctrl-C", 130, "KeyboardInterrupt"),
    ],
)
def test_a_process_ends_as_it_would_alone_though_a_thread_of_its_group_is_late(
    found, way, expected, words
):
    for code, out, err in found[way]:
        assert (code, out) == (expected, "at the end\nexit handler\n"), err
        assert words in err and ("Traceback" in err) == (way in ("a bug", "Ctrl-C"))
