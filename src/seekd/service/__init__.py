"""One request's life; the only room that joins prompt, engine, accounts and models."""
