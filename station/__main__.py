"""`python -m station`: the command, for where no script is installed."""

from station.command import main

main()
