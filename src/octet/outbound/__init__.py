"""What Octet tells others over HTTP, and the guard for every address that clients give."""
