"""The pages for people, and the routes that serve them. They know the server by its HTTP API only."""
