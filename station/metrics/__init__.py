"""What Prometheus sees of the station, and the small server that shows it."""

from station.metrics.health import Health
from station.metrics.server import MetricsServer
from station.metrics.sink import Metrics

__all__ = ["Health", "Metrics", "MetricsServer"]
