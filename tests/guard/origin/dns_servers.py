"""A DNS server on loopback, over UDP and TCP, that answers from a zone, or as badly as it is told to."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from proxyguard.core.origin_settings import Nameserver

Zone = dict[tuple[str, str], list[str]]
"""Texts of records by name (with its dot at the end) and type. A name that has none of another type is there all the same."""

Reply = Callable[[bytes], bytes | None]


class DnsServer:
    """Answers with `reply`; counts what it was asked over which transport."""

    def __init__(self, reply: Reply, tcp_reply: Reply | None = None) -> None:
        self._reply = reply
        self._tcp_reply = tcp_reply or reply
        self.asked: Counter[str] = Counter()
        self._udp, self._tcp = _same_port()
        self.address = Nameserver("127.0.0.1", self._udp.getsockname()[1])
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    def _serve_udp(self) -> None:
        self._udp.settimeout(0.01)
        while not self._ends.is_set():
            try:
                query, peer = self._udp.recvfrom(4096)
            except TimeoutError:
                continue
            self.asked["udp"] += 1
            answer = self._reply(query)
            if answer is not None:
                self._udp.sendto(answer, peer)

    def _serve_tcp(self) -> None:
        self._tcp.settimeout(0.01)
        while not self._ends.is_set():
            try:
                connection, _ = self._tcp.accept()
            except TimeoutError:
                continue
            with connection:
                self.asked["tcp"] += 1
                connection.settimeout(2)
                (length,) = struct.unpack("!H", connection.recv(2))
                answer = self._tcp_reply(connection.recv(length))
                if answer is not None:
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    def close(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(5)
        self._udp.close()
        self._tcp.close()


def _same_port() -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a TCP one on the same port, which others may just have taken."""
    for _ in range(50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname())
        except OSError:
            udp.close()
    raise OSError("no port is free for both")


def answer_from(zone: Zone) -> Reply:
    """NXDOMAIN for names that the zone does not have; the reverse name of a public resolver is there."""
    zone = {("8.8.8.8.in-addr.arpa.", "PTR"): ["dns.google."], **zone}

    def reply(query: bytes) -> bytes:
        asked = dns.message.from_wire(query)
        question = asked.question[0]
        name = question.name.to_text().lower()
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        for _ in range(3):
            kind = dns.rdatatype.to_text(question.rdtype)
            if (name, kind) in zone:
                answer.answer.append(dns.rrset.from_text_list(name, 60, "IN", kind, zone[name, kind]))
                break
            if (name, "CNAME") not in zone:
                break
            answer.answer.append(dns.rrset.from_text_list(name, 60, "IN", "CNAME", zone[name, "CNAME"]))
            name = zone[name, "CNAME"][0]
        if not any(known == name for known, _ in zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire(max_size=65535)

    return reply


@contextmanager
def serving(reply: Reply, tcp_reply: Reply | None = None) -> Iterator[DnsServer]:
    server = DnsServer(reply, tcp_reply)
    try:
        yield server
    finally:
        server.close()
