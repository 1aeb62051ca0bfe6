"""Models: from a name, a folder or a file to networks that can run."""
