"""Songs that come in, for the API and for workers: what they are, and who fetches them."""
