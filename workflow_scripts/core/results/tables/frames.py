"""Types of rows as columns, by name alone: whoever only reads a table's schema does not wait for pandas."""

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pandas

Frame: TypeAlias = "pandas.DataFrame"
Column: TypeAlias = "pandas.Series"
