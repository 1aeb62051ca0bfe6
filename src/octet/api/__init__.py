"""The API: songs in, jobs and tracks out, over HTTP. Imports nothing that computes."""
