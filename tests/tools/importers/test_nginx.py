"""nginx configurations: what refuses becomes a rule, what counts becomes a limit, and everything else is named."""

from __future__ import annotations

import re
from typing import Any

import pytest

from proxyguard.tools.importers.draft import ImportFault
from tests.tools.importers.reading import draft_of, limits_of, notes_of, rules_of


def mapped(lines: str, source: str = "$http_user_agent", test: str = "$bad") -> list[tuple[Any, Any]]:
    return rules_of("nginx", f"map {source} $bad {{ {lines} }} server {{ if ({test}) {{ return 403; }} }}")


@pytest.mark.parametrize(
    ("lines", "when"),
    [
        ("~*curl 1;", {"user_agent": {"regex": "(?i)curl"}}),
        ("~curl 1; ~wget 1;", {"user_agent": {"regex": ["curl", "wget"]}}),
        ('"~*a b" 1;', {"user_agent": {"regex": "(?i)a b"}}),
        (r"'~*x\.y' 1;", {"user_agent": {"regex": r"(?i)x\.y"}}),
        (r'"~say \"hi\"" 1;', {"user_agent": {"regex": 'say "hi"'}}),
        ("Thief 1;", {"user_agent": {"regex": "(?i)^Thief$"}}),
        ("007 1;", {"user_agent": "007"}),
        (r"\default 1;", {"user_agent": {"regex": "(?i)^default$"}}),
        ('"" 1;', {"user_agent": ["absent", ""]}),
        ("~^$ 1;", {"user_agent": ["absent", ""]}),
        ("~*^(curl|)$ 1;", {"user_agent": ["absent", {"regex": "(?i)^(curl|)$"}]}),
        ("~*good 0; ~*thief 1;", {"user_agent": {"regex": "(?i)thief"}, "not": {"user_agent": {"regex": "(?i)good"}}}),
        ("~*thief 1; ~*good 0;", {"user_agent": {"regex": "(?i)thief"}}),
        ("~a{2}x 1;", {"user_agent": {"regex": "a{2}x"}}),
        ("# ~*curl 1;\n~*wget 1; # and no more\n", {"user_agent": {"regex": "(?i)wget"}}),
        ("~*alpha slow; ~*beta stop;", {"user_agent": {"regex": ["(?i)alpha", "(?i)beta"]}}),
    ],
)
def test_a_map_that_is_tested_becomes_a_condition(lines: str, when: dict[str, Any]) -> None:
    assert mapped(lines) == [(when, "reject")]


@pytest.mark.parametrize(
    ("test", "when"),
    [
        ("$bad = 1", {"user_agent": {"regex": "(?i)thief"}, "not": {"user_agent": {"regex": "(?i)good"}}}),
        ("$bad = 0", {"any": [{"user_agent": {"regex": "(?i)good"}}, {"not": {"user_agent": {"regex": "(?i)thief"}}}]}),
        ("$bad !~ 1", {"any": [{"user_agent": {"regex": "(?i)good"}}, {"not": {"user_agent": {"regex": "(?i)thief"}}}]}),
        ("$bad != 0", {"user_agent": {"regex": "(?i)thief"}, "not": {"user_agent": {"regex": "(?i)good"}}}),
        ("$bad ~ ^[12]$", {"user_agent": {"regex": "(?i)thief"}, "not": {"user_agent": {"regex": "(?i)good"}}}),
    ],
)
def test_the_polarity_of_the_test_is_read(test: str, when: dict[str, Any]) -> None:
    assert mapped("default 0; ~*good 0; ~*thief 1;", test=test) == [(when, "reject")]


@pytest.mark.parametrize(
    ("source", "lines", "when"),
    [
        ("$http_referer", "~*spam 1;", {"header.referer": {"regex": "(?i)spam"}}),
        ("$http_x_key", '"" 1;', {"header.x-key": ["absent", ""]}),
        ("$host", "old.example.org 1;", {"host": "old.example.org"}),
        ("$host", "hostnames; *.old.example 1;", {"host": {"suffix": ".old.example"}}),
        ("$uri", "~^/old 1;", {"path": {"regex": "^/old"}}),
        ("$cookie_seen", "~^no 1;", {"cookie.seen": {"regex": "^no"}}),
        ("$arg_q", "~drop 1;", {"query.q": {"regex": "drop"}}),
        ("$remote_addr", "192.0.2.7 1;", {"client": "192.0.2.7"}),
        ("$remote_addr", r"~^192\.0\.2\. 1;", {"client": "192.0.2.0/24"}),
        ("$request_method", "TRACE 1;", {"method": "TRACE"}),
        ("$server_protocol", '"HTTP/1.0" 1;', {"http_version": "1.0"}),
        ("$args", "~*union 1;", {"query_string": {"regex": "(?i)union"}}),
        ("$request_uri", r"~^/x\?y= 1;", {"path": {"regex": "^/x$"}, "query_string": {"regex": "^y="}}),
        ("$request_uri", "~*evil 1;", {"any": [{"path": {"regex": "(?i)evil"}}, {"query_string": {"regex": "(?i)evil"}}]}),
        ("$host$uri", "example.org/x 1;", {"host": "example.org", "path": "/x"}),
    ],
)
def test_a_map_may_be_of_another_field(source: str, lines: str, when: dict[str, Any]) -> None:
    assert mapped(lines, source) == [(when, "reject")]


