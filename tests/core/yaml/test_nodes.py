"""Strict YAML: what is a node, what is refused and where, and that nothing at all makes the reader fail."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.problems import Report
from proxyguard.core.yaml.decoding import MAX_BYTES
from proxyguard.core.yaml.nodes import MAX_DEPTH, Mapping, MappingEntry, Node, Scalar, Sequence, read_yaml
from proxyguard.policy.parse.file import parse_rule_set
from tests.examples import examples


def read(source: str | bytes) -> tuple[Node | None, list[tuple[int, int, str]]]:
    report = Report("x")
    node = read_yaml(source, report)
    return node, [(problem.line, problem.column, problem.message) for problem in report.finished()]


def plain(text: str) -> Scalar:
    node, problems = read(f"key: {text}\n")
    assert problems == []
    assert isinstance(node, Mapping)
    value = node.get("key")
    assert isinstance(value, Scalar)
    return value


@pytest.mark.parametrize(
    "text", ["NO", "yes", "on", "1:30", "012", "0x1F", "0o17", "1e3", ".inf", "2026-01-01", "=", "1_000", "true", "1.10"]
)
def test_a_scalar_keeps_the_text_that_was_written(text: str) -> None:
    assert plain(text) == Scalar(1, 6, text, plain=True)


@pytest.mark.parametrize(
    ("text", "value"), {"'NO'": "NO", '"a\\u00e9"': "aé", "|\n  a\n  b": "a\nb\n", ">-\n  a\n  b": "a b"}.items()
)
def test_quoted_texts_and_blocks_are_not_plain(text: str, value: str) -> None:
    assert plain(text) == Scalar(1, 6, value, plain=False)


@pytest.mark.parametrize("text", ["", "~", "null", "NULL", "# nothing"])
def test_no_value_is_told_from_a_text(text: str) -> None:
    assert plain(text).is_null
    assert not plain("'null'").is_null
    assert not plain("''").is_null


def test_nodes_know_their_places() -> None:
    node, problems = read("a:\n  - b\n  - {ç: d}\n")
    assert problems == []
    expected = Mapping(
        1, 1,
        [MappingEntry(Scalar(1, 1, "a", plain=True), Sequence(2, 3, [
            Scalar(2, 5, "b", plain=True),
            Mapping(3, 5, [MappingEntry(Scalar(3, 6, "ç", plain=True), Scalar(3, 9, "d", plain=True))]),
        ]))],
    )  # fmt: skip
    assert node == expected


def test_an_alias_stands_for_what_was_anchored() -> None:
    node, problems = read("a: &x [1]\nb: *x\n")
    assert problems == []
    assert isinstance(node, Mapping)
    assert node.get("b") is node.get("a")


FAULTS: dict[str, tuple[str | bytes, list[tuple[int, int, str]]]] = {
    "bytes that are not UTF-8": (b"a: b\nc: d\xff\n", [(2, 5, "not UTF-8: byte 0xff")]),
    "UTF-16": ("a: b\n".encode("utf-16"), [(1, 1, "not UTF-8: byte 0xff")]),
    "NUL": ("a: b\x00\n", [(1, 5, "the control character U+0000 cannot stand in YAML")]),
    "a lone surrogate": ("a: \ud800\n", [(1, 4, "the control character U+D800 cannot stand in YAML")]),
    "a key twice, and twice again": (
        "a: 1\nb: {c: 1, c: 2}\na: 2\n",
        [(2, 11, "duplicate key 'c', first on line 2"), (3, 1, "duplicate key 'a', first on line 1")],
    ),
    "a key that is only quoted differently": ("a: 1\n'a': 2\n", [(2, 1, "duplicate key 'a', first on line 1")]),
    "a key that is null": ("? \n: 1\n? ''\n: 2\n", [(3, 3, "duplicate key '', first on line 1")]),
    "a long key": ("x" * 600 + ": 1\n", [(1, 1, "a key of more than 512 characters")]),
    "too large": ("#" * (MAX_BYTES + 1), [(1, 1, "the file has more than 16 MiB")]),
}


@pytest.mark.parametrize(("source", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_fault_has_its_place(source: str | bytes, expected: list[tuple[int, int, str]]) -> None:
    node, problems = read(source)
    assert node is None
    assert problems == expected


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read(b"\xef\xbb\xbfa: b\n") == read("\ufeffa: b\n") == read("a: b\n")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_is_bounded(opening: str) -> None:
    node, problems = read(opening * 100_000)
    assert node is None
    assert [message for _, _, message in problems] == [f"nested more than {MAX_DEPTH} levels deep"]
    assert isinstance(read("[" * MAX_DEPTH + "]" * MAX_DEPTH)[0], Sequence)


def test_depth_is_bounded_through_aliases() -> None:
    lines = ["a0: &a0 [[[[[[[[[[x]]]]]]]]]]"]
    lines += [f"a{number}: &a{number} [[[[[[[[[[*a{number - 1}]]]]]]]]]]" for number in range(1, 5)]
    node, problems = read("\n".join(lines))
    assert node is None
    assert [(line, message) for line, _, message in problems] == [(4, f"nested more than {MAX_DEPTH} levels deep")]
    assert read("\n".join(lines[:3]))[1] == []


def test_an_alias_bomb_costs_nothing() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    started = time.process_time()
    node, problems = read("\n".join(lines))
    assert node is None
    assert [(line, message) for line, _, message in problems] == [(7, "more than 4000000 values, aliases followed")]
    assert time.process_time() - started < 20.0  # hours, were they followed


PIECES = (
    "name: x|rules:|tests:|lists:|- |  |    |\n|when: |action: |limit: |{|}|[|]|, |: |&a |*a|'|\"|\\|#|!!str |<<: |---|\t",
    "reject|path|/x|regex|(?!|$a|rate|10/minute|per|client|score|40|~|not|any|expires|2026-02-30|header|é|\x00|%|@|`|>",
)
FRAGMENTS = st.sampled_from([piece for pieces in PIECES for piece in pieces.split("|")])


@pytest.mark.slow
@settings(max_examples=examples(350), deadline=None)
@given(st.lists(FRAGMENTS, max_size=60).map("".join) | st.text(max_size=200) | st.binary(max_size=200))
def test_nothing_makes_the_reader_fail(source: str | bytes) -> None:
    rule_set, problems = parse_rule_set(source, "x.yaml")
    assert (rule_set is None) == bool(problems)
    text = source.decode("utf-8-sig", "replace") if isinstance(source, bytes) else source
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 2
    for problem in problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.message.isprintable()
        assert problem.hint.isprintable()
