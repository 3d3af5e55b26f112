import re
from collections.abc import Callable

import pytest

from seekd.accounts import statements
from seekd.accounts.driver import Connection, Statement

ALL = {name: value for name, value in vars(statements).items() if isinstance(value, Statement)}


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_statement_fits_the_schema(name: str, connect: Callable[[], Connection]) -> None:
    text = ALL[name].sqlite
    parameters = dict.fromkeys(re.findall(r":([a-z_]+)", text))
    assert connect().rows(Statement(f"EXPLAIN {text}", ""), parameters)
