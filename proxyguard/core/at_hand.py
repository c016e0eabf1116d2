"""Tables of what was found before, by what clients choose: bounded, as they would fill them."""

from __future__ import annotations


def keep_at_hand[K, V](table: dict[K, V], most: int, key: K, value: V) -> V:
    """Keep what was found, of which there are `most` at most: a table that is full begins anew. Returns it.

    To push out the oldest would cost each look a note of its time. Whoever has the table emptied costs others one search each.
    """
    if len(table) >= most:
        table.clear()
    table[key] = value
    return value
