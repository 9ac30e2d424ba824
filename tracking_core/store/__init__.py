"""The stores: PostgreSQL and SQLite behind one set of Protocols (base.py)."""
