"""Where counters, bans and notes live: in memory, on another process of this machine, or on Valkey."""
