"""List files as they are published: every shape in a sample of its own, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.problems import Fault, format_report
from proxyguard.policy.load import load_policy
from proxyguard.policy.parse.kept_lists import KeptLists
from proxyguard.policy.parse.list_formats import list_entries, place_beside
from proxyguard.policy.parse.networks import read_published

RULES = "name: x\nlists: {n: {file: lists/n}}\nrules:\n  - {name: y, when: {client: $n}, action: reject}\n"

PUBLISHED = {
    "Google": '{"syncToken": "1", "creationTime": "x", "prefixes": [{"ipv4Prefix": "192.0.2.0/28"}, '
        '{"ipv6Prefix": "2001:db8::/64"}]}',
    "AWS": '{"prefixes": [{"ip_prefix": "192.0.2.0/28", "region": "x", "service": "EC2"}], '
        '"ipv6_prefixes": [{"ipv6_prefix": "2001:db8::/64", "region": "x"}]}',
    "Azure": '{"cloud": "x", "values": [{"name": "A", "properties": {"addressPrefixes": ["192.0.2.0/28"]}}, '
        '{"name": "B", "properties": {"addressPrefixes": ["2001:db8::/64"]}}]}',
    "Fastly": '{"addresses": ["192.0.2.0/28"], "ipv6_addresses": ["2001:db8::/64"]}',
    "Cloudflare": '{"result": {"ipv4_cidrs": ["192.0.2.0/28"], "ipv6_cidrs": ["2001:db8::/64"], "etag": "x"}, "success": true}',
    "GitHub": '{"ssh_keys": ["ssh-ed25519 AAAA"], "hooks": ["192.0.2.0/28"], "actions": ["2001:db8::/64"], '
        '"domains": {"a": ["b"]}}',
    "Oracle": '{"regions": [{"region": "x", "cidrs": [{"cidr": "192.0.2.0/28", "tags": ["A"]}, {"cidr": "2001:db8::/64"}]}]}',
    "a list": '["192.0.2.0/28",\n "2001:db8::/64"]',
    "Spamhaus": "; list, 2026\n192.0.2.0/28 ; SBL1\n2001:db8::/64 ; SBL2\n",
    "CSV": 'network,country,asn\n192.0.2.0/28,US,AS64496\n"2001:db8::/64","DE",""\n',
    "tabs": "192.0.2.0/28\t2026-01-01\n2001:db8::/64\t2026-01-01\n",
    "host bits": "192.0.2.9/28\n2001:db8::7/64\n",
    "blanks, comments and CRLF": "# a\r\n\r\n  192.0.2.0/28   # b\r\n2001:db8::/64\r\n",
    "a byte order mark": "\ufeff192.0.2.0/28\n2001:db8::/64\n",
    "hosts": "192.0.2.0/28 example.org\n2001:db8::/64 #x\n",
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_loads_as_it_is_published(name: str) -> None:
    entries = [read_published(text) for _, _, text in list_entries(PUBLISHED[name].removeprefix("\ufeff"))]
    assert [entry.text for entry in entries if entry] == ["192.0.2.0/28", "2001:db8::/64"]


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "an unknown shape": ('{"ranges": {"a": ["192.0.2.0/28"]}}', "1:1: is JSON of a shape that is not known"),
    "a broken download": ('{"prefixes": [\n{"ipv4Prefix": "192', "is JSON that breaks off or is damaged on line 2"),
    "a list that breaks off": ('["192.0.2.0/28",\n "192.0', "is JSON that breaks off or is damaged on line 2"),
    "a list that breaks off between two": ('["192.0.2.0/28",\n', "is JSON that breaks off or is damaged on line"),
    "an array that never ends": ("[" * 100_000, "is JSON that breaks off or is damaged on line 1"),
    "a line that breaks off": ("192.0.2.0/24\n198.51.100.0/2", "n:2:1: error: '198.51.100.0/2' would be 192.0.0.0/2"),
    "a line of IPv6 that breaks off": ("2001:db8::/3", "n:1:1: error: '2001:db8::/3' would be 2000::/3"),
    "a page": ("<!DOCTYPE html>\n<title>503 Service Unavailable</title>", "is a web page and no list: '503 Service Unavailable'"),
    "names": ("example.org\n", "'example.org' is not an address or a network"),
    "a range": ("192.0.2.1 - 192.0.2.2\n", "'192.0.2.1 - 192.0.2.2' is not an address or a network"),
    "two on a line": ("192.0.2.1, 192.0.2.2\n", "'192.0.2.1, 192.0.2.2' has several addresses"),
    "the ends of a range": ("192.0.2.0,192.0.2.255,US\n", "'192.0.2.0,192.0.2.255,US' has several addresses"),
    "a line of nginx": (
        "allow 192.0.2.1;\n",
        "'allow 192.0.2.1;' does not begin with its address\n  hint: did you mean 192.0.2.1?",
    ),
    "an item of YAML": ("- 192.0.2.0/28\n", "'- 192.0.2.0/28' does not begin with its address"),
    "a sentence": ("Our network, London\n", "'Our network, London' is not an address or a network"),
    "a faulty entry of JSON": (
        '{"prefixes": [\n{"ipv4Prefix": "192.0.2.0/99"}]}',
        "n:2:17: error: '192.0.2.0/99' is not an address",
    ),
    "a line that is not UTF-8": (b"192.0.2.1\n\xe9\n192.0.2.x\n", "n:2:1: error: not UTF-8: byte 0xe9"),
}


def loaded(folder: Path, content: str | bytes, kept: KeptLists | None = None) -> str:
    """The report, and `stale` before what is wrong with a list of before; empty: all is well."""
    (folder / "lists").mkdir(exist_ok=True)
    (folder / "a.yaml").write_text(RULES)
    (folder / "lists/n").write_bytes(content if isinstance(content, bytes) else content.encode())
    result = load_policy(folder, kept)
    return format_report(result.problems) + "".join(f"stale {problem.message}\n" for problem in result.stale)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_said(name: str, tmp_path: Path) -> None:
    content, expected = REFUSED[name]
    assert expected.removeprefix("1:1: ") in loaded(tmp_path, content)


def test_a_bad_line_hides_no_other(tmp_path: Path) -> None:
    report = loaded(tmp_path, b"192.0.2.1\n\xe9\n192.0.2.x\n")
    assert "n:3:1: error: '192.0.2.x' is not an address" in report


def test_patterns_that_begin_with_a_bracket_are_no_json() -> None:
    for first in ("[Bb]ot", "[[:alpha:]]bot", "[\"'<>]", "[{(]x"):
        assert [text for _, _, text in list_entries(f"{first}\nspider\n")] == [first, "spider"]


BROKEN: tuple[str | bytes, ...] = (
    "192.0.2.300\n",
    '{"prefixes": [',
    "<html><title>502</title>",
    b"\xff\xfe1\x00",
    b"192.0.2.1\n\xe9\n",
)


@pytest.mark.parametrize("content", BROKEN)
def test_a_list_that_breaks_goes_on_with_what_it_held(content: str | bytes, tmp_path: Path) -> None:
    rules, kept = tmp_path / "rules", KeptLists(tmp_path / "kept")
    rules.mkdir()
    assert loaded(rules, content, kept).count("error:") >= 1  # nothing is known of before: at the first start it is an error
    assert loaded(rules, "192.0.2.7\n", kept) == ""
    before = load_policy(rules, kept).policy
    assert loaded(rules, content, kept).startswith("stale ")
    policy = load_policy(rules, kept).policy
    assert policy is not None
    assert policy == before
    assert loaded(rules, "192.0.2.8\n", kept) == ""
    assert load_policy(rules, kept).policy != before


def test_a_list_that_is_gone_goes_on_and_other_changes_are_read(tmp_path: Path) -> None:
    rules, kept = tmp_path / "rules", KeptLists(tmp_path / "kept")
    rules.mkdir()
    assert loaded(rules, "192.0.2.7\n", kept) == ""
    (rules / "lists/n").unlink()
    (rules / "b.yaml").write_text("name: other\nrules: [{name: z, when: {path: /z}, action: drop}]\n")
    result = load_policy(rules, kept)
    assert result.policy is not None
    assert [rule.name for rule_set in result.policy.rule_sets for rule in rule_set.rules if not rule_set.common] == ["y", "z"]
    [stale] = result.stale
    assert stale.message.endswith("cannot be read: no such file or directory")


def test_an_empty_list_takes_the_place_of_a_full_one(tmp_path: Path) -> None:
    """A list of bans is empty when nobody is banned."""
    rules, kept = tmp_path / "rules", KeptLists(tmp_path / "kept")
    rules.mkdir()
    assert [loaded(rules, content, kept) for content in ("192.0.2.7\n", "", "# 0 bans\n", "[]", '{"prefixes": []}')] == [""] * 5


@pytest.mark.parametrize(
    ("rule_file", "name", "place"),
    [
        ("rules/a.yaml", "lists/n", "rules/lists/n"), ("rules/shop/a.yaml", "../lists/n", "rules/lists/n"),
        ("conf/../rules/a.yaml", "./lists//n", "conf/../rules/lists/n"), ("../rules/a.yaml", "lists/n", "../rules/lists/n"),
    ],
)  # fmt: skip
def test_where_a_list_file_is(rule_file: str, name: str, place: str) -> None:
    assert str(place_beside(rule_file, name)) == place


@pytest.mark.parametrize("way", ["other/../rules", "../here/rules", "./rules", "link/../rules"])
def test_a_folder_named_by_a_detour_is_read(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    (here / "other").mkdir(parents=True)
    (here / "link").symlink_to(here / "other")
    (here / "rules").mkdir()
    monkeypatch.chdir(here)
    assert loaded(Path("rules"), "192.0.2.7\n") == ""
    assert load_policy(Path(way)).policy == load_policy(Path("rules")).policy or load_policy(Path(way)).problems == ()


def test_json_of_any_depth_is_refused_or_read() -> None:
    for text in ("{" + "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000):
        with pytest.raises(Fault, match="is JSON"):
            list_entries(text)
    assert [text for _, _, text in list_entries('[1, null, {"pattern": "a"}]')] == ["a"]
