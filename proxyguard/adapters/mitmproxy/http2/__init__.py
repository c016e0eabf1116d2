"""HTTP/2 connections: the layer that orders events, and its streams."""
