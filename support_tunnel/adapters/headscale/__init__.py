"""Headscale's v1 API over HTTPS: `line` sends and judges TLS, `answers` reads, `client` is the port."""
