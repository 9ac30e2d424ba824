"""`etlwatch doctor`: runs the promises that are safe to test against the user's own store."""
