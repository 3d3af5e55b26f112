"""One request's life; the only package that joins prompt, engine, accounts and models."""
