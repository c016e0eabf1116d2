"""A small made-up social site, to try the firewall on: `python -m proxyguard.tools.sample_site`.

Knows nothing of proxyguard. People, posts and answers are the same on every run and nothing is stored for good, so that
tests and demonstrations can say exactly what comes back.
"""
