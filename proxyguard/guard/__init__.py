"""One request through engine, store and telemetry, with a deadline and a failure mode."""
