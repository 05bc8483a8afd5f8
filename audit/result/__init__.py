"""The result of an audit: its schema, and what is put into it."""
