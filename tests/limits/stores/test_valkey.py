"""The store on Valkey against real servers: exactness, chaos, clocks, log-in, TLS, clusters, full memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
import signal
from contextlib import AbstractAsyncContextManager
from ipaddress import IPv4Address
from pathlib import Path
from time import monotonic, time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxyguard.core.decision import Reject
from proxyguard.core.settings import OnStoreDown
from proxyguard.limits.charge import Charge, distinct_key
from proxyguard.limits.limit import Count, CountKind, Limit, Window
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.nodes import StoreUrl
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.resp import ValkeyUrl
from proxyguard.limits.stores.store import BanTerms, Outcome
from proxyguard.limits.stores.valkey import PAGE, ValkeyTransport
from tests.contracts.remote_rig import HOUR, started
from tests.contracts.servers import command, valkey
from tests.ports import free_port
from tests.scenes import CLIENT, HUNDRED_AN_HOUR, WAIT_SECONDS, charged, run, until

START = 1_800_000_000.0


def instance(
    url: str | Path, *, server_clock: bool = True, **options: Any
) -> AbstractAsyncContextManager[tuple[RemoteStore, list[str]]]:
    """A store at a URL or a Unix socket, running, and what it says of its state."""
    parsed = StoreUrl.parse(url if isinstance(url, str) else f"unix://{url}")
    return started(ValkeyTransport(parsed, server_clock=server_clock), **options)


def test_the_script_answers_what_the_memory_store_answers(tmp_path: Path) -> None:
    """The same random batches over both, of all kinds of limits; every number of every answer is the same double.

    No limit gives a unit back in less than a second: the server forgets by its own clock, whatever time the test has.
    """
    chance = random.Random(1)
    distinct = Count(CountKind.DISTINCT, of=CLIENT[0])
    limits = [
        Limit(3, 60.0, 3, CLIENT),
        Limit(7, 60.0, 20, CLIENT),
        Limit(1, 1.0, 1, CLIENT),
        Limit(50_000, 86_400.0, 50_000, CLIENT),
        Limit(5, 60.0, 5, CLIENT, window=Window.CALENDAR),
        Limit(500, 86_400.0, 500, CLIENT, window=Window.CALENDAR, time_zone="Asia/Kathmandu"),
        Limit(4, 60.0, 4, CLIENT, count=distinct),
        Limit(20, 3600.0, 20, CLIENT, count=distinct, window=Window.CALENDAR, time_zone="Asia/Kathmandu"),
        Limit(150, 86_400.0, 150, CLIENT, count=distinct),
        Limit(4, 60.0, 4, CLIENT, window=Window.SLIDING_LOG),
        Limit(70, 3600.0, 70, CLIENT, window=Window.SLIDING_LOG),
    ]

    def random_charge() -> Charge:
        number = chance.randrange(len(limits))
        key = f"{number}|{chance.randrange(3)}"
        if limits[number].count is distinct:
            key = distinct_key(key, chance.choice((chance.randbytes(8), bytes([chance.randrange(5)]) * 8)))
        stops = chance.random() < 0.5
        owed = not stops and chance.random() < 0.3
        if owed and limits[number].count is not distinct and chance.random() < 0.4:
            return Charge(key, limits[number], chance.choice((-1.0, -2.5)), stops, owed)
        return Charge(key, limits[number], chance.choice((0.0, 1.0, 1.0, 1.0, 2.5, 1e4)), stops, owed)

    async def scene() -> None:
        memory, now, exceeded = MemoryStore(), 1_800_000_000.0, 0
        async with instance(tmp_path / "s", server_clock=False, timeout_seconds=5.0) as (store, said):
            for _ in range(3000):
                now += chance.choice((0.0, 0.0, 0.0, 0.37, 8.6, 61.0, -0.01))
                batch = [random_charge() for _ in range(chance.choice((1, 1, 2, 3, 4)))]
                outcome = store.charge(batch, (), now)
                assert not isinstance(outcome, Outcome)
                wanted = memory.charge(batch, (), now)
                assert await outcome == wanted
                exceeded += any(usage.exceeded for usage in wanted.usages)
            assert said == []
            assert 300 < exceeded < 2700

    with valkey(tmp_path / "s"):
        run(scene())


def test_a_log_is_the_same_bytes_in_both_whatever_the_clock_does(tmp_path: Path) -> None:
    """Years, and a clock set back by little and by much: times are counted from another one then."""
    month = 31 * 86_400.0
    limit = Limit(5, month, 5, CLIENT, window=Window.SLIDING_LOG)

    async def scene() -> None:
        memory, now = MemoryStore(), START
        async with instance(tmp_path / "s", server_clock=False, timeout_seconds=5.0) as (store, said):
            for step in (
                0.0,
                0.0123,
                month / 2,
                month / 2,
                month * 0.7,
                -0.5,
                -2 * month,
                month * 0.9,
                month,
                3 * month,
                -month,
            ) * 2:
                now += step
                batch = [Charge("rule|a", limit)]
                outcome = store.charge(batch, (), now)
                assert not isinstance(outcome, Outcome)
                assert await outcome == memory.charge(batch, (), now)
                state = memory._logs.get("rule|a")
                assert state is not None
                assert state in command(tmp_path / "s", "GET", "{proxyguard}:c:rule|a")
            assert said == []

    with valkey(tmp_path / "s"):
        run(scene())


def test_ranks_of_all_sizes_are_the_same_in_both(tmp_path: Path) -> None:
    """A hash with each number of leading zeros, which chance does not come by."""
    limit = Limit(100_000, 3600.0, 100_000, CLIENT, count=Count(CountKind.DISTINCT, of=CLIENT[0]))
    items = [((rank % 1024) << 54 | (1 << 54 >> rank)).to_bytes(8, "big") for rank in range(1, 56)]

    async def scene() -> None:
        memory = MemoryStore()
        async with instance(tmp_path / "s", server_clock=False, timeout_seconds=5.0) as (store, said):
            for item in items:
                batch = [Charge(distinct_key("rule|a", item), limit)]
                outcome = store.charge(batch, (), START)
                assert not isinstance(outcome, Outcome)
                assert await outcome == memory.charge(batch, (), START)
            assert said == []
        state = memory._sketches.get("rule|a")
        assert state is not None
        assert state in command(tmp_path / "s", "GET", "{proxyguard}:c:rule|a")
        assert sorted(state[18:])[-55:] == list(range(1, 56))

    with valkey(tmp_path / "s"):
        run(scene())


def test_instances_with_clocks_apart_share_a_calendar_window(tmp_path: Path) -> None:
    limit = Limit(3, 86_400.0, 3, CLIENT, window=Window.CALENDAR)

    async def scene() -> None:
        async with (
            instance(tmp_path / "s", clock=lambda: time() - 40_000.0) as (behind, _),
            instance(tmp_path / "s", clock=lambda: time() + 40_000.0) as (ahead, _),
        ):
            remaining = []
            for _ in range(2):
                for store, skew in ((behind, -40_000.0), (ahead, 40_000.0)):
                    outcome = store.charge([Charge("rule|a", limit)], (), time() + skew)
                    assert not isinstance(outcome, Outcome)
                    usage = (await outcome).usages[0]
                    remaining.append((usage.exceeded, usage.remaining))
            assert remaining == [(False, 2), (False, 1), (False, 0), (True, 0)]

    with valkey(tmp_path / "s"):
        run(scene())


def test_the_clock_of_the_server_decides(tmp_path: Path) -> None:
    async def scene() -> None:
        limit = Limit(1, 3600.0, 1, CLIENT)
        async with (
            instance(tmp_path / "s", clock=lambda: time() - 5000.0) as (behind, _),
            instance(tmp_path / "s", clock=lambda: time() + 5000.0) as (ahead, _),
        ):
            first = behind.charge([Charge("rule|a", limit)], (), time() - 5000.0)
            second = ahead.charge([Charge("rule|a", limit)], (), time() + 5000.0)
            assert not isinstance(first, Outcome)
            assert not isinstance(second, Outcome)
            assert {(await first).usages[0].exceeded, (await second).usages[0].exceeded} == {False, True}
            behind.ban("client:a", "rule", "", BanTerms(60.0, Reject()), time() - 5000.0)
            await until(lambda: len(ahead.ban_table) == 1)
            record = next(iter(ahead.bans(time() + 5000.0)))
            assert record.until == pytest.approx(time() + 5000.0 + 60.0, abs=2.0)

    with valkey(tmp_path / "s"):
        run(scene())


def test_a_newcomer_learns_all_bans_in_pages(tmp_path: Path) -> None:
    async def scene() -> None:
        async with instance(tmp_path / "s", timeout_seconds=2.0) as (one, _):
            for number in range(3 * PAGE + 1):
                one.ban(f"client:{number}", "rule", "", HOUR, time())
            assert await one.saved()
            async with instance(tmp_path / "s", timeout_seconds=2.0) as (two, _):
                assert len(two.ban_table) == 3 * PAGE + 1

    with valkey(tmp_path / "s"):
        run(scene())


def test_bans_that_are_over_leave_the_server(tmp_path: Path) -> None:
    async def scene() -> None:
        async with instance(tmp_path / "s") as (one, _):
            one.ban("client:a", "rule", "", BanTerms(0.05, Reject(), forget_seconds=0.05), time())
            one.ban("client:b", "rule", "", HOUR, time())
            one.unban("client:b")
            await until(lambda: command(tmp_path / "s", "HLEN", "{proxyguard}:bans") == b":0\r\n")
            assert command(tmp_path / "s", "ZCARD", "{proxyguard}:changes") == b":1\r\n"

    with valkey(tmp_path / "s"):
        run(scene())


def test_counters_expire_on_the_server(tmp_path: Path) -> None:
    async def scene() -> None:
        async with instance(tmp_path / "s") as (one, _):
            await charged(one, "rule|a", Limit(10, 60.0, 10, CLIENT))
            answer = command(tmp_path / "s", "PTTL", "{proxyguard}:c:rule|a")
            assert 5000 < int(answer[1:]) <= 6001

    with valkey(tmp_path / "s"):
        run(scene())


def test_a_flushed_server_gets_the_bans_back_while_running(tmp_path: Path) -> None:
    async def scene() -> None:
        async with instance(tmp_path / "s") as (one, said):
            one.ban("client:a", "rule", "", HOUR, time())
            assert await one.saved()
            command(tmp_path / "s", "FLUSHALL")
            await until(lambda: command(tmp_path / "s", "HLEN", "{proxyguard}:bans") == b":1\r\n")
            assert said == []

    with valkey(tmp_path / "s"):
        run(scene())


def test_forgotten_scripts_are_loaded_again_and_no_request_notices(tmp_path: Path) -> None:
    async def scene() -> None:
        async with instance(tmp_path / "s", on_down=OnStoreDown.CLOSED) as (store, said):
            left = 100
            for turn in range(20):
                command(tmp_path / "s", "SCRIPT", "FLUSH")
                if turn % 3 == 0:
                    store.ban(f"client:{turn}", "rule", "", HOUR, time())
                if turn % 3 == 1:
                    store.put_note(f"n{turn}", "text", time() + 60.0, time())
                outcomes = await asyncio.gather(*(charged(store) for _ in range(3)))
                left -= 3
                assert min(outcome.usages[0].remaining for outcome in outcomes) == left
                if turn % 5 == 0:
                    assert await store.saved()
            await asyncio.sleep(1.0)  # the questions for news meet it too
            assert await store.saved()
            assert command(tmp_path / "s", "HLEN", "{proxyguard}:bans") == b":7\r\n"
            assert command(tmp_path / "s", "HLEN", "{proxyguard}:notes") == b":7\r\n"
            assert said == []
            assert store.fallback.answers == 0
            assert len(store._waiting) == 0

    with valkey(tmp_path / "s"):
        run(scene())


def test_a_store_that_stops_while_nobody_charges_is_noticed(tmp_path: Path) -> None:
    async def scene() -> None:
        with valkey(tmp_path / "s") as process:
            async with instance(tmp_path / "s", timeout_seconds=0.05) as (store, _):
                os.kill(process.pid, signal.SIGSTOP)
                await until(lambda: not store.fallback.up)
                os.kill(process.pid, signal.SIGCONT)

    run(scene())


def test_a_slow_server_is_down_until_it_answers_in_time(tmp_path: Path) -> None:
    """A relay in between adds a second to every answer, then none."""
    delay = [0.0]

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_unix_connection(str(tmp_path / "s"))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, slow: bool) -> None:
            while data := await source.read(65536):
                if slow and delay[0]:
                    await asyncio.sleep(delay[0])
                sink.write(data)
            sink.close()

        await asyncio.gather(
            pump(reader, upstream_writer, slow=False), pump(upstream_reader, writer, slow=True), return_exceptions=True
        )

    async def scene() -> None:
        server = await asyncio.start_unix_server(relay, str(tmp_path / "relay"))
        async with instance(tmp_path / "relay", timeout_seconds=0.25) as (store, said):
            assert (await charged(store)).usages[0].remaining == 99
            delay[0] = 1.0
            outcomes = await asyncio.gather(*(charged(store) for _ in range(50)))
            assert outcomes[-1].usages[0].remaining == 50
            await until(lambda: not store.fallback.up)
            delay[0] = 0.0
            await until(lambda: store.fallback.up)
            assert said[0] == "down: no answer within 250 ms"
        server.close()

    with valkey(tmp_path / "s"):
        run(scene())


def test_a_server_out_of_memory_is_down_until_it_has_room(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "s"
        async with instance(path, on_down=OnStoreDown.OPEN) as (store, said):
            command(path, "CONFIG", "SET", "maxmemory", "1")
            assert (await charged(store)).usages[0].remaining == 100
            await until(lambda: not store.fallback.up)
            command(path, "CONFIG", "SET", "maxmemory", "0")
            await until(lambda: store.fallback.up)
            assert said[0].startswith("down: OOM")
            assert len(said) == 2

    with valkey(tmp_path / "s"):
        run(scene())


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("unix://:secret@{path}?db=3", ""),
        ("unix://fire:wall@{path}", ""),
        ("unix://{path}", "NOAUTH Authentication required."),
        ("unix://:wrong@{path}", "WRONGPASS invalid username-password pair or user is disabled."),
        ("unix://:secret@{path}?db=99", "ERR DB index is out of range"),
    ],
)
def test_log_in_and_database_come_from_the_url(tmp_path: Path, url: str, why: str) -> None:
    async def scene() -> None:
        async with instance(url.format(path=tmp_path / "s")) as (store, said):
            assert said == ([f"down: {why}"] if why else [])
            assert store.fallback.up is not bool(why)

    with valkey(tmp_path / "s", "--requirepass", "secret", *["--user", "fire", "on", ">wall", "~*", "+@all"]):
        run(scene())


def test_what_a_server_repeats_of_a_command_is_not_said(tmp_path: Path) -> None:
    """One that does not know a command shows its arguments: the password, or addresses."""

    async def scene() -> None:
        async with instance(f"unix://fire:hunter2@{tmp_path / 's'}") as (_, said):
            assert [each.replace("`", "'") for each in said] == ["down: ERR unknown command 'AUTH'"]

    with valkey(tmp_path / "s", "--rename-command", "AUTH", ""):
        run(scene())


def test_the_documented_access_list_is_enough(tmp_path: Path) -> None:
    allowed = "+evalsha +script|load +auth +time +get +set +mget +incr +hget +hset +hdel +zadd +zrem +zrangebyscore"

    async def scene() -> None:
        async with instance(f"unix://guard:pass@{tmp_path / 's'}") as (one, said):
            one.ban("client:a", "rule", "", HOUR, time())
            assert await one.saved()
            one.unban("client:a")
            one.put_note("a", "text", time() + 60.0, time())
            assert await one.saved()
            assert (await charged(one)).usages[0].remaining == 99
            assert said == []

    with valkey(tmp_path / "s", *f"--user guard on >pass ~{{proxyguard}}* {allowed}".split()):
        run(scene())


def certificates(folder: Path) -> None:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store.test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_tls_is_verified(tmp_path: Path) -> None:
    certificates(tmp_path)
    port = free_port()
    options = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", str(tmp_path / "cert.pem"), "--tls-key-file", str(tmp_path / "key.pem")]
    options += ["--tls-ca-cert-file", str(tmp_path / "cert.pem"), "--requirepass", "secret"]

    async def scene() -> None:
        async with instance(f"rediss://:secret@127.0.0.1:{port}?ca={tmp_path / 'cert.pem'}") as (store, said):
            assert (await charged(store)).usages[0].remaining == 99
            assert said == []
        async with instance(f"valkeys://:secret@127.0.0.1:{port}") as (_, said):
            assert len(said) == 1
            assert "CERTIFICATE_VERIFY_FAILED" in said[0]

    with valkey(tmp_path / "s", *options):
        run(scene())


def test_on_a_cluster_the_store_is_found_where_its_slot_is(tmp_path: Path) -> None:
    """Two nodes; whichever is named in the URL, one of them redirects to the other."""
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    ports = (free_port(), free_port())

    def options(port: int) -> list[str]:
        bus = str(free_port())
        return ["--port", str(port), "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-require-full-coverage", "no"]

    async def scene() -> None:
        for port in ports:
            async with instance(f"redis://127.0.0.1:{port}") as (store, _):
                await until(lambda store=store: store.fallback.up)  # type: ignore[misc] # a default is how a lambda keeps a loop's value
                batch = [Charge(f"rule{number}|a", HUNDRED_AN_HOUR) for number in range(10)]
                outcome = store.charge(batch, ["client:b"], time())
                assert not isinstance(outcome, Outcome)
                assert len((await outcome).usages) == 10
                assert store.fallback.answers == 0

    first, second = tmp_path / "1" / "s", tmp_path / "2" / "s"
    with valkey(first, *options(ports[0])), valkey(second, *options(ports[1])):
        slots = {first: "0 8000", second: "8001 16383"}
        for path, span in slots.items():
            assert command(path, "CLUSTER", "ADDSLOTSRANGE", *span.split()) == b"+OK\r\n"
        node = command(first, "CLUSTER", "MYID").split(b"\r\n")[1].decode()
        bus = command(first, "CLUSTER", "NODES").split(b"@")[1].split(b" ")[0].decode()
        assert command(second, "CLUSTER", "MEET", "127.0.0.1", str(ports[0]), bus) == b"+OK\r\n"
        deadline = monotonic() + 4 * WAIT_SECONDS
        while f"{node} 127.0.0.1".encode() not in command(second, "CLUSTER", "NODES") or any(
            b"cluster_state:ok" not in command(path, "CLUSTER", "INFO") for path in slots
        ):
            assert monotonic() < deadline
        run(scene())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://store", ValkeyUrl(host="store")),
        ("valkey://store:7000/2", ValkeyUrl(host="store", port=7000, database=2)),
        ("rediss://:p%40ss@[2001:db8::1]:1", ValkeyUrl(host="2001:db8::1", port=1, password="p@ss", tls=True)),
        ("valkeys://u:p@store?ca=/c.pem", ValkeyUrl(host="store", username="u", password="p", tls=True, ca="/c.pem")),
        ("unix:///run/store.sock?db=4", ValkeyUrl(path="/run/store.sock", database=4)),
    ],
)  # fmt: skip
def test_urls_are_read(text: str, expected: ValkeyUrl) -> None:
    assert ValkeyUrl.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://:secret@store", "a store's URL begins with redis, valkey, rediss, valkeys, unix, not 'http'"),
        ("redis://:secret@store/first", "a store's database is a number, not 'first'"),
        ("redis://:secret@store?timeout=3", "a store's URL has the options ca and db, not timeout"),
        ("unix://", "a unix:// URL needs the path of a socket"),
        ("redis://store:port", "Port could not be cast to integer value as 'port'"),
    ],
)
def test_bad_urls_are_refused_without_showing_the_password(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        ValkeyUrl.parse(text)
    assert str(raised.value) == message


def test_the_address_in_logs_has_no_password() -> None:
    assert str(ValkeyUrl.parse("redis://u:secret@store:7000/2")) == "store:7000"
