"""Fitting, exporting and evaluating the networks: `station train`. Never imported by the daemon."""

import shadowline  # noqa: F401 - first: it silences ONNX Runtime
