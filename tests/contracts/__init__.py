"""One suite of calls and answers, run over every store."""

import pytest

pytest.register_assert_rewrite("tests.contracts.store_contract")
