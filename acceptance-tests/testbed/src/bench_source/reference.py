"""Reads all rows of a table as records through the reference connector, keeps none, and prints the milliseconds.

Usage: reference.py URL TABLE
"""

import asyncio
import dataclasses
import sys
import time

import asyncpg
from cocoindex.connectors import postgres

URL, TABLE = sys.argv[1:]


@dataclasses.dataclass
class Product:
    id: int
    name: str
    price: float
    embedding: str


async def main() -> None:
    async with asyncpg.create_pool(URL, min_size=1) as pool:
        start = time.perf_counter()
        source = postgres.PgTableSource(pool, table_name=TABLE, row_type=Product)
        rows = 0
        async for _ in source.fetch_rows():
            rows += 1
        print(round((time.perf_counter() - start) * 1000), 0, rows)


asyncio.run(main())
