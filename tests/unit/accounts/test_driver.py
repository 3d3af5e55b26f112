from seekd.accounts.driver import statement


def test_a_statement_is_written_for_both_databases() -> None:
    query = statement("""
        SELECT a::text FROM t WHERE id = :id
        AND name IN_LIST(:names) ORDER BY id FOR UPDATE
    """)
    assert query.sqlite == (
        "SELECT a::text FROM t WHERE id = :id AND name IN (SELECT value FROM json_each(:names)) ORDER BY id"
    )
    assert query.postgresql == (
        "SELECT a::text FROM t WHERE id = %(id)s AND name = ANY(%(names)s) ORDER BY id FOR UPDATE"
    )
