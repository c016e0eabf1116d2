"""Caddyfiles as rules: named matchers that are answered with a refusal, and rate limits."""
