"""Apache, HAProxy and Caddy: what refuses becomes a rule, what counts becomes a limit, and everything else is named."""

from __future__ import annotations

from typing import Any

import pytest

from proxyguard.tools.importers.draft import ImportFault
from tests.tools.importers.reading import limits_of, notes_of, rules_of

UA = "RewriteCond %{HTTP_USER_AGENT} "


@pytest.mark.parametrize(
    ("text", "when"),
    [
        (UA + "bad [NC]\nRewriteRule .* - [F,L]", {"user_agent": {"regex": "(?i)bad"}}),
        (UA + "^a [OR]\n" + UA + "^b\nRewriteRule ^ - [F]", {"user_agent": {"regex": ["^a", "^b"]}}),
        (UA + "a\nRewriteCond %{REQUEST_METHOD} =POST\nRewriteRule ^ - [F]", {"user_agent": {"regex": "a"}, "method": "POST"}),
        (UA + "!good\nRewriteRule ^wp- - [F]", {"path": {"regex": "^/wp-"}, "not": {"user_agent": {"regex": "good"}}}),
        (UA + "^$\nRewriteRule ^ - [R=403]", {"user_agent": ["absent", ""]}),
        (UA + r"bad\ bot" + "\nRewriteRule ^ - [F]", {"user_agent": {"regex": "bad bot"}}),
        (
            "RewriteRule ^ok/ - [L]\n" + UA + "a\nRewriteRule ^ - [F]",
            {"user_agent": {"regex": "a"}, "not": {"path": {"regex": "^/ok/"}}},
        ),
        ("RewriteCond %{REMOTE_ADDR} ^192\\.0\\.2\\.\nRewriteRule ^ - [F]", {"client": "192.0.2.0/24"}),
        ("RewriteCond %{QUERY_STRING} x=1\nRewriteRule ^ - [F]", {"query_string": {"regex": "x=1"}}),
        ("RewriteCond %{HTTP:X-Key} =abc\nRewriteRule ^ - [F]", {"header.x-key": "abc"}),
        ("RewriteCond %{HTTP_USER_AGENT} bad\nRewriteRule ^ - [E=bad:1]\nDeny from env=bad", {"user_agent": {"regex": "bad"}}),
        (
            "SetEnvIfNoCase User-Agent bad b\nOrder Allow,Deny\nAllow from all\nDeny from env=b",
            {"user_agent": {"regex": "(?i)bad"}},
        ),
        (
            "BrowserMatch bad b\nBrowserMatch good !b\nDeny from env=b",
            {"user_agent": {"regex": "bad"}, "not": {"user_agent": {"regex": "good"}}},
        ),
        ("Order Deny,Allow\nDeny from all\nAllow from 10.1", {"not": {"client": "10.1.0.0/16"}}),
        ("Deny from 192.0.2.0/255.255.255.0", {"client": "192.0.2.0/24"}),
        ("Require not ip 192.0.2.1", {"client": "192.0.2.1"}),
        ("<RequireAll>\nRequire all granted\nRequire not ip 192.0.2.1\n</RequireAll>", {"client": "192.0.2.1"}),
        ("Require ip 10.0.0.0/8\nRequire method OPTIONS", {"not": {"any": [{"client": "10.0.0.0/8"}, {"method": "OPTIONS"}]}}),
        ("<Files .env>\nRequire all denied\n</Files>", {"path": {"regex": r"/\.env$"}}),
        ('<FilesMatch "\\.(bak|sql)$">\nDeny from all\n</FilesMatch>', {"path": {"regex": r"\.(bak|sql)$"}}),
        ("<LimitExcept GET POST>\nDeny from all\n</LimitExcept>", {"not": {"method": ["GET", "POST"]}}),
        ("RedirectMatch 403 /\\.git", {"path": {"regex": r"/\.git"}}),
        (
            UA + "Mozilla\nRewriteRule ^a - [S=1]\nRewriteRule ^a - [F]",
            {"path": {"regex": "^/a"}, "not": {"path": {"regex": "^/a"}, "user_agent": {"regex": "Mozilla"}}},
        ),
        ("RewriteRule ^a - [C]\n" + UA + "b\nRewriteRule ^ - [F]", {"user_agent": {"regex": "b"}, "path": {"regex": "^/a"}}),
        ("RewriteBase /blog/\nRewriteRule ^a$ - [F]", {"path": {"regex": "^/blog/a$"}}),
        (
            "RewriteBase /blog\n" + UA + "b\nRewriteRule !^a - [F]",
            {"path": {"prefix": "/blog/"}, "not": {"path": {"regex": "^/blog/a"}}, "user_agent": {"regex": "b"}},
        ),
        ("SetEnvIf ^User-Agent$ bad b\nDeny from env=b", {"user_agent": {"regex": "bad"}}),
        (UA + "a[^:]b\nRewriteRule ^ - [F]", {"user_agent": {"regex": "a[^:]b"}}),
        (UA + "[[:^digit:]x[]\nRewriteRule ^a - [F]", {"path": {"regex": "^/a"}, "user_agent": {"regex": r"[[:^digit:]x\[]"}}),
    ],
)
def test_what_apache_refuses_becomes_a_rule(text: str, when: dict[str, Any]) -> None:
    assert rules_of("apache", text) == [(when, "reject")]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            UA + "(?=a)b\nRewriteRule ^ - [F]",
            "line 2: RewriteRule ^ - was left out: '(?=a)b': the regex is not valid: look-around",
        ),
        (
            "RewriteCond %{REQUEST_FILENAME} -f\nRewriteRule ^ - [F]",
            "line 2: RewriteRule ^ - was left out: rules do not see the site's files",
        ),
        ("RewriteRule .* - [F]", "line 1: a RewriteRule was left out: it would refuse every request"),
        (
            "Deny from evil.example",
            "line 1: deny from evil.example was left out: 'evil.example' is a name: rules do not look names",
        ),
        ("Require valid-user", "line 1: require valid-user was left out: it asks for a log-in"),
        (
            "<Directory /srv>\nRequire all denied\n</Directory>",
            "line 1: <directory /srv> was left out: rules do not know which paths",
        ),
        ("SecRule ARGS x deny", "line 1: secrule ARGS x deny was left out: it goes by ModSecurity's rules"),
        ("<Files x>", "line 1: <files> is not closed"),
    ],
)
def test_what_of_apache_a_rule_cannot_say_is_noted(text: str, note: str) -> None:
    assert notes_of("apache", text)[0].startswith(note)


