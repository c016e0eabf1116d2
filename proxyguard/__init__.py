"""proxyguard: a scraper firewall in front of web servers, driven by YAML rule sets."""

from typing import Final

__version__: Final = "0.1.0"
