"""The records database: its tables, its transactions and its migrations, on SQLite and on PostgreSQL."""
