"""Who the bundled rules stop, on data that they were not written from: see `docs/accuracy.md`."""
