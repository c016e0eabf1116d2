"""Reloading: what counts as a change, and that the last good policy stays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from proxyguard.core.decision import Mode
from proxyguard.core.preset import RulesPreset
from proxyguard.core.settings import Settings, Site
from proxyguard.instance.deploy import compile_sites
from proxyguard.instance.in_force import InForce
from proxyguard.instance.load_rules import load_tested
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.loader_process import load_in_child
from proxyguard.instance.policy_transfer import PolicyTransfer, given_part, join, split
from proxyguard.instance.reloader import Reloader
from proxyguard.instance.watch_signature import signature, signature_of_load
from proxyguard.policy.given import plain_restriction
from proxyguard.telemetry.metrics import Metrics

pytestmark = pytest.mark.long

GOOD = """
name: one
rules:
  - name: no-curl
    when: {user_agent: {word: curl}}
    action: reject
tests:
  - request: {user_agent: curl/8.5}
    expect: reject by no-curl
"""

BROKEN = GOOD.replace("action: reject", "action: rejct")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "10-one.yaml").write_text(GOOD)
    return folder


class Installed:
    """Records what was installed."""

    def __init__(self) -> None:
        self.digests: list[str] = []
        self.modes: list[dict[str, Mode]] = []
        self.metrics = Metrics()

    @property
    def results(self) -> Counter[str]:
        return +self.metrics.reloads

    async def install(self, parts: list[bytes]) -> None:
        in_force = InForce.of(join(parts), Mode.ENFORCE)
        self.digests.append(in_force.digest)
        self.modes.append(dict(in_force.modes))

    def reloader(self, rules: Path, poll_seconds: float = 1.0) -> Reloader:
        policy = PolicyTransfer.of(load_tested(rules), Mode.ENFORCE)
        return Reloader(rules, Mode.ENFORCE, policy, self.install, self.metrics, poll_seconds=poll_seconds)


def test_a_policy_survives_the_trip_from_the_building_process(rules: Path) -> None:
    loaded = load_tested(rules)
    policy = asyncio.run(load_in_child(rules, Mode.SHADOW, RulesPreset.STANDARD))
    there = join(policy.parts)
    assert policy.in_force == InForce.of(loaded, Mode.SHADOW)
    assert there.policy.digest == loaded.policy.digest
    assert there.files == loaded.files
    assert there.policy.rule_sets[0].rules == loaded.policy.rule_sets[0].rules


def test_large_rule_sets_travel_in_parts(rules: Path) -> None:
    many = "name: many\nrules:\n" + "".join(f"  - {{name: r{n}, action: reject, when: {{path: /{n}}}}}\n" for n in range(250))
    (rules / "20-many.yaml").write_text(many)
    loaded = load_tested(rules)
    assert len(split(loaded)) == 2 + 2 + 1 + 3
    assert join(split(loaded)).policy.rule_sets[1].rules == loaded.policy.rule_sets[1].rules


def test_a_refused_change_keeps_what_is_in_force_and_says_why(rules: Path) -> None:
    installed = Installed()

    async def run() -> None:
        reloader = installed.reloader(rules)
        await reloader.reload()
        (rules / "10-one.yaml").write_text(BROKEN)
        with pytest.raises(RulesRejected) as caught:
            await reloader.reload()
        assert "10-one.yaml:6:13: error: " in caught.value.report
        assert "hint: " in caught.value.report
        assert reloader.last["report"] == caught.value.report

    asyncio.run(run())
    assert len(installed.digests) == 1
    assert installed.results == {"applied": 1, "refused": 1}


def test_a_failing_test_in_a_file_refuses_it(rules: Path) -> None:
    (rules / "10-one.yaml").write_text(GOOD.replace("curl/8.5", "wget/1"))
    with pytest.raises(RulesRejected, match="expected reject by no-curl"):
        load_tested(rules)


def test_the_watch_applies_a_change_once_and_retries_no_refused_one(rules: Path) -> None:
    installed = Installed()

    async def wait_for(count: int) -> None:
        async with asyncio.timeout(20):
            while installed.results.total() < count:  # noqa: ASYNC110 - the counter is what operators see
                await asyncio.sleep(0.01)

    async def run() -> None:
        watching = asyncio.create_task(installed.reloader(rules, poll_seconds=0.01).watch())
        await asyncio.sleep(0.05)
        (rules / "10-one.yaml").write_text(GOOD + "# changed\n")
        await wait_for(1)
        (rules / "10-one.yaml").write_text(BROKEN)
        await wait_for(2)
        await asyncio.sleep(0.1)
        (rules / "20-two.yaml").write_text("name: two\nrules: [{name: two, action: allow, when: {path: /two}}]\n")
        (rules / "10-one.yaml").write_text(GOOD)
        await wait_for(3)
        watching.cancel()

    asyncio.run(run())
    assert installed.results == {"applied": 2, "refused": 1}


@pytest.mark.parametrize("change", ["save", "rename over", "symlink swap", "new file", "removal", "list file"])
def test_every_way_of_changing_a_file_is_noticed(rules: Path, tmp_path: Path, change: str) -> None:
    file = rules / "10-one.yaml"
    listed = tmp_path / "list.txt"
    listed.write_text("198.51.100.1\n")
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "30.yaml").write_text("name: linked\nrules: [{name: linked, action: allow, when: {path: /l}}]\n")
    (tmp_path / "data").symlink_to(tmp_path / "v1")
    (rules / "30.yaml").symlink_to(tmp_path / "data" / "30.yaml")
    before = signature(rules, [listed])
    assert before == signature(rules, [listed])
    match change:
        case "save":
            file.write_text(GOOD + "#\n")
        case "rename over":
            (tmp_path / "swap").write_text(GOOD)
            (tmp_path / "swap").rename(file)
        case "symlink swap":
            (tmp_path / "data.new").symlink_to(tmp_path / "v2")
            (tmp_path / "data.new").rename(tmp_path / "data")
        case "new file":
            (rules / "20.yaml").write_text("name: two\nrules: [{name: two, action: allow, when: {path: /two}}]\n")
        case "removal":
            file.unlink()
        case "list file":
            listed.write_text("192.0.2.1\n192.0.2.2\n")
    assert before != signature(rules, [listed])


def test_a_file_that_a_refused_edit_asked_for_is_watched_too(rules: Path) -> None:
    """The list named by the edit is missing; once it is there, the edit takes effect."""
    installed = Installed()
    listing = GOOD.replace("rules:", "lists: {bad: {file: lists/bad.txt}}\nrules:").replace("{word: curl}", "{word: $bad}")

    async def run() -> None:
        reloader = installed.reloader(rules, poll_seconds=0.01)
        (rules / "10-one.yaml").write_text(listing)
        with pytest.raises(RulesRejected, match=r"bad\.txt"):
            await reloader.reload()
        (rules / "lists").mkdir()
        (rules / "lists" / "bad.txt").write_text("curl\n")
        watching = asyncio.create_task(reloader.watch())
        async with asyncio.timeout(20):
            while not installed.results["applied"]:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        ([("a", 1, 10, 5)], [("a", 1, 10, 5)], [("a", 1, 10, 5)]),
        ([("a", 1, 10, 5)], [("a", 1, 150, 6)], [("a", 1, 10, 5)]),
        ([], [("list", 1, 10, 5)], [("list", 1, 10, 5)]),
        ([], [("list", 1, 150, 5)], [("list", 0, 0, 0)]),
    ],
    ids=["unchanged", "saved again while it was read", "found by the load", "found and younger than the load"],
)
def test_a_save_during_a_load_is_not_taken_for_read(
    before: list[tuple[str, int, int, int]], after: list[tuple[str, int, int, int]], seen: list[tuple[str, int, int, int]]
) -> None:
    assert signature_of_load(tuple(before), tuple(after), 100) == tuple(seen)


def test_a_rule_held_in_shadow_stays_there_over_reloads_until_it_is_released(rules: Path) -> None:
    installed = Installed()

    async def run() -> None:
        reloader = installed.reloader(rules)
        await reloader.hold_in_shadow("no-curl")
        await reloader.reload()
        reloader.release("no-curl")
        await reloader.reload()

    asyncio.run(run())
    assert installed.modes == [{"no-curl": "shadow"}, {"no-curl": "shadow"}, {"no-curl": "enforce"}]
    assert installed.results == {"applied": 2}


def test_a_storm_of_requests_makes_two_reloads(rules: Path) -> None:
    installed = Installed()

    async def run() -> None:
        reloader = installed.reloader(rules)
        first = asyncio.create_task(reloader.reload())
        await asyncio.sleep(0.05)
        answers = await asyncio.gather(first, *(reloader.reload() for _ in range(50)))
        assert {answer["result"] for answer in answers} == {"applied"}

    asyncio.run(run())
    assert installed.results == {"applied": 2}


def test_a_directory_that_never_rests_is_read_all_the_same(rules: Path) -> None:
    installed = Installed()

    async def run() -> None:
        watching = asyncio.create_task(installed.reloader(rules, poll_seconds=0.01).watch())
        async with asyncio.timeout(20):
            count = 0
            while not installed.results["applied"]:
                count += 1
                (rules / "10-one.yaml").write_text(f"{GOOD}# {count}\n")
                await asyncio.sleep(0.002)
        watching.cancel()

    asyncio.run(run())


def test_reading_begins_with_the_first_look_and_is_given_up_when_the_files_change_again(
    rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Installed()
    begun: list[asyncio.Event] = []
    ended: list[str] = []

    async def read(folder: Path, mode: Mode, _preset: RulesPreset, _kept: Path | None) -> PolicyTransfer:
        may_end = asyncio.Event()
        begun.append(may_end)
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            ended.append("given up")
            raise
        ended.append("read")
        return PolicyTransfer.of(load_tested(folder), mode)

    monkeypatch.setattr("proxyguard.instance.reloader.load_in_child", read)

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - what the watch does is only seen from outside
                await asyncio.sleep(0.005)

    async def run() -> None:
        watching = asyncio.create_task(installed.reloader(rules, poll_seconds=0.05).watch())
        (rules / "10-one.yaml").write_text("half of it")
        await until(lambda: len(begun) == 1)
        (rules / "10-one.yaml").write_text(GOOD.replace("no-curl", "never-curl"))
        await until(lambda: len(begun) == 2)
        begun[1].set()
        await until(lambda: installed.results.total() > 0)
        watching.cancel()

    asyncio.run(run())
    assert ended == ["given up", "read"]
    assert (installed.results, installed.modes) == ({"applied": 1}, [{"never-curl": Mode.ENFORCE}])


def test_a_fault_of_ours_is_counted_as_failed_and_the_watch_goes_on(rules: Path) -> None:
    installed = Installed()

    async def run() -> None:
        reloader = installed.reloader(rules, poll_seconds=0.01)
        install, reloader._install = reloader._install, broken_install
        watching = asyncio.create_task(reloader.watch())
        (rules / "10-one.yaml").write_text(GOOD + "# changed\n")
        async with asyncio.timeout(20):
            while not installed.results["failed"]:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        reloader._install = install
        (rules / "10-one.yaml").write_text(GOOD + "# changed again\n")
        async with asyncio.timeout(20):
            while not installed.results["applied"]:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(run())
    assert installed.results == {"failed": 1, "applied": 1}


async def broken_install(_parts: list[bytes]) -> None:
    raise OSError(28, "No space left on device")


SLOW = plain_restriction("slow", "Busy.", {"anonymous": "3/day"}, "2090-01-01")


def test_restrictions_given_by_command_are_put_in_force_without_reading_files_and_outlast_reloads(rules: Path) -> None:
    installed = Installed()
    reloader = installed.reloader(rules)
    (rules / "10-one.yaml").write_text(BROKEN)
    asyncio.run(reloader.give((SLOW,)))
    assert (set(reloader.current.given), dict(installed.results)) == ({"slow"}, {})
    (rules / "10-one.yaml").write_text(GOOD.replace("no-curl", "no-wget"))
    asyncio.run(reloader.reload())
    assert (set(reloader.current.modes), set(reloader.current.given)) == ({"no-wget", "slow-anonymous"}, {"slow"})
    asyncio.run(reloader.hold_in_shadow("no-wget"))
    assert installed.modes[-1] == {"no-wget": Mode.SHADOW, "slow-anonymous": Mode.ENFORCE}
    asyncio.run(reloader.give(()))
    assert (set(reloader.current.modes), set(reloader.current.given)) == ({"no-wget"}, set())


@pytest.mark.parametrize("error", [RulesRejected.because(Path("rules"), "no worker answered"), OSError(28, "No space left")])
def test_restrictions_that_cannot_be_installed_are_not_given(rules: Path, error: Exception) -> None:
    installed = Installed()
    reloader = installed.reloader(rules)

    async def refuse(_parts: list[bytes]) -> None:
        raise error

    reloader._install = refuse
    with pytest.raises(type(error)):
        asyncio.run(reloader.give((SLOW,)))
    reloader._install = installed.install
    asyncio.run(reloader.hold_in_shadow("no-curl"))
    assert reloader.current.given == frozenset()


def test_a_given_restriction_applies_to_sites_that_choose_their_rule_sets(rules: Path) -> None:
    (rules / "20-two.yaml").write_text(GOOD.replace("one", "two").replace("curl", "wget"))
    sites = (Site(hosts=("a.example",), rule_sets=("two",)),)
    loaded = join([*split(load_tested(rules)), given_part((SLOW,))])
    policies = compile_sites(loaded.policy, Settings(rules=rules, sites=sites), b"x")
    assert [rule.name for rule in policies.of(b"a.example").rules] == ["no-wget", "slow-anonymous"]
    for name in ("command:", "classes:"):
        chosen = (Site(hosts=("a.example",), rule_sets=(name,)),)
        with pytest.raises(RulesRejected, match=f"there is no rule set '{name}'"):
            compile_sites(loaded.policy, Settings(rules=rules, sites=chosen), b"x")


def test_a_change_gives_up_the_reading_under_way_and_a_slow_one_is_logged(
    rules: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed = Installed()
    begun: list[str] = []

    async def read(folder: Path, mode: Mode, _preset: RulesPreset, _kept: Path | None) -> PolicyTransfer:
        begun.append((folder / "10-one.yaml").read_text())
        if len(begun) == 1:
            await asyncio.Event().wait()  # a test that never ends
        return PolicyTransfer.of(load_tested(folder), mode)

    monkeypatch.setattr("proxyguard.instance.reloader.load_in_child", read)
    monkeypatch.setattr("proxyguard.instance.reloader.SLOW_SECONDS", 0.01)

    async def run() -> None:
        reloading = asyncio.create_task(installed.reloader(rules, poll_seconds=0.02).reload())
        async with asyncio.timeout(20):
            while not caplog.records:  # noqa: ASYNC110 - what the reload does is only seen from outside
                await asyncio.sleep(0.005)
            (rules / "10-one.yaml").write_text(GOOD.replace("no-curl", "never-curl"))
            await reloading

    asyncio.run(run())
    assert len(begun) == 2
    assert (installed.results, installed.modes) == ({"applied": 1}, [{"never-curl": Mode.ENFORCE}])
    assert caplog.records[0].getMessage() == "reading the rules takes more than 0 s; those of before stay in force"


def test_a_list_that_breaks_is_told_loudly_and_blocks_no_other_change(
    rules: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = GOOD.replace("rules:", "lists: {bad: {file: lists/bad.txt}}\nrules:").replace(
        "rules:\n", "rules:\n  - {name: bad, when: {client: $bad}, action: drop}\n"
    )
    (rules / "lists").mkdir()
    (rules / "lists/bad.txt").write_text("198.51.100.1\n")
    (rules / "10-one.yaml").write_text(listed)
    installed = Installed()

    async def run() -> None:
        policy = PolicyTransfer.of(load_tested(rules), Mode.ENFORCE)
        reloader = Reloader(rules, Mode.ENFORCE, policy, installed.install, installed.metrics, kept=tmp_path / "kept")
        await reloader.keep_lists()
        (rules / "lists/bad.txt").write_text("<html><title>503</title>")
        (rules / "20-two.yaml").write_text("name: two\nrules: [{name: second, when: {path: /two}, action: drop}]\n")
        await reloader.reload()
        assert set(reloader.current.modes) == {"bad", "no-curl", "second"}
        assert reloader.last["result"] == "applied, but for lists that are broken: their content of before stays in force"
        assert "bad.txt" in reloader.last["report"]
        assert "is a web page and no list: '503'" in caplog.messages[-1]
        (rules / "lists/bad.txt").write_text("198.51.100.2\n")
        await reloader.reload()
        assert reloader.last["result"] == "applied"
        assert "report" not in reloader.last

    asyncio.run(run())
    assert installed.results == {"applied": 2}


def test_what_is_the_same_is_not_called_reloaded(rules: Path, caplog: pytest.LogCaptureFixture) -> None:
    installed = Installed()

    async def run() -> None:
        policy = PolicyTransfer.of(load_tested(rules), Mode.ENFORCE)
        await Reloader(rules, Mode.ENFORCE, policy, installed.install, installed.metrics).reload()

    with caplog.at_level("INFO"):
        asyncio.run(run())
    assert "rules read again, and are the same, digest" in caplog.messages[-1]


def test_rules_are_counted_anew_with_each_reload(rules: Path) -> None:
    installed = Installed()
    in_force = installed.reloader(rules)

    async def run() -> None:
        for turn in range(100):
            await in_force.pause(frozenset({"no-curl"} if turn % 2 else ()))

    asyncio.run(run())
    assert dict(installed.metrics.rules) == {"enforce": 0, "shadow": 1, "off": 0}
    [samples] = [samples for name, _, _, samples in installed.metrics.snapshot() if name == "rules"]
    assert [(labels[0][1], value) for _, labels, value in samples] == [("enforce", 0), ("shadow", 1), ("off", 0)]


def test_a_paused_rule_is_in_shadow_until_it_is_not_paused_whatever_is_reloaded(rules: Path) -> None:
    installed = Installed()

    async def run() -> None:
        reloader = installed.reloader(rules)
        await reloader.hold_in_shadow("no-curl")
        await reloader.pause(frozenset({"no-curl"}))
        reloader.release("no-curl")
        await reloader.reload()
        await reloader.pause(frozenset())

    asyncio.run(run())
    assert [modes["no-curl"].value for modes in installed.modes] == ["shadow", "shadow", "shadow", "enforce"]


def test_where_tasks_begin_at_once_a_change_after_a_refused_one_is_applied(rules: Path) -> None:
    """As in mitmproxy's loop, where the addon's rules are reloaded."""
    installed = Installed()

    async def run() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        reloader = installed.reloader(rules)
        (rules / "10-one.yaml").write_text(BROKEN)
        await reloader.reload_quietly()
        (rules / "10-one.yaml").write_text(GOOD + "# more\n")
        await reloader.reload_quietly()

    asyncio.run(run())
    assert installed.results == {"refused": 1, "applied": 1}