def test_a_section_that_says_who_is_let_in_does_not_inherit_it() -> None:
    text = "Require not ip 192.0.2.1\n<Files a.php>\nRequire ip 10.0.0.1\n</Files>"
    file = {"path": {"regex": r"/a\.php$"}}
    assert rules_of("apache", text) == [
        ({"client": "192.0.2.1", "not": file}, "reject"),
        ({**file, "not": {"client": "10.0.0.1"}}, "reject"),
    ]


def test_mod_evasive_becomes_two_limits_that_ban() -> None:
    text = "DOSPageCount 5\nDOSPageInterval 2\nDOSSiteCount 60\nDOSBlockingPeriod 90\nDOSWhitelist 127.0.0.*"
    when = {"not": {"client": "127.0.0.0/24"}}
    assert limits_of("apache", text) == [
        (when, {"rate": "5/2s", "per": ["client", "path"]}),
        (when, {"rate": "60/1s", "per": ["client"]}),
    ]
    assert rules_of("apache", text)[0][1] == {"ban": {"for": "90s"}}


@pytest.mark.parametrize(
    ("text", "when", "action"),
    [
        ("http-request deny if { hdr_sub(user-agent) -i bad }", {"user_agent": {"regex": "(?i)bad"}}, "reject"),
        ("http-request deny if { req.hdr(User-Agent) -m sub bad }", {"user_agent": {"contains": "bad"}}, "reject"),
        ("acl a hdr_beg(host) -i Old.\nhttp-request tarpit if a", {"host": {"prefix": "old."}}, "tarpit"),
        (
            "acl a path_beg /x\nacl a path_end .php\nhttp-request deny deny_status 429 if a",
            {"path": [{"prefix": "/x"}, {"suffix": ".php"}]},
            {"reject": {"status": "429"}},
        ),
        (
            "acl a path /x\nacl b src 192.0.2.0/24\nhttp-request deny if a !b",
            {"path": "/x", "not": {"client": "192.0.2.0/24"}},
            "reject",
        ),
        ("http-request deny unless { method GET POST }", {"not": {"method": ["GET", "POST"]}}, "reject"),
        ("http-request deny unless { hdr(user-agent) -m found }", {"not": {"user_agent": "present"}}, "reject"),
        ("http-request silent-drop if { urlp(q) -m reg ^x }", {"query.q": {"regex": "^x"}}, "drop"),
        (
            "http-request allow if { src 10.0.0.1 }\nhttp-request deny if HTTP_1.0",
            {"http_version": "1.0", "not": {"client": "10.0.0.1"}},
            "reject",
        ),
        (
            "http-request deny if { path_dir admin } or { cook(x) 1 }",
            {"any": [{"path": {"regex": "(^|/)admin(/|$)"}}, {"cookie.x": "1"}]},
            "reject",
        ),
    ],
)
def test_what_haproxy_refuses_becomes_a_rule(text: str, when: dict[str, Any], action: Any) -> None:
    assert rules_of("haproxy", f"frontend f\n{text}") == [(when, action)]


