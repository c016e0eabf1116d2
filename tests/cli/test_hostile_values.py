"""No value on the command line makes a command fall over: each option and argument of each command gets values that are none.

What a command says of such a value is its own (`test_mistakes.py` has the words); here it only must not be a traceback, and the
exit code is one of those that are documented. Commands to a running instance ask a real one.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import format_exception
from typing import Final, NamedTuple
from zlib import crc32

import click
import pytest
from click.testing import CliRunner

from proxyguard.cli import main
from tests.end_to_end.processes import Proxyguard, proxyguard

pytestmark = pytest.mark.long

VALUES: Final = (
    "", " ", "\t", "\n", "a\nb", "é", "\udcff", "\x1b[31m", "\u202e", "\u0663", "²", "1²", "x" * 300, "x" * 5000,
    "-1", "0", "1", "-0", "00", "nan", "inf", "-inf", "1e999", "1e9", "9" * 40, "9" * 5000, "1_000", "0x10", "1.5.5",
    "1h²", "²s", "1s", "99999999999999999999s", "1d1d", "-5m", "5 m", "٣m", "1000000d", "0s", "1970-01-01", "9999-12-31",
    "99999-01-01", "2026-02-30", "2026-11-29T25:00:00Z", "24:00", "0001-01-01T00:00:00+14:00", "[", "[x", "]", "::", ":", "::1",
    "[::1", "[::1]", "[::1]:", "[::1]:²", "fe80::1%eth0", "1.2.3.4", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/²", "::/129",
    "1.2.3.4.5",
    "256.0.0.1", "0.0.0.0/0", "a:b", "a:²", "a:99999", ":0", ":80", "127.0.0.1:", "127.0.0.1:1:1", "https://[x", "http://[::1",
    "http://[v1.x]/", "http://a:99999/", "http://a:²/", "http://:80", "http://", "://", "http:///x", "http://user:word@[x/",
    "https://exa mple/", "https://\udcff/", "https://a\u2100b/", "https://127.0.0.1:1/x", "https://.", "https://a..b/",
    "ftp://127.0.0.1/x", "file:///etc/passwd", "unix:", "unix:" + "x" * 200, "data:,x", ".", "..", "/dev/null", "/proc/nowhere/x",
    "~nobody-of-this-name/x", "-", "@x", "sub", "locked", "file.txt", "file.txt/x", "bundled/..", "%", "%s%d%n", "%zz", "{", "{}",
    "{0}", "$x", "$", "\\", "*", "?", "(", "(?=x)", "[a-", "a{9999}", "=", "=x", "x=", "a=b", "a=b=c", ":x", "client=", "path=[",
    "null", "true", "r", "no-such-rule", "x/y", "c-", "c-zzzzzzzzzzzz", "c-000000000000", "client|1.2.3.4", "PG001", "PG999",
)  # fmt: skip
"""Of every kind that some option reads: numbers, durations, times, addresses, places, URLs, paths, patterns, pairs, names."""

SHARED: Final = frozenset({"--config", "--control"})
"""Options that one function reads for all commands: few values for each command."""

SHARE: Final = 16
"""One of so many values is tried in a run of the tests, other ones with each option.

`python -m tests.cli.test_hostile_values` tries all.
"""

RULES: Final = """\
name: r
rules:
  - {name: r, when: {user_agent: {word: nobody-is-this}}, action: reject, mode: shadow}
