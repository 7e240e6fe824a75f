from pathlib import Path

import pytest

from tests.support.programs import Program, ProgramMissing, find


def executable(folder: Path, name: str, *, says: str = "1.0", status: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    program.chmod(0o755)
    return program


def wanted(*folders: Path) -> Program:
    return Program(
        name="The server",
        commands=("server", "other-server"),
        companions=("init",),
        folders=tuple(str(folder) for folder in folders),
        debian="server-package",
        brew="server-formula",
    )


def test_path_comes_before_the_well_known_folders(tmp_path: Path) -> None:
    on_path = executable(tmp_path / "path", "server")
    for folder in ("path", "known"):
        executable(tmp_path / folder, "server")
        executable(tmp_path / folder, "init")

    found = find(wanted(tmp_path / "known"), path=str(tmp_path / "path"))

    assert found == on_path


def test_the_highest_version_of_a_well_known_folder_is_taken(tmp_path: Path) -> None:
    for version in ("9", "15", "17"):
        executable(tmp_path / version / "bin", "server")
        executable(tmp_path / version / "bin", "init")

    found = find(wanted(tmp_path / "*" / "bin"), path="")

    assert found == tmp_path / "17" / "bin" / "server"


def test_a_program_is_found_under_any_of_its_names(tmp_path: Path) -> None:
    other = executable(tmp_path, "other-server")
    executable(tmp_path, "init")

    assert find(wanted(), path=str(tmp_path)) == other


@pytest.mark.parametrize(
    ("says", "status"), [("install the snap first", 1), ("Chromium 130.0 snap", 0)]
)
def test_a_program_that_cannot_be_used_is_passed_over(
    tmp_path: Path, says: str, status: int
) -> None:
    executable(tmp_path / "first", "server", says=says, status=status)
    executable(tmp_path / "first", "init")
    usable = executable(tmp_path / "second", "server")
    executable(tmp_path / "second", "init")

    found = find(wanted(tmp_path / "second"), path=str(tmp_path / "first"))

    assert found == usable


def test_a_program_without_its_companion_is_passed_over(tmp_path: Path) -> None:
    executable(tmp_path, "server")

    with pytest.raises(ProgramMissing):
        find(wanted(), path=str(tmp_path))


def test_a_missing_program_is_an_error_that_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing) as caught:
        find(wanted(), path=str(tmp_path))

    assert "apt-get install server-package" in str(caught.value)
    assert "brew install server-formula" in str(caught.value)