TRACKED = "frontend f\nstick-table type ip size 1m expire 1m store http_req_rate(10s),http_err_rate(1m)\n"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("http-request track-sc0 src\nhttp-request deny if { sc_http_req_rate(0) gt 20 }", {"rate": "20/10s", "per": ["client"]}),
        (
            "http-request track-sc1 hdr(x-key)\nhttp-request deny if { sc1_http_req_rate ge 20 }",
            {"rate": "19/10s", "per": ["header.x-key"], "missing": "skip"},
        ),
        (
            "http-request track-sc2 hdr(x-key)\nhttp-request deny if { sc_http_req_rate(2,f) gt 20 }",
            {"rate": "20/10s", "per": ["header.x-key"], "missing": "skip"},
        ),
        (
            "http-request track-sc0 hdr(x-key)\nhttp-request deny if { src_http_req_rate gt 20 }",
            {"rate": "20/10s", "per": ["client"]},
        ),
        (
            "http-request track-sc0 src,ipmask(24,64)\nhttp-request deny if { sc0_http_req_rate gt 20 }",
            {"rate": "20/10s", "per": ["network"]},
        ),
        (
            "http-request track-sc0 src\nhttp-request deny if { sc_http_err_rate(0) gt 5 }",
            {"rate": "5/1m", "per": ["client"], "count": {"status": ["4xx"]}},
        ),
        ("http-request track-sc0 src\nhttp-request deny if { sc_conn_cur(0) gt 5 }", {"concurrent": "5", "per": ["client"]}),
    ],
)
def test_a_stick_table_becomes_a_limit(text: str, limit: dict[str, Any]) -> None:
    assert limits_of("haproxy", TRACKED + text) == [({}, limit)]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "http-request deny if { src -f bad.lst }",
            "line 2: deny if { src -f bad.lst } was left out: the file bad.lst does not lie",
        ),
        ("http-request deny if nowhere", "line 2: deny if nowhere was left out: the acl nowhere is not in this file"),
        (
            "http-request deny if { ssl_fc_sni x }",
            "line 2: deny if { ssl_fc_sni x } was left out: ssl_fc_sni: rules do not see TLS",
        ),
        (
            "http-request deny if { sc_get_gpc0(0) gt 5 }",
            "line 2: deny if { sc_get_gpc0(0) gt 5 } was left out: nothing in this section",
        ),
        ("http-request deny", "line 2: deny was left out: it would refuse every request"),
        ("http-request deny if { path }", "line 2: deny if { path } was left out: path is compared with nothing"),
        ("http-response deny if TRUE", "line 2: http-response deny if TRUE was left out: it goes by the answer"),
        ("filter spoe engine x", "line 2: filter spoe engine x was left out: it goes by what another program says"),
        ("http-request use-service lua.x", "line 2: http-request use-service lua.x was left out: it goes by a service"),
    ],
)
def test_what_of_haproxy_a_rule_cannot_say_is_noted(text: str, note: str) -> None:
    assert notes_of("haproxy", f"frontend f\n{text}")[0].startswith(note)


