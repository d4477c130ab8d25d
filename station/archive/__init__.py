"""Evidence: pictures of what was found, with their events, in a folder that keeps its limits by itself.

`archive` and what it leads to belong to the station; `serve` is the process that keeps the files, and loads little.
"""
