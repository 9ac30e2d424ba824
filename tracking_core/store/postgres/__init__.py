"""The PostgreSQL store, through psycopg 3."""
