"""Read a parquet file as a table."""

from pathlib import Path
from typing import Any

from ktune.data.files import check_file, suspicious_column
from ktune.data.table_format import ReadTable
from ktune.data.unpacking import check_unpacked
from ktune.errors import DataError


def unpacked_bytes(source: Any) -> int:
    """Return the least number of bytes that a parquet file unpacks to.

    Args:
        source: Its path as text, or a binary stream.
    """
    from pyarrow import parquet

    about = parquet.read_metadata(source)
    groups = (about.row_group(index) for index in range(about.num_row_groups))
    packed = sum(group.total_byte_size for group in groups)
    # Repeated values are compressed to nothing: count at least a byte for each.
    return int(max(packed, about.num_rows * about.num_columns))


def read_parquet(
    path: Path, given: object = None, expected: object = None
) -> ReadTable:
    """Read a parquet file.

    Raises:
        DataError: The file is missing, damaged or not a parquet file.
    """
    import pyarrow
    from pyarrow import parquet

    check_file(path)
    try:
        check_unpacked(path, unpacked_bytes(str(path)))
        table = parquet.read_table(str(path))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: no readable parquet file ({error}).") from error
    problem = suspicious_column(table.column_names)
    if problem:
        raise DataError(f"{path}: {problem}")
    for index, field in enumerate(table.schema):
        if pyarrow.types.is_decimal(field.type):  # NumPy has no decimals
            numbers = table.column(index).cast(pyarrow.float64())
            table = table.set_column(index, field.name, numbers)
    frame = table.to_pandas(date_as_object=False, self_destruct=True, split_blocks=True)
    return ReadTable(frame.rename(columns=str))
