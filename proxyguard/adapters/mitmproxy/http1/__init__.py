"""HTTP/1 connections: the layer that orders events, the pipeline of requests, the writer of responses."""
