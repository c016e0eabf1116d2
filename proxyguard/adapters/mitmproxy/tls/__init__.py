"""TLS with clients: certificates by name, the handshake and its bounds."""
