"""Nonces that workers share: new for one of them, whatever they do at once; no word where that cannot be had."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from proxyguard.guard.origin import shared_nonces
from proxyguard.guard.origin.shared_nonces import PROBES, SLOTS, SharedNonces

SECRET = b"secret"
WORKER = """
import sys
from pathlib import Path
from proxyguard.guard.origin.shared_nonces import SharedNonces
shared = SharedNonces(Path(sys.argv[1]), b"secret")
sys.stdin.read()
print(*[number for number in range(500) if shared.add(b"%d" % number, 0.0, 330.0)])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nonces"


def test_what_one_worker_saw_is_not_new_for_another_until_its_time_has_passed(path: Path) -> None:
    one, other = SharedNonces(path, SECRET), SharedNonces(path, SECRET)
    assert (one.add(b"a", 0.0, 330.0), other.add(b"a", 1.0, 331.0), other.add(b"b", 1.0, 331.0)) == (True, False, True)
    assert SharedNonces(path, SECRET).add(b"a", 329.0, 600.0) is False
    assert (other.add(b"a", 330.0, 660.0), one.add(b"a", 331.0, 660.0)) == (True, False)
    assert path.stat().st_mode & 0o777 == 0o600


def test_workers_that_ask_at_once_never_take_a_nonce_twice(path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
    taken = Counter(number for worker in workers if worker.stdout is not None for number in worker.stdout.read().split())
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert set(taken.values()) == {1}
    assert len(taken) > 400  # the others waited for the lock in vain, and are unknown


def test_a_crowded_place_gives_no_word_and_forgets_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_nonces, "SLOTS", 1)
    shared = SharedNonces(path, SECRET)
    assert [shared.add(b"%d" % number, 0.0, 330.0 + number) for number in range(PROBES)] == [True] * PROBES
    assert shared.add(b"more", 0.0, 330.0) is None
    assert [shared.add(b"%d" % number, 0.0, 330.0) for number in range(PROBES)] == [False] * PROBES
    assert shared.add(b"more", 330.0, 660.0) is True  # in the place of the first
    assert shared.add(b"more", 330.0, 660.0) is False
    assert shared.add(b"1", 330.0, 660.0) is False


def test_a_worker_that_holds_the_lock_stops_nobody(path: Path) -> None:
    shared = SharedNonces(path, SECRET)
    held = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert shared.add(b"a", 0.0, 330.0) is None
    finally:
        os.close(held)
    assert shared.add(b"a", 0.0, 330.0) is True


def test_a_full_disk_gives_no_word(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedNonces(path, SECRET)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        assert shared.add(b"a", 0.0, 330.0) is None
    assert shared.add(b"a", 0.0, 330.0) is True


def test_places_are_not_for_a_signer_to_choose(tmp_path: Path) -> None:
    """The same marks lie elsewhere in each instance, and the file stays within its bound."""
    sizes = set()
    for secret in (b"one", b"two", b"three"):
        path = tmp_path / secret.decode()
        assert SharedNonces(path, secret).add(b"a", 0.0, 330.0)
        sizes.add(path.stat().st_size)
    assert len(sizes) == 3
    assert max(sizes) <= (SLOTS + PROBES) * 24
