"""Spleeter's networks (Deezer), from its files to models that run here."""