def test_a_backend_is_about_what_is_sent_to_it() -> None:
    text = "frontend f\nuse_backend api if { path_beg /api }\ndefault_backend www\nbackend api\nhttp-request deny if HTTP_1.0\n"
    assert rules_of("haproxy", text) == [({"path": {"prefix": "/api"}, "http_version": "1.0"}, "reject")]
    assert rules_of("haproxy", text.replace("backend api\nh", "backend www\nh")) == [
        ({"not": {"path": {"prefix": "/api"}}, "http_version": "1.0"}, "reject")
    ]


def test_a_backend_whose_name_is_composed_takes_nothing_from_others() -> None:
    text = "frontend f\nuse_backend %[hdr(host)]\nuse_backend pit if { path /a }\nbackend pit\nhttp-request tarpit\n"
    assert rules_of("haproxy", text) == [({"path": "/a"}, "tarpit")]
    assert notes_of("haproxy", text) == ["line 2: use_backend %[hdr(host)] was left out: the name of its backend is composed"]


@pytest.mark.parametrize(
    ("text", "when", "action"),
    [
        ("@a header_regexp User-Agent (?i)bad\nrespond @a 403", {"user_agent": {"regex": "(?i)bad"}}, "reject"),
        (
            "@a {\nheader User-Agent *bad*\nmethod POST\n}\nabort @a",
            {"user_agent": {"contains": "bad"}, "method": "POST"},
            "drop",
        ),
        (
            "@a {\npath /x* /y\nnot remote_ip 10.0.0.0/8\n}\nerror @a 404",
            {"path": {"regex": ["(?i)^/x", "(?i)^/y$"]}, "not": {"client": "10.0.0.0/8"}},
            {"reject": {"status": "404"}},
        ),
        ("@a header !User-Agent\nrespond @a 403", {"user_agent": "absent"}, "reject"),
        ('@a query q=1\nrespond @a "no" 403', {"query.q": "1"}, "reject"),
        ("respond /x 410", {"path": {"regex": "(?i)^/x$"}}, {"reject": {"status": "410"}}),
        ("a.example {\nrespond /x 403\n}", {"host": "a.example", "path": {"regex": "(?i)^/x$"}}, "reject"),
        ("(s) {\nrespond /x 403\n}\na.example {\nimport s\n}", {"host": "a.example", "path": {"regex": "(?i)^/x$"}}, "reject"),
        ("handle /a/* {\nabort\n}", {"path": {"regex": "(?i)^/a/"}}, "drop"),
        ("@a query a=1 b=* a=2\nabort @a", {"query.a": ["1", "2"], "query.b": "present"}, "drop"),
        ("@a {\nquery a=1\nquery a=2\n}\nabort @a", {"query.a": ["1", "2"]}, "drop"),
        ('@a header User-Agent ""\nabort @a', {"user_agent": ["absent", ""]}, "drop"),
        ("(s) {\nrespond {args[0]} {args.1}\n}\nimport s /x 403", {"path": {"regex": "(?i)^/x$"}}, "reject"),
        ("handle {\nrespond 403\n}\nhandle /a {\nreverse_proxy x\n}", {"not": {"path": {"regex": "(?i)^/a$"}}}, "reject"),
        (
            "route {\nrespond /a 200\nreverse_proxy /b x\nrespond 403\n}",
            {"not": {"path": {"regex": ["(?i)^/a$", "(?i)^/b$"]}}},
            "reject",
        ),
        ("handle /a {\nreverse_proxy x\n}\nerror 403", {"not": {"path": {"regex": "(?i)^/a$"}}}, "reject"),
    ],
)
def test_what_caddy_refuses_becomes_a_rule(text: str, when: dict[str, Any], action: Any) -> None:
    assert rules_of("caddy", text) == [(when, action)]


