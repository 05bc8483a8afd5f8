"""``python -m audit``."""

from audit.cli.commands import main

main()
