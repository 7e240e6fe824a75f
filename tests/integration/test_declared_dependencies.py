"""The application needs nothing that only its tests declare."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}")


def run(*command: str | Path, **environment: str) -> None:
    told = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=140,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_it_migrates_and_loads_without_the_packages_of_its_tests(tmp_path: Path) -> None:
    assert UV, "uv is needed: run `make test`"
    venv = tmp_path / "venv"
    database_url = f"sqlite:///{tmp_path / 'chat.db'}"
    run(UV, "sync", "--frozen", "--no-dev", UV_PROJECT_ENVIRONMENT=str(venv))

    run(venv / "bin" / "alembic", "upgrade", "head", DATABASE_URL=database_url)
    run(venv / "bin" / "python", "-c", "import chat_app.chat_app", DATABASE_URL=database_url)
