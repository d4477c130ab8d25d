"""Where messages go: the contract and its implementations. Publish thread."""
