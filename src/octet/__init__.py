"""Octet: music separation. One song in, eight aligned files out."""

__version__ = "0.1.0"
