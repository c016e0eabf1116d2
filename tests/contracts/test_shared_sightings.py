"""What one process sees another knows, over each kind of store: items read, jars that fetched an asset, who was here."""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial
from pathlib import Path

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES, Address
from proxyguard.core.decision import PASS_BY_DEFAULT
from proxyguard.core.item import COLD, HOT, RECENT
from proxyguard.core.jar import FRESH, PROVEN
from proxyguard.core.jar_settings import Items, JarCookie
from proxyguard.core.request import Request
from proxyguard.guard.acquaintances import DAY_SECONDS, KNOWN, Acquaintances
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.guard.jars import Jars
from proxyguard.limits.sightings import TELL_SECONDS, Sightings, Subject
from proxyguard.limits.stores.nodes import StoreUrl
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.sighting_stream import MOST_KEPT
from proxyguard.limits.stores.valkey import ValkeyTransport
from proxyguard.policy.compile.items import ItemFinder
from proxyguard.policy.items import ItemFamily
from tests.contracts.remote_rig import RIGS, Rig, started
from tests.contracts.servers import command, valkey
from tests.scenes import run, until

SECRET = b"s" * 32
START = 20_000 * DAY_SECONDS
FINDER = ItemFinder((ItemFamily(name="posts", paths=(b"/posts/*",), segment=2),), SECRET)

over_both = pytest.mark.parametrize("rig", RIGS, ids=lambda rig: rig.name)


def sharing(store: RemoteStore) -> Sightings:
    store.sightings = Sightings(SECRET)
    return store.sightings


def request(path: str = "/posts/1", client: str = "192.0.2.1", *cookies: bytes) -> Request:
    lines = tuple((b"cookie", each) for each in cookies)
    return Request(Address.parse(client), b"GET", b"https", b"a.example", path.encode(), lines)


class Reader:
    """What one process knows of items."""

    def __init__(self, store: RemoteStore) -> None:
        self.disclosure = Disclosure(Items(), sharing(store), lambda: START)

    def read(self, path: str) -> None:
        """Let a read through, and settle it."""
        asked = request(path)
        item = self.disclosure.find(FINDER, asked, START)
        assert item is not None
        self.disclosure.settle(item, Ticket(asked, PASS_BY_DEFAULT, "", 0.0), Served(200, upstream_seconds=0.1), START)

    def agrees(self, expected: dict[str, bytes]) -> bool:
        """Whether it takes items for hot or cold as expected."""
        return all((self.heat(path) == HOT) == (heat == HOT) for path, heat in expected.items())

    def heat(self, path: str) -> bytes:
        """What it takes an item for."""
        item = self.disclosure.find(FINDER, request(path), START)
        assert item is not None
        return RECENT if item.heat == COLD and item.is_recent else item.heat


