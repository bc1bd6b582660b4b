"""Bytes by key: in a folder, in S3, in memory, and small ones as rows of the records database."""
