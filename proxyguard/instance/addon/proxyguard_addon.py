"""The script for `mitmdump -s`, `mitmweb -s`, `mitmproxy -s`; `proxyguard addon` prints its path.

mitmproxy puts the folder of a script at the head of the module path while it loads it: nothing here may be called as a module
that somebody imports.
"""

from proxyguard.instance.addon.addon_options import ProxyguardAddon

_addon = ProxyguardAddon()

addons = [_addon, _addon.hooks]