def test_a_zone_of_caddy_becomes_a_limit() -> None:
    text = "a.example {\nrate_limit {\nzone z {\nmatch {\nmethod POST\n}\nkey {remote_host}\nevents 9\nwindow 1m\n}\n}\n}"
    assert limits_of("caddy", text) == [({"host": "a.example", "method": "POST"}, {"rate": "9/1m", "per": ["client"]})]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "@a expression true\nrespond @a 403",
            "line 2: respond @a 403 was left out: the matcher expression: rules have no expressions",
        ),
        ("respond @b 403", "line 1: respond @b 403 was left out: the matcher @b is not in this file"),
        ("respond 403", "line 1: respond 403 was left out: it would refuse every request"),
        ("basic_auth {\na b\n}", "line 1: basic_auth was left out: it goes by a log-in"),
        ("import other.caddy", "line 1: not followed: import other.caddy: there is no such file or snippet"),
        ("error /a 401", "line 1: a refusal with 401 was left out: it asks for a log-in"),
        ("respond /a {x}", "line 1: respond /a {x} was left out: its status is '{x}'"),
        ("rate_limit {remote} 10r/m", "line 1: rate_limit was left out in part: what is read is zone NAME"),
        ("rate_limit {\nzone a {\nmatch x\nevents 3\nwindow 1m\n}\n}", "line 2: the zone a was left out: its match has no block"),
        (
            "@c expression x\nroute {\nreverse_proxy @c x\nrespond 403\n}",
            "line 4: respond 403 was left out: whom 'reverse_proxy @c x' answers before it is not known",
        ),
    ],
)
def test_what_of_caddy_a_rule_cannot_say_is_noted(text: str, note: str) -> None:
    assert notes_of("caddy", text)[0].startswith(note)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (r"^\.ht", r"/\.ht[^/]*$"),
        (r"(^#.*#|\.(bak|sql)|~)$", r"/#[^/]*#$|\.(bak|sql)$|~$"),
        (r"\.(inc|sh)$|^(\..*|Root)$", r"\.(inc|sh)$|/(\.[^/]*|Root)$"),
    ],
)
def test_a_pattern_for_names_of_files_begins_where_a_name_does(pattern: str, path: str) -> None:
    [(when, _)] = rules_of("apache", f'<FilesMatch "{pattern}">\nRequire all denied\n</FilesMatch>\n')
    assert when == {"path": {"regex": path}}


def test_what_defaults_of_haproxy_refuse_is_named() -> None:
    text = "defaults d\n  mode http\n  http-request deny if TRUE\nfrontend f\n  http-request deny if { path /a }\n"
    assert [when for when, _ in rules_of("haproxy", text)] == [{"path": "/a"}]
    assert notes_of("haproxy", text) == [
        "line 3: http-request deny if TRUE was left out: it is in defaults; write it into the frontend"
    ]


def test_several_names_of_a_header_in_one_are_named_and_looked_for_nowhere() -> None:
    text = "frontend f\n  http-request deny if { hdr_reg(Cookie|Referer) -i evil }\n"
    assert rules_of("haproxy", text) == []
    assert notes_of("haproxy", text)[0].endswith("was left out: Cookie|Referer: it is one name, and no header has it")


def test_snippets_that_double_come_to_an_end() -> None:
    text = "".join(f"(s{number}) {{\nimport s{number + 1}\nimport s{number + 1}\n}}\n" for number in range(20))
    with pytest.raises(ImportFault, match="with what it imports, the file has more than 100000 lines"):
        rules_of("caddy", text + "(s20) {\nrespond /x 403\n}\nimport s0\n")