"""

LOG: Final = '192.0.2.1 - - [28/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'


class Case(NamedTuple):
    """A command, and what it is given beside the value that is tried."""

    path: tuple[str, ...]
    command: click.Command
    given: dict[str, str]


GIVEN: Final = {
    "bans add": {"who": "192.0.2.9", "--for": "1s"},
    "bans remove": {"who": "192.0.2.9"},
    "demote": {"rule": "r"},
    "promote": {"rule": "r", "--dry-run": ""},
    "pause": {"rules": "r", "--for": "1s"},
    "import": {"kind": "robots", "files": "robots.txt"},
    "lists update": {"names": "googlebot"},
    "new rule": {"--match": "path", "--value": "/x", "--action": "reject", "--why": "x", "--name": "n", "--since": "shadow"},
    "privacy erase": {"subject": "192.0.2.9", "--reason": "x", "--yes": ""},
    "privacy export": {"subject": "192.0.2.9", "--reason": "x"},
    "privacy find": {"subject": "192.0.2.9"},
    "privacy keys": {"--out": "keys"},
    "privacy reveal": {"who": "192.0.2.9", "--key": "key", "--reason": "x"},
    "range": {"--days": "0.0001", "--cohort": "reader"},
    "replay": {"logs": "access.log"},
    "restrict end": {"name": "n"},
    "restrict preview": {"--class": "anonymous=10/hour"},
    "restrict start": {"name": "n", "--class": "anonymous=10/hour", "--until": "1m", "--why": "x"},
    "resume": {"rules": "r"},
    "shadow on": {"--for": "1s"},
    "top": {"--once": ""},
    "whois": {"subject": "192.0.2.9", "--offline": ""},
}
"""What makes a command complete."""


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[Case]:
    """Every command that does something of itself."""
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield Case(path, command, GIVEN.get(" ".join(path), {}))
    if not isinstance(command, click.Group):
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, (*path, name))


CASES: Final = {" ".join(case.path): case for case in commands(main)}


def line(case: Case, tried: click.Parameter, value: str) -> list[str]:
    """The command line with this value in the place of one option or argument."""
    options, arguments = [], []
    for each in case.command.params:
        name = each.opts[-1]
        given = value if each is tried else case.given.get(name)
        if given is None:
            continue
        if each.param_type_name == "argument":
            arguments.append(given)
        else:
            options.append(name if getattr(each, "is_flag", False) else f"{name}={given}")
    return [*case.path, *options, "--", *arguments]


def tried_values(case: Case, option: click.Parameter, share: int) -> tuple[str, ...]:
    if isinstance(option.type, click.Choice) or getattr(option, "is_flag", False):
        return ()
    share *= 4 if option.opts[-1] in SHARED else 1
    return VALUES[crc32(f"{case.path}{option.opts}".encode()) % share :: share]


def faults(case: Case, share: int) -> Iterator[str]:
    """What falls over, of the command lines with one value in the place of each option and argument."""
    for option in case.command.params:
        for value in tried_values(case, option, share):
            words = line(case, option, value)
            result = CliRunner(env={"COLUMNS": "100"}).invoke(main, words, prog_name="proxyguard")
            whole = " ".join(map(ascii, words))[:300]
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                yield f"{whole}: {''.join(format_exception(result.exception)[-3:])}"
            elif result.exit_code not in (0, 1, 2) or "Traceback" in result.output:
                yield f"{whole}: exit {result.exit_code}: {result.output[:500]}"


@contextmanager
def instance(folder: Path) -> Iterator[Proxyguard]:
    """A running instance with an audit log, in front of nothing: no request is made."""
    (folder / "rules").mkdir()
    (folder / "rules/r.yaml").write_text(RULES)
    with proxyguard(folder, "http://127.0.0.1:1", rules=folder / "rules", settings=f"control: {folder}/control.sock\n") as guard:
        yield guard


@contextmanager
def folder_of(guard: Proxyguard, folder: Path) -> Iterator[None]:
    """Where the commands run: rules, a log, settings that lead to the running instance, and ports that are taken."""
    for name in ("sub", "rules", "locked"):
        (folder / name).mkdir(parents=True)
    (folder / "rules/r.yaml").write_text(RULES)
    (folder / "access.log").write_text(LOG)
    (folder / "robots.txt").write_text("User-agent: ExampleBot\nDisallow: /\n")
    (folder / "file.txt").write_text("x\n")
    (folder / "locked").chmod(0)
    with socket.socket() as taken, chdir(folder):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (folder / "proxyguard.yaml").write_text(
            f"listen: 127.0.0.1:{port}\nadmin: 127.0.0.1:{port}\nupstream: http://127.0.0.1:1\nrules: rules\n"
            f"control: {guard.audit.parent}/control.sock\naudit: {{path: {guard.audit}}}\n"
            "origin: {directory: lists}\nidentity: {update_hosts: ['127.0.0.1:1']}\n"
        )
        yield


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxyguard]:
    with instance(tmp_path_factory.mktemp("instance")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_no_value_makes_a_command_fall_over(name: str, guard: Proxyguard, tmp_path: Path) -> None:
    with folder_of(guard, tmp_path / "one/two"):
        assert list(faults(CASES[name], SHARE)) == []


def test_every_command_is_tried() -> None:
    assert CASES.keys() > {"run", "lists update", "privacy reveal", "new rule"}
    assert GIVEN.keys() <= CASES.keys()
    assert sum(len(tried_values(case, option, 1)) for case in CASES.values() for option in case.command.params) > 10_000


if __name__ == "__main__":
    with TemporaryDirectory() as made, instance(Path(made)) as running:
        for at, (name, case) in enumerate(CASES.items()):
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            with folder_of(running, Path(made) / f"{at}/two"):
                found = list(faults(case, 1))
            print(f"{name}: {len(found)} faults", *found, sep="\n  ", flush=True)
