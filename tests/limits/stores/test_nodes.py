"""Where the server is: URLs of one node, several and Sentinels, against servers that fail over; bad URLs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time

import pytest

from proxyguard.core.problems import format_report
from proxyguard.limits.stores.nodes import StoreUrl
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.resp import ValkeyUrl
from proxyguard.limits.stores.valkey import ValkeyTransport
from proxyguard.settings.file import read_settings
from tests.contracts.remote_rig import HOUR, started
from tests.contracts.servers import command, valkey
from tests.ports import free_port
from tests.scenes import charged, run, until

A, B = ValkeyUrl(host="a", port=1), ValkeyUrl(host="b", port=2)


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("redis://a:1", StoreUrl(nodes=(A,)), "a:1"),
        ("redis://a:1,b:2", StoreUrl(nodes=(A, B)), "a:1, b:2"),
        ("valkey://a,[2001:db8::1]:7/3",
         StoreUrl(nodes=(ValkeyUrl(host="a", database=3), ValkeyUrl(host="2001:db8::1", port=7, database=3)), database=3),
         "a:6379, 2001:db8::1:7"),
        ("rediss://u:p%2Cw@a:1,b:2?ca=/c.pem",
         StoreUrl(nodes=tuple(ValkeyUrl(host=host, port=port, username="u", password="p,w", tls=True, ca="/c.pem")
                              for host, port in (("a", 1), ("b", 2)))), "a:1, b:2"),
        ("redis+sentinel://:p@a:1,b:2/main/4",
         StoreUrl(nodes=tuple(ValkeyUrl(host=host, port=port, password="p", database=4) for host, port in (("a", 1), ("b", 2))),
                  master="main", database=4), "main of the Sentinels a:1, b:2"),
        ("valkeys+sentinel://a/main?sentinel_user=s&sentinel_password=q%26&ca=/c",
         StoreUrl(nodes=(ValkeyUrl(host="a", port=26379, tls=True, ca="/c"),), master="main", log_in=("s", "q&")),
         "main of the Sentinels a:26379"),
        ("unix://:p@/run/s?db=4", StoreUrl(nodes=(ValkeyUrl(path="/run/s", password="p", database=4),)), "/run/s"),
    ],
)  # fmt: skip
def test_urls_are_read(text: str, expected: StoreUrl, shown: str) -> None:
    assert StoreUrl.parse(text) == expected
    assert str(StoreUrl.parse(text)) == shown


DOCUMENTED_RIGHTS = "+evalsha +script|load +auth +time +get +set +mget +incr +hget +hset +hdel +zadd +zrem +zrangebyscore"

BEGINS = "a store's URL begins with redis://, valkey://, rediss://, valkeys://, unix:// or redis+sentinel://"
ESCAPE = "a / ? # [ or ] in the user name or password of a store's URL is written %2F %3F %23 %5B or %5D"
PORT = "a store's port is a number from 1 to 65535{}; several hosts are written a:6379,b:6379"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://:hunter2@a", f"{BEGINS}, not http://"),
        ("redis:a:6379", BEGINS),
        ("a:6379", BEGINS),
        ("redis-sentinel://a/main", f"{BEGINS}, not redis-sentinel://"),
        ("unix+sentinel://a/main", f"{BEGINS}, not unix+sentinel://"),
        ("redis://a:port", PORT.format("")),
        ("redis://fire:hunter2", PORT.format("")),
        ("redis://:hunter2", "a store's URL has an empty host name"),
        ("redis://a:0", PORT.format(", not 0")),
        ("redis://a:65536", PORT.format(", not 65536")),
        ("redis://a:", PORT.format("")),
        ("redis://a:1:2", "an IPv6 address in a store's URL stands in brackets: [2001:db8::1]"),
        ("redis://fire:hun:ter2", "an IPv6 address in a store's URL stands in brackets: [2001:db8::1]"),
        ("redis://2001:db8::1", "an IPv6 address in a store's URL stands in brackets: [2001:db8::1]"),
        ("redis://a;b", "'a;b' in a store's URL is no host name"),
        ("redis://a, b", "' b' in a store's URL is no host name"),
        ("redis://a,,b", "a store's URL has an empty host name"),
        ("redis://:hunter2@", "a store's URL has an empty host name"),
        ("redis://a:1,redis://b:2", "several hosts are written in one URL, redis://a:6379,b:6379"),
        ("redis://" + ",".join("a" * 17), "a store's URL names 16 hosts at most, not 17"),
        ("redis://a/main", "a store's database is a number, not 'main'"),
        ("redis://a?timeout=3", "a store's URL has the options ca and db, not timeout"),
        ("redis+sentinel://a,b", "a Sentinel URL needs the name of the master after its hosts: redis+sentinel://a,b/mymaster"),
        ("redis://:hun/ter2@a", ESCAPE),
        ("redis://:hun?ter2@a", ESCAPE),
        ("redis://:hun#ter2@a", ESCAPE),
        ("redis://:hun[ter2@a", ESCAPE),
        ("unix://fire:hun/ter2@/run/s", f"a unix:// URL is unix:///path or unix://user:password@/path; {ESCAPE}"),
        ("unix://fire:hun?ter2@/run/s", f"a unix:// URL is unix:///path or unix://user:password@/path; {ESCAPE}"),
        ("unix://hunter2/run/s", f"a unix:// URL is unix:///path or unix://user:password@/path; {ESCAPE}"),
        ("unix://", "a unix:// URL needs the path of a socket"),
    ],
)
def test_bad_urls_are_refused_with_a_hint_and_without_the_password(tmp_path: Path, url: str, message: str) -> None:
    found = read_settings(None, {"PROXYGUARD_STORE_URL": url, "PROXYGUARD_KEY_SECRET": "0123456789abcdef"}, {})
    assert isinstance(found, tuple | list)
    said = format_report(found)
    assert said.startswith(f"PROXYGUARD_STORE_URL: error: store.url: {message}\n")
    assert "hint: redis://user:password@host:6379/0, rediss:// for TLS, several hosts as a:6379,b:6379" in said
    assert "hun" not in said


@contextmanager
def pair(folder: Path) -> Iterator[tuple[tuple[Path, int], tuple[Path, int]]]:
    """A primary and its replica: their Unix sockets and ports."""
    places = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        places.append((folder / name / "s", free_port()))
    (first, port), (second, other) = places
    with valkey(first, "--port", str(port)), valkey(second, "--port", str(other), "--replicaof", f"127.0.0.1 {port}"):
        yield (first, port), (second, other)


def test_of_several_nodes_the_one_that_takes_writes_is_used_also_after_a_failover(tmp_path: Path) -> None:
    with pair(tmp_path) as ((first, port), (second, other)):

        async def scene() -> None:
            url = StoreUrl.parse(f"redis://127.0.0.1:{free_port()},127.0.0.1:{other},127.0.0.1:{port}")
            async with started(ValkeyTransport(url)) as (store, said):
                assert said == []
                store.ban("client:a", "rule", "", HOUR, time())
                assert await store.saved()
                command(second, "REPLICAOF", "NO", "ONE")
                command(first, "REPLICAOF", "127.0.0.1", str(other))
                await until(lambda: b"role:slave" in command(first, "INFO", "replication"))
                await until(lambda: _back(store, said))
                assert said[0].startswith("down: READONLY")
                assert said[1:] == [f"up: shared at 127.0.0.1:{other}"]
                assert (await charged(store)).usages[0].remaining >= 90
                assert await store.saved()

        run(scene())


def _back(store: RemoteStore, said: list[str]) -> bool:
    if not said:
        asyncio.ensure_future(charged(store))  # noqa: RUF006 - what it gets is of no interest
    return len(said) >= 2 and store.fallback.up


def test_without_any_primary_each_node_is_named_in_one_line(tmp_path: Path) -> None:
    dead = free_port()
    with pair(tmp_path) as ((_, port), (_, other)):

        async def scene() -> None:
            url = StoreUrl.parse(f"redis://127.0.0.1:{other},127.0.0.1:{dead}")
            async with started(ValkeyTransport(url)) as (_, said):
                [line] = said
                assert line.startswith(f"down: 127.0.0.1:{other}: READONLY")
                assert f"; 127.0.0.1:{dead}: " in line
                assert "\n" not in line

        del port
        run(scene())


@contextmanager
def sentinel(folder: Path, master_port: int, *lines: str) -> Iterator[tuple[Path, int]]:
    """A Sentinel that watches a master called `main`: its Unix socket and its port."""
    folder.mkdir()
    port, config = free_port(), folder / "sentinel.conf"
    settings = (f"sentinel monitor main 127.0.0.1 {master_port} 1", "sentinel down-after-milliseconds main 500",
                "sentinel failover-timeout main 2000", *lines)  # fmt: skip
    config.write_text("\n".join(settings) + "\n")
    with valkey_sentinel(folder, config, port):
        yield folder / "s", port


@contextmanager
def valkey_sentinel(folder: Path, config: Path, port: int) -> Iterator[None]:
    """The same program, told to be a Sentinel."""
    with valkey(folder / "s", "--port", str(port), first=(str(config), "--sentinel")):
        yield


@pytest.mark.slow
@pytest.mark.long
def test_sentinel_says_where_the_master_is_and_where_it_has_gone(tmp_path: Path) -> None:
    with pair(tmp_path) as ((_, port), (_, other)), sentinel(tmp_path / "s1", port) as (door, watch):

        async def scene() -> None:
            await until(lambda: f":{other}".encode() in command(door, "SENTINEL", "REPLICAS", "main")
                        or str(other).encode() in command(door, "SENTINEL", "REPLICAS", "main"))  # fmt: skip
            url = StoreUrl.parse(f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{watch}/main")
            async with started(ValkeyTransport(url)) as (store, said):
                assert said == []
                store.ban("client:a", "rule", "", HOUR, time())
                assert await store.saved()
                await asyncio.sleep(1.5)  # the replica must have synchronised to be promoted
                assert command(door, "SENTINEL", "FAILOVER", "main") == b"+OK\r\n"
                for _ in range(300):
                    await asyncio.sleep(0.05)
                    if len(said) >= 2 and store.fallback.up and said[-1].endswith(f":{other}"):
                        break
                assert said[-1] == f"up: shared at 127.0.0.1:{other}"
                assert (await charged(store)).usages[0].remaining >= 90
                assert await store.saved()

        run(scene())


@pytest.mark.slow
def test_what_a_sentinel_does_not_know_is_said(tmp_path: Path) -> None:
    with valkey(tmp_path / "s"), sentinel(tmp_path / "s1", free_port()) as (_, watch):

        async def scene() -> None:
            async with started(ValkeyTransport(StoreUrl.parse(f"redis+sentinel://:pw@127.0.0.1:{watch}/other"))) as (_, said):
                assert said == [f"down: Sentinel 127.0.0.1:{watch}: it knows no master 'other'"]

        run(scene())


def test_without_a_right_it_is_an_outage_that_names_the_right(tmp_path: Path) -> None:
    """Each right of the documented list but the log-in's is needed: without it the store is down, and says why."""
    rights = DOCUMENTED_RIGHTS.split()

    async def scene(missing: str) -> None:
        async with started(ValkeyTransport(StoreUrl.parse(f"unix://guard:pass@{tmp_path / 's'}"))) as (store, said):
            store.ban("client:a", "rule", "", HOUR, time())
            store.unban("client:a")
            store.put_note("a", "text", time() + 60.0, time())
            await charged(store)
            await until(lambda: bool(said))
            assert said[0].startswith("down: ")
            assert "perm" in said[0].lower() or "can't run this command" in said[0], (missing, said)

    for missing in ("+evalsha", "+script|load", "+time", "+set", "+mget", "+hset", "+zadd", "+zrangebyscore"):
        kept = [right for right in rights if right != missing]
        with valkey(tmp_path / "s", *["--user", "guard", "on", ">pass", "~{proxyguard}*", *kept]):
            run(scene(missing))
