"""Settings of an audit, read and checked; nothing here knows what they are for."""