@pytest.mark.parametrize(
    ("text", "when"),
    [
        (
            "map $http_user_agent $a { ~bad 1; } map $a $b { 1 yes; } if ($b = yes) { return 403; }",
            {"user_agent": {"regex": "bad"}},
        ),
        (
            (
                "map $http_user_agent $a { ~bad 1; default 0; } geo $g { 192.0.2.0/24 1; default 0; } "
                'map "$a$g" $b { 11 1; } if ($b) { return 403; }'
            ),
            {"user_agent": {"regex": "bad"}, "client": "192.0.2.0/24"},
        ),
        (
            'set $x ""; if ($arg_a) { set $x "${x}A"; } if ($arg_b = 1) { set $x "${x}B"; } if ($x = AB) { return 403; }',
            {"query.b": "1", "not": {"query.a": ["absent", "", "0"]}},
        ),
        (
            "set $x 0; if ($arg_a = 1) { set $x 1; } if ($arg_b = 1) { set $x 0; } if ($x) { return 403; }",
            {"query.a": "1", "not": {"query.b": "1"}},
        ),
        (
            "geo $g { 192.0.2.0/24 1; 192.0.2.7 0; } if ($g) { return 403; }",
            {"client": "192.0.2.0/24", "not": {"client": "192.0.2.7"}},
        ),
        ("if ($http_user_agent ~* (a|b)) { return 403; }", {"user_agent": {"regex": "(?i)(a|b)"}}),
        ('if ($http_user_agent = "") { return 403; }', {"user_agent": ["absent", ""]}),
        ("if ( $http_user_agent !~ good ) { return 403; }", {"not": {"user_agent": {"regex": "good"}}}),
        ("if ($request_method !~ ^(GET|HEAD)$ ) { return 403; }", {"not": {"method": ["GET", "HEAD"]}}),
        ("location ~ /\\.git { deny all; }", {"path": {"regex": r"/\.git"}}),
        ("location = /x { return 403; }", {"path": "/x"}),
        ("location ^~/x/ { return 403; }", {"path": {"prefix": "/x/"}}),
        (
            "location /a/ { deny all; location /a/b/ { allow all; } }",
            {"path": {"prefix": "/a/"}, "not": {"path": {"prefix": "/a/b/"}}},
        ),
        ("deny 192.0.2.1; deny 198.51.100.0/24;", {"client": ["192.0.2.1", "198.51.100.0/24"]}),
        ("location /a { allow 192.0.2.1; deny all; }", {"path": {"prefix": "/a"}, "not": {"client": "192.0.2.1"}}),
        ("location /a { limit_except GET { deny all; } }", {"path": {"prefix": "/a"}, "not": {"method": ["GET", "HEAD"]}}),
        (
            "server { server_name a.example; if ($arg_x) { return 403; } }",
            {"host": "a.example", "not": {"query.x": ["absent", "", "0"]}},
        ),
    ],
)
def test_what_refuses_becomes_a_rule(text: str, when: dict[str, Any]) -> None:
    assert rules_of("nginx", text) == [(when, "reject")]


@pytest.mark.parametrize(
    ("status", "action"),
    [("403", "reject"), ("444", "drop"), ("429", {"reject": {"status": "429"}}), ("503", {"reject": {"status": "503"}})],
)
def test_the_status_is_carried(status: str, action: Any) -> None:
    assert rules_of("nginx", f"if ($arg_x = 1) {{ return {status}; }}") == [({"query.x": "1"}, action)]


