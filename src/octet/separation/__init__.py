"""Blocks of a mix in, blocks of stems out. Knows nothing of files but what a recording is."""
