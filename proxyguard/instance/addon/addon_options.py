"""The addon's options in mitmproxy, and what they open: rules and settings that are right, or none at all."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from proxyguard.adapters.mitmproxy_addon.hooks import FlowHooks
from proxyguard.adapters.mitmproxy_addon.public import Loader, OptionsError, ctx, options_error, set_options
from proxyguard.core.problems import name_hint
from proxyguard.instance.addon.addon_instance import AddonInstance, open_instance
from proxyguard.instance.loaded_rules import RulesRejected

logger = logging.getLogger(__name__)

OPTIONS: Final = {
    "proxyguard_rules": "Rules: a folder of rule sets, or bundled. Default: `rules` of the settings, which is ./rules.",
    "proxyguard_config": "Settings file of proxyguard. Default: $PROXYGUARD_CONFIG, else ./proxyguard.yaml, if there is one.",
}
"""All of them texts, empty by default."""

MITMPROXY_OPTIONS: Final = {"keep_host_header": True, "connection_strategy": "lazy", "onboarding": False}
"""What must be so in mitmproxy: rules see the Host that the client sent, the site is not connected to for clients that are
refused, and no page of mitmproxy (mitm.it) is served in its place."""


WITHOUT_RULES: Final = (
    "proxyguard has no rules, so no request passes; they are set with --set proxyguard_rules=DIR, settings with "
    "--set proxyguard_config=FILE"
)


class ProxyguardAddon:
    """An addon of mitmproxy that has `hooks` serve the rules that its options name."""

    name = "proxyguard"

    def __init__(self) -> None:
        self.hooks = FlowHooks()
        self._instance: AddonInstance | None = None
        self._opened = ("", "")
        self._is_running = False
        self._stopping: set[asyncio.Task[None]] = set()

    def load(self, loader: Loader) -> None:
        """Make the options known. What is wrong with them is logged: an error in the log ends mitmproxy at its start."""
        for name, text in OPTIONS.items():
            loader.add_option(name, str, "", text)
        try:
            ctx.options.process_deferred()
        except OptionsError as error:  # mitmproxy would go on without the addon, and without a word
            logger.error("proxyguard: %s", error)  # noqa: TRY400 - the message says it
            raise
        for name in ctx.options.deferred:  # of which mitmproxy says nothing
            if name.startswith("proxyguard"):
                logger.error("proxyguard: unknown option %s\n  hint: %s", name, name_hint(name, list(OPTIONS), "options"))

    def configure(self, updated: set[str]) -> None:
        """Open what the options name. Wrong rules raise OptionsError when others are in force, and are logged at the start."""
        wanted = (ctx.options.proxyguard_rules, ctx.options.proxyguard_config)
        if not updated & OPTIONS.keys() or (self._instance is not None and wanted == self._opened):
            return  # the second: mitmproxy takes back a change that was refused
        try:
            instance = open_instance(*wanted)
        except RulesRejected as error:
            if self._instance is not None:
                raise options_error(f"refused, and what was in force stays:\n{error.report}") from error
            logger.error("%s\n%s", error.report.rstrip(), WITHOUT_RULES)  # noqa: TRY400 - the report is the message
            return
        self._close()
        self._instance, self._opened = instance, wanted
        self.hooks.services = instance.services
        set_options(**MITMPROXY_OPTIONS)
        if self._is_running:
            instance.start()

    def running(self) -> None:
        """mitmproxy listens."""
        if not self._is_running:
            self._is_running = True
            for mode in ctx.options.mode:
                if not mode.startswith("reverse:"):
                    logger.warning("proxyguard guards a site, so mitmproxy should run with --mode reverse:URL, not %s", mode)
            if self._instance is not None:
                self._instance.start()

    def done(self) -> asyncio.Task[None] | None:
        """mitmproxy ends, or drops the script. It waits for the task where it can."""
        return self._close()

    def _close(self) -> asyncio.Task[None] | None:
        instance, self._instance = self._instance, None
        self.hooks.services = None
        if instance is None:
            return None
        task = asyncio.ensure_future(instance.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
        return task
