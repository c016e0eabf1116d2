"""`python -m proxyguard` is the `proxyguard` command."""

from proxyguard.cli import main

main()
