"""Fitting, exporting and evaluating the networks: `station train`. Never imported by the daemon."""
