"""Values and rows that fit an Arrow schema: what tests take where a column matters to nobody."""

import functools

import pyarrow as pa


def value(type_: pa.DataType):
    """A value of an Arrow type."""
    if pa.types.is_list(type_):
        return [value(type_.value_type)] * 2
    return pa.scalar("é\n" if pa.types.is_string(type_) else 1).cast(type_).as_py()


@functools.cache
def _row(schema: pa.Schema) -> dict:
    return {field.name: value(field.type) for field in schema}


def filled(row: dict, schema: pa.Schema) -> dict:
    """The row with a value in every column of the schema that it lacks."""
    return {**_row(schema), **row}
