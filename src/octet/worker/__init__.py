"""The worker: a supervisor that moves songs and results, and a child process that computes."""
