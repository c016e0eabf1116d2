"""One request with libsoup 3, as programs of GNOME make it: `python3 soup.py URL HEADERS`, the last as a JSON object."""

import json
import sys

import gi  # type: ignore[import-not-found]  # of the machine's own Python

gi.require_version("Soup", "3.0")
from gi.repository import Soup  # type: ignore[import-not-found]  # noqa: E402 - its version has to be chosen first

url, headers = sys.argv[1], json.loads(sys.argv[2])
message = Soup.Message.new("GET", url)
message.connect("accept-certificate", lambda *_: True)
for name, value in headers.items():
    message.get_request_headers().replace(name, value)
Soup.Session().send_and_read(message, None)
