"""Reconciles one table with one CSV file of rows after the other, through the reference connector.

Usage: reference.py URL TABLE FOLDER COLUMN=TYPE...; the first column is the primary key. FOLDER is where the connector
keeps what it remembers. Each line of standard input names a file, and is answered by the milliseconds of the update.
"""

import csv
import datetime
import decimal
import pathlib
import sys
import time

import asyncpg
import cocoindex as coco
from cocoindex.connectors import postgres

URL, TABLE, FOLDER, *COLUMNS = sys.argv[1:]
TYPES = dict(column.split("=", 1) for column in COLUMNS)
DATABASE = coco.ContextKey[asyncpg.Pool]("database")
VALUES = {"bigint": int, "numeric": decimal.Decimal, "timestamptz": datetime.datetime.fromisoformat}


@coco.lifespan
async def lifespan(builder):
    builder.settings.db_path = pathlib.Path(FOLDER)
    async with asyncpg.create_pool(URL) as pool:
        builder.provide(DATABASE, pool)
        yield


@coco.fn
async def main(path: str, run: int) -> None:
    columns = {name: postgres.ColumnDef(type=kind, nullable=at > 0) for at, (name, kind) in enumerate(TYPES.items())}
    schema = postgres.TableSchema(columns=columns, primary_key=[next(iter(TYPES))])
    table = await postgres.mount_table_target(DATABASE, TABLE, schema)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            table.declare_row(row={name: VALUES.get(TYPES[name], str)(text) for name, text in row.items()})


for run, line in enumerate(sys.stdin):
    start = time.perf_counter()
    coco.App(coco.AppConfig(name="bench"), main, path=line.strip(), run=run).update_blocking()
    print(round((time.perf_counter() - start) * 1000), flush=True)
