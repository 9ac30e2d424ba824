"""What the tests stand on: a real PostgreSQL, a proxy, a pooler, a terminal."""
