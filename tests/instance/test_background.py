"""Work beside the event loop: while any is under way the interpreter is shared for it, and as before after the last."""

from __future__ import annotations

import gc
import sys
from contextlib import ExitStack

import pytest

from proxyguard.instance.background import SWITCH_SECONDS, working_thread


def test_two_that_overlap_leave_the_interpreter_as_it_was() -> None:
    """As when rules are loaded while what was learned is written."""
    before = sys.getswitchinterval()
    first, second = ExitStack(), ExitStack()
    for each in (first, second):
        each.enter_context(working_thread())
    first.close()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    assert not gc.isenabled()
    second.close()
    assert (sys.getswitchinterval(), gc.isenabled()) == (before, True)
