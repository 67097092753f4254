"""Consent-gated support tunnels: see docs/ for the pages, core/ports.py for the seams."""

__version__ = "0.1.0"
