"""The queue: entries that wait, leased to workers in fair shares and closed by token."""
