"""The strip map."""
