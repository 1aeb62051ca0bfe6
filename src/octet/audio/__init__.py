"""Songs' files into blocks of samples, and blocks into files.

A block is float32 of shape (2, n), full scale ±1.
"""
