"""The scraper range: people and scrapers with known truth, let loose on a rule set, and what came of it by cohort.

A *cohort* is a group of clients that behave alike: people, useful programs, or an adversary. Each *session* of a cohort is a
generator that yields what it fetches and is sent the answer, so that one and the same session runs on a virtual clock against
the guard, and on real sockets through a front. Who is who is known to the range only: no request carries a label.
"""
