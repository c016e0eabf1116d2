"""Data that comes with proxyguard. `browsers/` holds user agents and header sets of real browsers; see NOTICE."""
