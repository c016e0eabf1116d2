"""The dashboard of an instance: its pages and its API, ready to be served on the admin port."""

from __future__ import annotations

import re
from typing import Any

from tornado.web import RequestHandler

from proxyguard.core.settings import Settings
from proxyguard.instance.admin.access import Access
from proxyguard.instance.admin.handlers import Api, Asset, EventStream, OpenApi, Services, SessionPage, ToDashboard
from proxyguard.instance.admin.operations import PATHS, ROOT
from proxyguard.instance.admin.page_files import page_files
from proxyguard.instance.admin.questions import Questions
from proxyguard.instance.control.order_log import OrderLog
from proxyguard.instance.control.server import Instance
from proxyguard.telemetry.metrics import Metrics


class Dashboard:
    """`routes` are paths and who serves them."""

    def __init__(self, instance: Instance, settings: Settings, counts: Metrics, orders: OrderLog) -> None:
        self._access = Access(settings)
        self._services = services = Services(instance, self._access, Questions(instance, orders))
        self.routes: list[tuple[str, type[RequestHandler], dict[str, Any]]] = [
            (r"/(?:dashboard)?", ToDashboard, {"services": services}),
            *(
                (rf"/dashboard/{'' if name == 'index.html' else re.escape(name)}", Asset, {"services": services, "file": file})
                for name, file in page_files().items()
            ),
            (rf"{ROOT}/session", SessionPage, {"services": services}),
            (rf"{ROOT}/openapi\.json", OpenApi, {"services": services}),
            (rf"{ROOT}/events", EventStream, {"services": services}),
            *((ROOT + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path), Api, {"services": services, "path": path}) for path in PATHS),
        ]
        counts.gauge("admin_streams", "Readers of the live feed.", lambda: len(services.feed))
        counts.gauge("admin_streams_refused", "Readers of the live feed that found no room.", lambda: services.feed.refused)
        counts.gauge(
            "admin_requests_refused", "Requests to dashboard and API beyond their pace.",
            lambda: services.strangers.refused + services.known.refused,
        )  # fmt: skip
        counts.gauge("admin_wrong_tokens", "Requests to dashboard and API with a wrong token.", lambda: services.wrong_tokens)

    def configure(self, settings: Settings) -> None:
        """Go by these tokens from the next request on; streams end, and begin anew with them."""
        self._access.configure(settings)
        self._services.feed.stop()

    def stop(self) -> None:
        """End every stream."""
        self._services.feed.stop()
