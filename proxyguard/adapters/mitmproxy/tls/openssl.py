"""What is used of pyOpenSSL. Apart from `private`: certificates are looked at by commands that load no proxy."""

from __future__ import annotations

from OpenSSL import SSL, crypto

__all__ = ["SSL", "crypto"]
