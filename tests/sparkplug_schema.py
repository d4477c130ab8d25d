"""Sparkplug payloads read by Google's library, from the field numbers of the specification: not by our own decoder."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["TYPES", "read", "values"]

TYPES = {4: "Int64", 7: "UInt32", 8: "UInt64", 10: "Double", 11: "Boolean", 12: "String", 13: "DateTime", 16: "DataSet"}
"""Index of data types, chapter 6.4.1."""

_KINDS = {"uint32": 13, "uint64": 4, "float": 2, "double": 1, "bool": 8, "string": 9, "bytes": 12}
_MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "DataSetValue": {
        1: ("int_value", "uint32"),
        2: ("long_value", "uint64"),
        3: ("float_value", "float"),
        4: ("double_value", "double"),
        5: ("boolean_value", "bool"),
        6: ("string_value", "string"),
    },
    "Row": {1: ("elements", "*DataSetValue")},
    "DataSet": {
        1: ("num_of_columns", "uint64"),
        2: ("columns", "*string"),
        3: ("types", "*uint32"),
        4: ("rows", "*Row"),
    },
    "Metric": {
        1: ("name", "string"),
        2: ("alias", "uint64"),
        3: ("timestamp", "uint64"),
        4: ("datatype", "uint32"),
        5: ("is_historical", "bool"),
        6: ("is_transient", "bool"),
        7: ("is_null", "bool"),
        10: ("int_value", "uint32"),
        11: ("long_value", "uint64"),
        12: ("float_value", "float"),
        13: ("double_value", "double"),
        14: ("boolean_value", "bool"),
        15: ("string_value", "string"),
        16: ("bytes_value", "bytes"),
        17: ("dataset_value", "DataSet"),
    },
    "Payload": {
        1: ("timestamp", "uint64"),
        2: ("metrics", "*Metric"),
        3: ("seq", "uint64"),
        4: ("uuid", "string"),
        5: ("body", "bytes"),
    },
}


def _payload() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug.proto", package="s", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in fields.items():
            one = message.field.add(name=field, number=number, label=3 if kind.startswith("*") else 1)
            kind = kind.removeprefix("*")
            if kind in _KINDS:
                one.type = _KINDS[kind]
            else:
                one.type, one.type_name = 11, f".s.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("s.Payload"))


_Payload = _payload()


def read(payload: bytes) -> Any:
    """Return the message in `payload`; raises where it has fields that the specification has not."""
    message = _Payload()
    assert message.ParseFromString(payload) == len(payload)
    assert message.SerializePartialToString() == message.__class__.FromString(payload).SerializePartialToString()
    return message


def values(payload: bytes, names: dict[int, str] | None = None) -> dict[str, Any]:
    """Return the values of `payload` by name, or by the name that its alias has in `names`."""
    return {metric.name or (names or {})[metric.alias]: _value(metric) for metric in read(payload).metrics}


def _value(metric: Any) -> Any:
    if metric.is_null:
        return None
    if metric.HasField("dataset_value"):
        table = metric.dataset_value
        assert table.num_of_columns == len(table.columns) == len(table.types)
        return [dict(zip(table.columns, map(_cell, row.elements), strict=True)) for row in table.rows]
    found = [field for field, _ in metric.ListFields() if field.name.endswith("_value")]
    assert len(found) == 1
    return getattr(metric, found[0].name)


def _cell(cell: Any) -> Any:
    found = cell.ListFields()
    return found[0][1] if found else None
