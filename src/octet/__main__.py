"""`python -m octet` is the command `octet`."""

from octet.cli import main

main()
