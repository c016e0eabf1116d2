"""What editors say of each word of the rule language, and the values that they propose: the texts of the JSON Schema."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.policy.model import FieldKind

MATCHER_WORDS: Final = {
    "in": "Equal to one of these texts; what a plain list means.",
    "prefix": "Begins with one of these texts.",
    "suffix": "Ends with one of these texts.",
    "contains": "Has one of these texts anywhere. For names of programs, `word` is safer.",
    "word": "Has one of these texts as a whole word, upper or lower case: `curl` matches `curl/8.5.0` and not `xcurly`.",
    "glob": "Matches one of these patterns as a whole: `*` is any run of characters, `?` is one.",
    "regex": "Matches one of these RE2 patterns anywhere; anchor with ^ and $. Use single quotes.",
    "at_least": "Is a number of at least this.",
    "at_most": "Is a number of at most this.",
    "signed": "Ends with a signature (HMAC) made with the secret in an environment variable.",
    "not": "The rest does not hold. Of a field that is missing, that is true.",
}

FIELD_WORDS: Final = {
    FieldKind.CLIENT: "The client's address: addresses, networks, `$list`.",
    FieldKind.HOST: "The host asked for, lower case, without the port.",
    FieldKind.SCHEME: "`http` or `https`.",
    FieldKind.METHOD: "The method, upper case.",
    FieldKind.PATH: "The path: percent-decoded, runs of slashes merged, without the query.",
    FieldKind.QUERY: "Query parameters, decoded: `query: {page: present}` or `query.page: present`.",
    FieldKind.HEADER: "Headers, names in any case: `header: {referer: absent}` or `header.referer: absent`.",
    FieldKind.COOKIE: "Cookies: `cookie: {session: present}` or `cookie.session: present`.",
    FieldKind.USER_AGENT: "The User-Agent header. For names of programs use `word`.",
    FieldKind.HTTP_VERSION: "1.0, 1.1, 2 or 3.",
    FieldKind.SCORE: "The points collected by the rules before this one.",
    FieldKind.TAG: "The tags attached by the rules before this one.",
    FieldKind.CLASS: "The class of the client, as `classes` define it; `anonymous` when it is in none.",
    FieldKind.ACCOUNT: "What the site said of the session's account; absent when it said nothing. Needs `account`.",
}

KEY_WORDS: Final = {
    "signed.secret": "The environment variable that holds the secret, or with _FILE behind its name the path of a file.",
    "signed.separator": "What stands between the value and its signature; `.` unless given.",
    "signed.digest": "The hash of the HMAC; sha256 unless given.",
    "signed.encoding": "How the signature is written: base64url unless given.",
    "signed.prefix": "What the value must begin with, and is not signed: `'Bearer '`.",
}


EXAMPLES: Final[dict[str, list[Any]]] = {
    "matcher.in": [["/robots.txt", "/favicon.ico"]],
    "matcher.prefix": ["/api/", ["/api/", "/feeds/"]],
    "matcher.suffix": [".example.org", [".css", ".js"]],
    "matcher.contains": ["/wp-admin/"],
    "matcher.word": ["curl", ["GPTBot", "CCBot"], "$names"],
    "matcher.glob": ["/download/*.zip"],
    "matcher.regex": [r"^/user/\d+$", r"(?i)\bChrome/\d+"],
    "matcher.at_least": [60],
    "matcher.at_most": [10],
}
"""Shown beside the descriptions, for keys whose values the schema does not already list."""
