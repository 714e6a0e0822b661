"""`python -m deploy` is `relais`."""

from deploy.cli import main

main()
