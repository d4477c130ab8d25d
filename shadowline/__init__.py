"""The floor under every package: the version, the one error tree, and silence towards the outside.

Imports nothing of ours; `engines` and `training` import it before they load ONNX Runtime.
"""

import os

__version__ = "0.1.0"

# From 1.29 on, ONNX Runtime on Linux reports models and hardware to its maker unless this is set before it is loaded,
# and keeps a database in the user's cache. A station tells nobody about itself.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
