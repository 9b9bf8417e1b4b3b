"""Reads the rows of a DuckDB file for the checks."""

from pathlib import Path


def query(database: Path, sql: str) -> list:
    """Returns the rows of a query as dictionaries. The file is closed again: only one process may have it open."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def table(database: Path, name: str) -> tuple:
    """Returns all rows of a table, and the names of its columns."""
    rows = query(database, f"SELECT * FROM {name}")
    columns = {row["column_name"] for row in query(database, f"DESCRIBE {name}")}
    return rows, columns
