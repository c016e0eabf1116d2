"""The server that answers refused requests: whom it answers, and what it does not let itself be filled with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from proxyguard.adapters.mitmproxy_addon import answerer as module
from proxyguard.adapters.mitmproxy_addon.answerer import LOOPBACK, TICKET_FIELD, Answerer, Reply
from proxyguard.core.decision import Tarpit
from proxyguard.core.tarpit_budget import TarpitBudget

ANSWER = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
QUICK = Tarpit(hold_seconds=30, drip_seconds=0.05, drip_bytes=10)


def run(scenario: Callable[[Answerer], Awaitable[None]], budget: TarpitBudget | None = None) -> None:
    async def bounded() -> None:
        answerer = Answerer(budget or TarpitBudget())
        try:
            await asyncio.wait_for(scenario(answerer), 60)
        finally:
            answerer.close()

    asyncio.run(bounded())


async def ask(answerer: Answerer, word: bytes, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(LOOPBACK, answerer.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n%b: %b\r\n\r\n%b" % (TICKET_FIELD, word, body))
    return reader, writer


async def until_free(answerer: Answerer) -> None:
    """Wait until nobody is held. `run` has an end."""
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if not answerer.held:
            return


def test_a_word_is_answered_once_and_no_other_is() -> None:
    async def scenario(answerer: Answerer) -> None:
        word = await answerer.expect(Reply(ANSWER))
        for asked, answer in ((b"0" * 32, b""), (word, ANSWER), (word, b"")):
            reader, writer = await ask(answerer, asked)
            assert await reader.read(len(ANSWER)) == answer
            writer.close()

    run(scenario)


def test_a_body_is_thrown_away_for_a_while() -> None:
    async def scenario(answerer: Answerer) -> None:
        reader, writer = await ask(answerer, await answerer.expect(Reply(ANSWER)), b"x" * (module.LINGER_BYTES + 1))
        assert await reader.read() == ANSWER
        writer.close()

    run(scenario)


def test_a_tarpit_drips_until_its_bytes_are_used_up() -> None:
    async def scenario(answerer: Answerer) -> None:
        reader, writer = await ask(answerer, await answerer.expect(Reply(b"begins", QUICK, "n")))
        assert answerer.held == 1
        assert len(await reader.read()) == len(b"begins") + 25
        writer.close()
        await until_free(answerer)
        assert (answerer.held, answerer.can_hold("n")) == (0, True)

    run(scenario, TarpitBudget(bytes_per_connection=25))


def test_a_client_that_leaves_a_tarpit_is_held_no_longer() -> None:
    async def scenario(answerer: Answerer) -> None:
        reader, writer = await ask(
            answerer, await answerer.expect(Reply(b"begins", Tarpit(hold_seconds=50, drip_seconds=40), "n"))
        )
        assert await reader.readexactly(6) == b"begins"
        writer.close()
        await until_free(answerer)
        assert answerer.held == 0

    run(scenario)


def test_tarpits_are_bounded_by_network_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD", 3)

    async def scenario(answerer: Answerer) -> None:
        words = [await answerer.expect(Reply(b"", QUICK, "n")) for _ in range(2)]
        assert not answerer.can_hold("n")
        assert answerer.can_hold("m")
        await answerer.expect(Reply(b"", QUICK, "m"))
        assert not answerer.can_hold("o")
        answerer.forget(words[0])
        answerer.forget(words[0])
        assert answerer.can_hold("n")

    run(scenario, TarpitBudget(per_network=2))


def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWERS", 2)

    async def scenario(answerer: Answerer) -> None:
        words = [await answerer.expect(Reply(ANSWER)) for _ in range(3)]
        assert [bool(word) for word in words] == [True, True, False]
        assert len(answerer) == 2

    run(scenario)
