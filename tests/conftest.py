"""What all tests share: the secret that examples in rule files and documentation name."""

import os

os.environ.setdefault("SESSION_SECRET", "a secret of the tests, long enough")