@pytest.mark.parametrize(
    ("text", "when", "limit"),
    [
        (
            "limit_req_zone $binary_remote_addr zone=z:1m rate=5r/s; location /a { limit_req zone=z burst=10 nodelay; }",
            {"path": {"prefix": "/a"}},
            {"rate": "5/second", "burst": "11", "per": ["client"]},
        ),
        (
            "limit_req_zone $binary_remote_addr$uri zone=z:1m rate=30r/m; limit_req zone=z;",
            {},
            {"rate": "30/minute", "burst": "1", "per": ["client", "path"], "missing": "skip"},
        ),
        (
            "limit_req_zone $server_name zone=z:1m rate=5r/s; limit_req zone=z;",
            {},
            {"rate": "5/second", "burst": "1", "per": ["host"], "missing": "skip"},
        ),
        (
            'map $http_user_agent $k { default ""; ~*bot $remote_addr; } limit_req_zone $k zone=z rate=1r/s; limit_req zone=z;',
            {"user_agent": {"regex": "(?i)bot"}},
            {"rate": "1/second", "burst": "1", "per": ["client"]},
        ),
        (
            'map $http_user_agent $k { default ""; ~*bot all; } limit_req_zone $k zone=z:1m rate=1r/s; limit_req zone=z;',
            {"user_agent": {"regex": "(?i)bot"}},
            {"rate": "1/second", "burst": "1", "per": ["site"]},
        ),
        (
            "limit_conn_zone $binary_remote_addr zone=c:1m; location = /a { limit_conn c 5; }",
            {"path": "/a"},
            {"concurrent": "5", "per": ["client"]},
        ),
    ],
)
def test_a_zone_becomes_a_limit_where_it_is_used(text: str, when: dict[str, Any], limit: dict[str, Any]) -> None:
    assert limits_of("nginx", text) == [(when, limit)]


@pytest.mark.parametrize(
    "text",
    [
        "map $http_upgrade $upgrade { default upgrade; '' close; } server { proxy_set_header Connection $upgrade; }",
        "map $http_accept $suffix { default ''; ~*webp .webp; } server { try_files $uri$suffix $uri =404; }",
        "map $http_x_forwarded_proto $proto { default https; http http; }",
        "map $http_user_agent $logged { ~*bot 0; default 1; } access_log /var/log/x combined if=$logged;",
    ],
)
def test_a_map_that_refuses_nobody_becomes_no_rule_and_is_named(text: str) -> None:
    draft = draft_of("nginx", text)
    assert draft.rules == []
    assert all("nothing in these files refuses by it" in str(note) for note in draft.notes)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            r"map $http_user_agent $x { ~(a)\1 1; } if ($x) { return 403; }",
            r"line 1: '~(a)\1' in the map $x was left out: '(a)\1': the regex is not valid: the back-reference \1 is not",
        ),
        ("map $http_user_agent $x { a b c; } if ($x) { return 403; }", "line 1: 'a' is not a line of a map: it has 3 parts"),
        ("include x.conf;", "line 1: not followed: include x.conf: there is no such file beside this one"),
        (
            "map $cookie_a-$remote_addr $x { a 1; } if ($x) { return 403; }",
            "line 1: 'a' in the map $x was left out: '$cookie_a-$remote_addr' is composed",
        ),
        (
            'map "$http_user_agent:$uri" $x { ~a 1; } if ($x) { return 403; }',
            "line 1: '~a' in the map $x was left out: '$http_user_agent:$uri' is comp",
        ),
        (
            "if ($geoip_country_code = XX) { return 403; }",
            "line 1: if ($geoip_country_code = XX) was left out: $geoip_country_code: rules know no",
        ),
        (
            "if (-f $request_filename) { return 403; }",
            "line 1: if (-f $request_filename) was left out: rules do not see the site's files",
        ),
        ("location /x { auth_basic hello; }", "line 1: auth_basic was left out: it goes by a log-in"),
        ("limit_req zone=z;", "line 1: limit_req z was left out: its zone is not in these files"),
        (
            "location / { satisfy any; allow 192.0.2.1; deny all; }",
            "line 1: deny was left out: satisfy any lets people in who log in",
        ),
        ("deny all;", "line 1: deny all was left out: it would refuse every request"),
        ('if ($arg_x = "") { return 401; }', "line 1: a refusal with 401 was left out: it asks for a log-in"),
        ("if ($http_user_agent ~ (a;b)) { return 403; }", "line 1: if ($http_user_agent ~ (a was left out: no block follows it"),
        ("server {\ndeny 192.0.2.1;\n", "line 1: the block of 'server' is not closed"),
        ("limit_req off;", "line 1: limit_req off was left out: its zone is not in these files"),
        ("if ($arg_x = 1) { return 405; }", "line 1: the status 405 became 403: a rule cannot answer with 405"),
        (
            "access_by_lua_block { if x then return { 1 } end }",
            "line 1: access_by_lua_block was left out: it goes by a program in Lua",
        ),
    ],
)
def test_what_a_rule_cannot_say_is_noted(text: str, note: str) -> None:
    assert notes_of("nginx", text)[0].startswith(note)


