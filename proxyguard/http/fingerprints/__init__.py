"""What a connection speaks like: its hello, its HTTP/2, the order of its fields; and where that contradicts the user agent."""
