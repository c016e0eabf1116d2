"""What operators get wrong, and exactly what they are told: each case is a transcript in `mistakes/`.

A transcript has the files, the command line, then standard output, standard error and the exit code as they must be. To write
the answers again after a change of words, and then to read each as someone who has just been woken up:
`python -m tests.cli.test_mistakes`.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from proxyguard.cli import main

MISTAKES = Path(__file__).parent / "mistakes"
NAMES = sorted(path.stem for path in MISTAKES.glob("*.txt"))

_SECTION = re.compile(rb"^=== (.*)\n", re.MULTILINE)


class Transcript(NamedTuple):
    """One case: files and command line as given, and all of it as text."""

    files: dict[str, bytes]
    command: str
    text: str


def read(name: str) -> Transcript:
    parts = _SECTION.split((MISTAKES / f"{name}.txt").read_bytes())
    sections = dict(zip((part.decode() for part in parts[1::2]), parts[2::2], strict=True))
    [command] = [title.removeprefix("$ proxyguard ") for title in sections if title.startswith("$ ")]
    answers = {title for title in sections if title.startswith(("$ ", "exit "))} | {"standard output", "standard error"}
    files = {title: body for title, body in sections.items() if title not in answers}
    return Transcript(files, command, b"".join(parts and [b"".join(_with_titles(parts))]).decode("utf-8", "surrogateescape"))


def _with_titles(parts: list[bytes]) -> list[bytes]:
    return [parts[0], *(b"=== " + title + b"\n" + body for title, body in zip(parts[1::2], parts[2::2], strict=True))]


def answered(case: Transcript, folder: Path) -> str:
    """The transcript with what the command answers now."""
    for name, body in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with patch("resource.getrlimit", lambda _: (65_536, 65_536)):
            result = CliRunner(env={"COLUMNS": "100"}).invoke(main, shlex.split(case.command), prog_name="proxyguard")
    finally:
        os.chdir(before)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    text = b"".join(b"=== " + name.encode() + b"\n" + body for name, body in case.files.items())
    text += f"=== $ proxyguard {case.command}\n".encode()
    if result.stdout:
        text += f"=== standard output\n{result.stdout}".encode("utf-8", "surrogateescape")
    if result.stderr:
        text += f"=== standard error\n{result.stderr}".encode("utf-8", "surrogateescape")
    return (text + f"=== exit {result.exit_code}\n".encode()).decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_a_mistake(name: str, tmp_path: Path) -> None:
    case = read(name)
    assert answered(case, tmp_path) == case.text


def test_there_are_a_hundred_and_sixty_and_none_ends_well_by_accident() -> None:
    ends = {name: read(name).text.rstrip().rpartition("\n")[2] for name in NAMES}
    assert len(ends) >= 160
    assert set(ends.values()) == {"=== exit 0", "=== exit 1", "=== exit 2"}
    only_warned = {
        "rule-after-the-one-that-decides", "googlebot-allowed-by-name", "everybody-as-client", "everything-allowed",
        "list-that-is-empty", "list-with-host-bits", "settings-trust-in-everybody", "settings-trust-in-everybody-by-halves",
        "settings-more-connections-than-files", "certificate-of-another-host", "expired-already",
        "score-that-nothing-gives", "tag-that-nothing-gives",
    }  # fmt: skip
    assert {name for name, end in ends.items() if end == "=== exit 0"} == only_warned


def test_no_message_speaks_of_python() -> None:
    for name in NAMES:
        said = read(name).text.partition("=== $ ")[2]
        assert not re.search(r"Traceback|Error\(|Exception|object|None\b|NoneType|\bdict\b|\bstr\b|0x[0-9a-f]{6}", said), name


if __name__ == "__main__":
    for each in NAMES:
        with tempfile.TemporaryDirectory() as made:
            now = answered(read(each), Path(made))
        (MISTAKES / f"{each}.txt").write_bytes(now.encode("utf-8", "surrogateescape"))
