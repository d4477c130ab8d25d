"""Payloads of Sparkplug B: metrics and data sets as protocol buffers. Pure.

Field numbers and data types are those of sparkplug_b.proto, chapter 6.4 of the Sparkplug 3.0 specification.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from station.gateways.mqtt.protobuf import as_bytes, as_double, as_number, fields

__all__ = ["DataSet", "DataType", "Metric", "Payload", "Scalar", "Value", "decode", "encode"]


class DataType(IntEnum):
    """The data types that a station uses."""

    UNKNOWN = 0
    INT64 = 4
    UINT32 = 7
    UINT64 = 8
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    """Milliseconds since 1970 UTC."""
    DATA_SET = 16


Scalar: TypeAlias = int | float | bool | str | None


@dataclass(frozen=True, slots=True)
class DataSet:
    """A table; a cell without a value is None."""

    columns: tuple[str, ...]
    types: tuple[DataType, ...]
    rows: tuple[tuple[Scalar, ...], ...]


Value: TypeAlias = Scalar | DataSet


@dataclass(frozen=True, slots=True)
class Metric:
    """A value by its name, or after a birth that told both by its alias alone."""

    name: str
    """Empty where the alias stands for it; then its type is not sent either."""
    datatype: DataType
    value: Value
    timestamp_ms: int
    alias: int | None = None
    is_historical: bool = False


@dataclass(frozen=True, slots=True)
class Payload:
    """A message of Sparkplug."""

    timestamp_ms: int
    metrics: tuple[Metric, ...]
    seq: int | None = None
    """0 to 255; deaths by will and commands have none."""


def encode(payload: Payload) -> bytes:
    """Return `payload` as it is sent."""
    parts = [as_number(1, payload.timestamp_ms)]
    parts += [as_bytes(2, _metric(metric)) for metric in payload.metrics]
    if payload.seq is not None:
        parts.append(as_number(3, payload.seq))
    return b"".join(parts)


def decode(message: bytes) -> Payload:
    """Return what stands in `message`, whatever is a station's own kind of value; others are None.

    Raises `ValueError` for what is no payload.
    """
    timestamp_ms, seq, metrics = 0, None, []
    for field, value in fields(message):
        match field, value:
            case 1, int():
                timestamp_ms = value
            case 2, bytes():
                metrics.append(_read_metric(value))
            case 3, int():
                seq = value
    return Payload(timestamp_ms, tuple(metrics), seq)


def _metric(metric: Metric) -> bytes:
    parts = [as_bytes(1, metric.name.encode())] if metric.name else []
    if metric.alias is not None:
        parts.append(as_number(2, metric.alias))
    parts.append(as_number(3, metric.timestamp_ms))
    if metric.name:
        parts.append(as_number(4, metric.datatype))
    if metric.is_historical:
        parts.append(as_number(5, 1))
    if metric.value is None:
        parts.append(as_number(7, 1))
    elif isinstance(metric.value, DataSet):
        parts.append(as_bytes(17, _data_set(metric.value)))
    else:
        parts.append(_scalar(10, metric.datatype, metric.value))
    return b"".join(parts)


def _scalar(first: int, datatype: DataType, value: Scalar) -> bytes:
    """Return `value` as one of the six fields from `first` on: int, long, float, double, boolean, string."""
    match datatype:
        case DataType.BOOLEAN:
            return as_number(first + 4, bool(value))
        case DataType.STRING:
            return as_bytes(first + 5, str(value).encode())
        case DataType.DOUBLE:
            return as_double(first + 3, float(value or 0))
        case DataType.UINT32:
            return as_number(first, int(value or 0))
        case _:
            return as_number(first + 1, int(value or 0) % 2**64)


def _data_set(table: DataSet) -> bytes:
    parts = [as_number(1, len(table.columns))]
    parts += [as_bytes(2, column.encode()) for column in table.columns]
    parts += [as_number(3, datatype) for datatype in table.types]
    parts += [as_bytes(4, _row(table.types, row)) for row in table.rows]
    return b"".join(parts)


def _row(types: Sequence[DataType], row: Sequence[Scalar]) -> bytes:
    cells = zip(types, row, strict=True)
    return b"".join(as_bytes(1, b"" if value is None else _scalar(1, datatype, value)) for datatype, value in cells)


def _read_metric(message: bytes) -> Metric:
    found = dict(fields(message))
    name, kind, alias, timestamp_ms = found.get(1, b""), found.get(4, 0), found.get(2), found.get(3, 0)
    if not isinstance(name, bytes) or not isinstance(timestamp_ms, int) or isinstance(alias, bytes):
        raise ValueError("a metric whose name, alias or time is of another kind")
    datatype = DataType(kind) if kind in set(DataType) else DataType.UNKNOWN
    return Metric(name.decode(), datatype, _read_value(found, datatype), timestamp_ms, alias, found.get(5, 0) == 1)


def _read_value(found: dict[int, int | bytes], datatype: DataType) -> Scalar:
    match [(field, found[field]) for field in (10, 11, 13, 14, 15) if field in found]:
        case [(10 | 11, int(number))]:
            return number - 2**64 if datatype == DataType.INT64 and number >= 2**63 else number
        case [(13, bytes(packed))] if len(packed) == 8:
            return float(struct.unpack("<d", packed)[0])
        case [(14, int(number))]:
            return bool(number)
        case [(15, bytes(text))]:
            return text.decode()
        case _:
            return None
