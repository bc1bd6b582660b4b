"""What all tables share: their collection, how constraints are named, and two types."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Integer, MetaData, Text

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
KEY: Final = Text().with_variant(Text(collation="C"), "postgresql")  # so that a prefix is a range
SERIAL: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts by itself in an INTEGER key only
