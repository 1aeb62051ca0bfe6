"""A separation's identity and its published result."""
