"""Octet side by side with demucs' own program, in one run on one machine."""
