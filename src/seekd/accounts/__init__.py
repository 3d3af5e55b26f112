"""Keys, balances, ledger, limits and prices; the only home of SQL."""
