"""Where a counter of the strip is read: a generator a protocol, run by the feed in the encoder thread."""
