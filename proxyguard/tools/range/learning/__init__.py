"""Learns cohorts from an access log and a site from its sitemap, and lets them loose like those that are built in.

What is kept is made of words that were known before the log was read, and of numbers: no address, name, query, user agent or time
of anybody. docs/guide/range.md says what that means for operators, ADR 68 why.
"""
