"""Every request to an address that a client named: callbacks, events, and imports by URL."""
