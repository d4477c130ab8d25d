"""Training finders: what they share is recipe, pictures, pyramid, learning and runs; kinds add theirs. Needs torch."""
