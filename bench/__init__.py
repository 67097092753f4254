"""Measures what this project claims about speed, beside its peers, as ratios within one run: `python -m bench`."""

__all__: list[str] = []
