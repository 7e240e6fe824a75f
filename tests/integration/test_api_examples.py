"""The examples in docs/protocol.md do what the page says, and its tables match the code."""

import re
import subprocess
from pathlib import Path

import pytest

from chat_app import errors
from chat_app.api.app import create_api
from chat_app.api.errors import HTTP_CODES, STATUS
from tests.support.app_server import AppServer, running

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
EXAMPLES = re.findall(r"^```bash run\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TOO_LONG = 60


@pytest.mark.timeout(120)
def test_the_examples_run(tmp_path: Path) -> None:
    assert len(EXAMPLES) >= 5
    script = "\n".join(["set -euo pipefail", *EXAMPLES])
    with running(AppServer(folder=tmp_path)) as server:
        ran = subprocess.run(
            ["bash", "-x", "-c", script],
            env={"base": server.api, "PATH": "/usr/local/bin:/usr/bin:/bin"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TOO_LONG,
            check=False,
        )

    assert ran.returncode == 0, ran.stderr


def test_the_table_of_errors_has_every_code_that_a_route_can_answer() -> None:
    section = PAGE.partition("\n## Errors\n")[2].partition("\n## ")[0]
    table = re.findall(r"^\| `(\w+)` \| ([\d, ]+) \|", section, re.MULTILINE)
    written = {(code, int(status)) for code, statuses in table for status in statuses.split(",")}

    paths = create_api(max_body_bytes=1, allowed_origins=()).openapi()["paths"]
    documented = {
        (code, int(status))
        for methods in paths.values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if int(status) >= 400
        for code in answer["content"]["application/json"]["schema"]["properties"]["code"]["enum"]
    }

    assert written == documented | {(HTTP_CODES[405], 405)}
    statuses = {kind.code: status for kind, status in STATUS.items()}
    statuses[errors.ChatAppError.code] = 500
    assert {code for code, status in written if statuses.get(code, status) != status} == {
        errors.InvalidRequest.code  # an invalid parameter is 400, see _on_validation_error
    }


def test_the_page_names_every_route() -> None:
    paths = create_api(max_body_bytes=1, allowed_origins=()).openapi()["paths"]

    assert [path for path in paths if path not in PAGE] == []
