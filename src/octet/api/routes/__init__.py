"""The routes of the API, one noun a module."""
