"""``python -m segship``."""

from segship.cli import main

main()
