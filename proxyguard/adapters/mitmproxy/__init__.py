"""The front on mitmproxy's proxy core: its layers and TLS, our connection driver, HTTP/1 lane, upstream pool and tarpits."""
