"""That the migrations arrive at these tables is tested in test_migrate.py and, on PostgreSQL, in tests/integration."""

from seekd.accounts.tables import metadata


def test_every_table_has_a_primary_key_and_amounts_are_large_integers() -> None:
    for table in metadata.tables.values():
        assert list(table.primary_key.columns)
        for column in table.columns:
            if column.name.endswith(("_micros", "_at_ms")) or column.name == "micros":
                assert str(column.type) == "BIGINT", (table.name, column.name)