@over_both
def test_what_is_read_of_one_is_hot_and_recent_of_the_other(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (first, _), rig.instance(tmp_path / "s") as (second, _):
            one, two = Reader(first), Reader(second)
            for _ in range(8):
                one.read("/posts/hot")
            one.read("/posts/new")
            await until(lambda: two.heat("/posts/hot") == HOT and two.heat("/posts/new") == RECENT)
            assert two.heat("/posts/other") == COLD
            for _ in range(7):
                two.read("/posts/new")
            await until(lambda: one.heat("/posts/new") == HOT)

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_three_that_share_the_reads_agree_on_what_is_hot(rig: Rig, tmp_path: Path) -> None:
    """Within the error of the sketch: 1 of 1,000 items seems to have two reads more."""
    chance = random.Random(4)

    async def scene() -> None:
        async with (
            rig.instance(tmp_path / "s") as (first, _),
            rig.instance(tmp_path / "s") as (second, _),
            rig.instance(tmp_path / "s") as (third, _),
        ):
            readers = [Reader(store) for store in (first, second, third)]
            wanted = {f"/posts/{each}": chance.randrange(1, 20) for each in range(300)}
            reads = [path for path, count in wanted.items() for _ in range(count)]
            chance.shuffle(reads)
            for path in reads:
                chance.choice(readers).read(path)
            expected = {path: HOT if count >= 8 else COLD for path, count in wanted.items()}
            for reader in readers:
                await until(partial(reader.agrees, expected))

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_a_jar_that_fetched_an_asset_of_one_is_proven_of_the_other(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (first, _), rig.instance(tmp_path / "s") as (second, _):
            one, two = (
                Jars(JarCookie(), SECRET, DEFAULT_PREFIXES, float, sightings=sharing(store), clock=lambda: START)
                for store in (first, second)
            )
            [(_, field)] = one.cookie(request(), START)
            page = request("/", "192.0.2.1", field.partition(b";")[0])
            assert two.read(page, START).states == (FRESH,)
            one.saw_asset(one.read(page, START), START)
            await until(lambda: two.read(page, START).states == (PROVEN,))
            page.jar = two.read(page, START)
            [(_, field)] = two.cookie(page, START)
            assert one.read(request("/", "192.0.2.1", field.partition(b";")[0]), START).states == (PROVEN,)

    with rig.serving(tmp_path / "s"):
        run(scene())


@over_both
def test_who_was_here_yesterday_is_known_of_both(rig: Rig, tmp_path: Path) -> None:
    async def scene() -> None:
        async with rig.instance(tmp_path / "s") as (first, _), rig.instance(tmp_path / "s") as (second, _):
            one, two = (
                Acquaintances(SECRET, DEFAULT_PREFIXES, float, sharing(store), lambda: START) for store in (first, second)
            )
            clients = [f"198.51.{each}.{each + 1}" for each in range(100)]
            for client in clients:
                one.observe(request("/", client), START)
            two.observe(request("/", "192.0.2.7"), START)
            await until(lambda: one.today == two.today == 101)
            assert (one.served, two.served) == (100, 1)
            tomorrow = START + DAY_SECONDS
            assert {two.of(request("/", client), tomorrow) for client in clients} == {KNOWN}
            assert one.of(request("/", "192.0.2.7"), tomorrow) == KNOWN

    with rig.serving(tmp_path / "s"):
        run(scene())


def stored(path: Path) -> ValkeyTransport:
    return ValkeyTransport(StoreUrl.parse(f"unix://{path}"))


def test_a_server_that_lost_its_data_passes_on_what_is_seen_after(tmp_path: Path) -> None:
    async def scene() -> None:
        async with started(stored(tmp_path / "s")) as (first, _), started(stored(tmp_path / "s")) as (second, _):
            one, two = Reader(first), Reader(second)
            for path in ("/posts/1", "/posts/2"):
                for _ in range(8):
                    one.read(path)
                await until(partial(two.agrees, {path: HOT}))
                command(tmp_path / "s", "FLUSHALL")

    with valkey(tmp_path / "s"):
        run(scene())


@pytest.mark.parametrize("missing", [("-xadd", "-xread"), ("-xadd",), ("-xread",)], ids=" ".join)
def test_a_user_without_the_rights_is_reported_once_and_limits_count_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, missing: tuple[str, ...]
) -> None:
    """As an installation has it whose user was made for an earlier release."""

    async def scene() -> None:
        command(tmp_path / "s", "ACL", "SETUSER", "default", *missing)
        async with started(stored(tmp_path / "s")) as (first, said):
            one = Reader(first)
            for _ in range(8):
                one.read("/posts/1")
                await asyncio.sleep(TELL_SECONDS)
            await until(lambda: all(f"'{each[1:]}'" in caplog.text for each in missing))
            assert said == []

    with valkey(tmp_path / "s"), caplog.at_level(logging.WARNING):
        run(scene())
    assert len(caplog.records) == len(missing)


def test_what_a_stranger_writes_into_the_stream_says_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        for words in (("m", "x"), ("other", "y", "z", "w")):
            command(tmp_path / "s", "XADD", "{proxyguard}:sightings", "*", *words)
        async with started(stored(tmp_path / "s")) as (first, said), started(stored(tmp_path / "s")) as (second, _):
            one, two = Reader(first), Reader(second)
            for _ in range(8):
                one.read("/posts/1")
            await until(lambda: two.heat("/posts/1") == HOT)
            assert said == []

    with valkey(tmp_path / "s"):
        run(scene())


def test_messages_on_the_server_are_bounded(tmp_path: Path) -> None:
    async def scene() -> None:
        transport = stored(tmp_path / "s")
        async with started(transport) as (first, _):
            told = Sightings(SECRET)
            for number in range(2 * MOST_KEPT):
                told.tell(Subject.READ, number)
                transport.send_sightings(told.message())
            await until(lambda: command(tmp_path / "s", "XLEN", "{proxyguard}:sightings").strip() == f":{MOST_KEPT}".encode())
            assert first.fallback.up

    with valkey(tmp_path / "s"):
        run(scene())
