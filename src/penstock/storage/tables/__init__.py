"""Tables of the lake on Apache Iceberg: written on branches, published at once, read by files and field ids."""
