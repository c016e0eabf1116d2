"""What the upstream said is found until its time, and strangers can push nobody out but the least recently used."""

from proxyguard.guard.account_cache import AccountCache


def test_a_word_is_found_until_its_time() -> None:
    accounts = AccountCache(10)
    accounts.learn("s1", "member", until=100.0)
    assert accounts.find("s1", 99.9) == "member"
    assert accounts.find("s2", 99.9) is None
    assert accounts.find("s1", 100.0) is None
    assert len(accounts) == 0


def test_what_is_said_last_counts_and_an_empty_word_forgets() -> None:
    accounts = AccountCache(10)
    accounts.learn("s1", "new", until=100.0)
    accounts.learn("s1", "member", until=200.0)
    assert accounts.find("s1", 150.0) == "member"
    accounts.learn("s1", "", until=300.0)
    accounts.learn("s2", "", until=300.0)
    assert accounts.find("s1", 150.0) is None
    assert len(accounts) == 0


def test_the_least_recently_used_gives_way() -> None:
    accounts = AccountCache(2)
    accounts.learn("s1", "a", until=100.0)
    accounts.learn("s2", "b", until=100.0)
    assert accounts.find("s1", 1.0) == "a"
    accounts.learn("s3", "c", until=100.0)
    assert [accounts.find(session, 1.0) for session in ("s1", "s2", "s3")] == ["a", None, "c"]
    assert (len(accounts), accounts.evictions) == (2, 1)


def test_an_endless_word_is_cut() -> None:
    accounts = AccountCache(2)
    accounts.learn("s1", "x" * 1000, until=100.0)
    assert accounts.find("s1", 1.0) == "x" * 64


def test_a_network_with_many_sessions_pushes_out_nobody_elses() -> None:
    cache = AccountCache(1000)
    cache.learn("victim", "ada", 100.0, "network:a")
    for number in range(5000):
        cache.learn(f"s{number}", "mallory", 100.0, "network:b")
    assert cache.find("victim", 1.0) == "ada"
    assert (len(cache), cache.evictions, cache.refusals) == (500, 0, 4501)
    cache.learn("newcomer", "grace", 100.0, "network:c")
    assert cache.find("newcomer", 1.0) == "grace"
    cache.learn("s1", "mallory-2", 100.0, "network:b")
    assert cache.find("s1", 1.0) == "mallory-2"
    for number in range(499):
        cache.learn(f"s{number}", "", 100.0, "network:b")
    cache.learn("again", "mallory", 100.0, "network:b")
    assert cache.find("again", 1.0) == "mallory"