def test_braces_in_texts_and_comments_of_lua_close_nothing() -> None:
    lua = "access_by_lua_block {\nlocal x = \"}\" -- }\n--[[ } ]] local y = [=[ } ]=] if x then y = '\\'}' end\n}"
    text = lua + "\nif ($arg_a = 1) { return 403; }"
    assert rules_of("nginx", text) == [({"query.a": "1"}, "reject")]


def test_a_default_server_answers_for_the_hosts_that_no_other_has() -> None:
    text = "server { listen 80 default_server; return 444; } server { server_name a.example; }"
    assert rules_of("nginx", text) == [({"not": {"host": "a.example"}}, "drop")]


def test_a_limit_is_not_inherited_where_there_is_another() -> None:
    text = (
        "limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s; limit_req_zone $binary_remote_addr zone=b:1m rate=9r/s; "
        "server { limit_req zone=a; location /b/ { limit_req zone=b; } }"
    )
    assert [when for when, _ in limits_of("nginx", text)] == [{"not": {"path": {"prefix": "/b/"}}}, {"path": {"prefix": "/b/"}}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing in this file refuses or limits anybody"),
        ("server { listen 80; }", "nothing in this file refuses or limits anybody"),
        ("map $arg_a $m { 1 1; } server { if ($m) { return 302 /b; } }", "nothing in this file refuses or limits anybody"),
        ("} } ;", "line 1: a } without its {"),
        ('access_by_lua_block { local x = "}" -- }', "line 1: a block of Lua that is not closed"),
        ('map $a $b {\n~*curl 1;\n"~*wget 1;\n}', "line 3: a quote that is not closed"),
        ("a {" * 60 + "}" * 60, "blocks or includes are more than 50 deep"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(ImportFault, match=said):
        draft_of("nginx", text)


def test_the_names_of_the_server_are_valid_referers_in_its_locations() -> None:
    text = "server { server_name a.example; location /i/ { valid_referers server_names; if ($invalid_referer) { return 403; } } }"
    [(when, _)] = rules_of("nginx", text)
    assert when["not"] == {"header.referer": {"regex": r"(?i)^https?://a\.example(?::\d+)?(?:/|$)"}}


DUMP = """\
nginx: configuration file /etc/nginx/nginx.conf test is successful
# configuration file /etc/nginx/nginx.conf:
http {
    include conf.d/*.conf;
    include /etc/nginx/gone.conf;
}
# configuration file /etc/nginx/conf.d/shop.conf:
server {
    server_name shop.example;
    location /admin {
        include /etc/nginx/office.conf;
        deny all;
    }
    location /stock { return 405; }
}
# configuration file /etc/nginx/office.conf:
allow 192.0.2.0/24;
"""


def test_the_output_of_nginx_t_is_read_as_the_files_that_it_shows() -> None:
    admin, stock = rules_of("nginx", DUMP)
    assert admin[0] == {"host": "shop.example", "path": {"prefix": "/admin"}, "not": {"client": "192.0.2.0/24"}}
    assert stock[0] == {"host": "shop.example", "path": {"prefix": "/stock"}}
    assert notes_of("nginx", DUMP) == [
        "line 5: not followed: include /etc/nginx/gone.conf: there is no such file beside this one",
        "line 14: the status 405 became 403: a rule cannot answer with 405",
    ]


@pytest.mark.parametrize("line", ["include office.conf", "allow 192.0.2.10/200", "allow office.example"])
def test_nobody_is_refused_whom_an_unknown_line_may_let_in(line: str) -> None:
    text = f"server {{ location /admin {{ {line}; deny all; }} }}"
    assert rules_of("nginx", text) == []
    assert f"line 1: deny all was left out: whom '{line}' lets in is not known" in notes_of("nginx", text)
    assert rules_of("nginx", text.replace("deny all", "deny 192.0.2.7")) != []


def test_dot_files_but_for_those_of_certificate_authorities() -> None:
    [(when, _)] = rules_of("nginx", r"server { location ~ /\.(?!well-known) { deny all; } }")
    pattern = when["path"]["regex"]
    assert [re.search(pattern, path) is not None for path in ("/.env", "/.well-known/acme-challenge/x")] == [True, False]
