"""Demucs' own models: where they come from, how they are loaded, how they are converted."""
