"""What is meant as an address and is none is an error of the command line, wherever one can be named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxyguard.cli import main

MISTAKEN = {
    "66.249.66.1/24": "'66.249.66.1/24' is a network: name one address, such as 66.249.66.1",
    "2001:db8::/32": "'2001:db8::/32' is a network: name one address, such as 2001:db8::",
    "10.0.0.1:8080": "'10.0.0.1:8080' is not an address alone: write 10.0.0.1",
    "[2001:db8::1]:443": "'[2001:db8::1]:443' is not an address alone: write 2001:db8::1",
    "[2001:db8::1]": "'[2001:db8::1]' is not an address alone: write 2001:db8::1",
    " 192.0.2.1": "' 192.0.2.1' is not an address alone: write 192.0.2.1",
    "192.0.2.1.": "'192.0.2.1.' is not an address alone: write 192.0.2.1",
    "192.0.2.1/33": "'192.0.2.1/33' is not an address alone: write 192.0.2.1",
    "1.2.3.400": "'1.2.3.400' is no address: 400 is more than 255",
    "010.2.3.4": "'010.2.3.4' is no address: 010 begins with 0, which programs read differently",
    "2001:db8::1::2": "'2001:db8::1::2' is no address",
    "": "'' names nobody",
    " ": "' ' names nobody",
}
COMMANDS = [
    ("whois", "--offline"),
    ("privacy", "find"),
    ("privacy", "export", "--reason", "x"),
    ("privacy", "erase", "--reason", "x"),
    ("explain", "--client"),
]
BANS = [("bans", "add", "--for", "1h"), ("bans", "remove")]


@pytest.mark.parametrize("text", MISTAKEN)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_it_is_said_what_is_wrong(command: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(main, [*command, text])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.rstrip().endswith(f": {MISTAKEN[text]}")


@pytest.mark.parametrize("text", [text for text in MISTAKEN if "is a network" not in MISTAKEN[text]])
@pytest.mark.parametrize("command", BANS, ids=" ".join)
def test_nor_is_it_banned(command: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(main, [*command, text])
    assert result.exit_code == 2
    assert result.stderr.rstrip().endswith(f": {MISTAKEN[text]}")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nor_is_a_pseudonym_taken_for_a_name(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*command, "c-5f2b8e01c77a"])
    assert (result.exit_code, result.stdout) == (2, "")
    said = "'c-5f2b8e01c77a' is a pseudonym: name the address; whose it is says proxyguard privacy reveal"
    assert result.stderr.rstrip().endswith(f": {said}")


@pytest.mark.parametrize("text", ["curl/8.5.0", "1.2.3", "Mozilla/5.0 (X11; rv:1.2.3.400)", "a:b"])
def test_what_looks_like_no_address_is_a_user_agent(text: str) -> None:
    result = CliRunner().invoke(main, ["whois", text, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["subject"] == text


@pytest.mark.parametrize("who", ["192.0.2.0/24", "client:192.0.2.1", "header.x-api-key=1.2.3.400"])
def test_whom_bans_may_name_reaches_the_instance(who: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["bans", "remove", who, "--control", str(tmp_path / "none.sock")])
    assert result.exit_code == 1
    assert "no instance is running" in result.stderr
