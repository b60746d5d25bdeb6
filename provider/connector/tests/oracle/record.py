#!/usr/bin/env python3
"""Records what the reference connector decides for random pairs of declarations.

    python3 -m venv /tmp/reference
    /tmp/reference/bin/pip install 'cocoindex[postgres]==1.0.26'
    /tmp/reference/bin/python record.py

It runs CocoIndex's own engine and Postgres connector on a pool that takes every statement and does nothing: first with
the previous declaration, then, with `preview=True`, with the next one. The actions of the preview are what is recorded.
A table that is no longer declared is dropped in the background and has no part in a preview, so the next declaration is
applied as well and its `drop table` is read from the statements; the others are checked against the actions.

No server is needed. The same seed and version give the same recording, byte for byte.
"""

import asyncio
import copy
import gzip
import json
import os
import pathlib
import random
import tempfile
from contextlib import asynccontextmanager

os.environ["COCOINDEX_DISABLE_USAGE_TRACKING"] = "1"

import asyncpg
import cocoindex as coco
from cocoindex._version import __version__ as VERSION
from cocoindex.connectorkits.target import ManagedBy
from cocoindex.connectors import postgres
from cocoindex.connectors.postgres import _target as connector

SEED = 20261126
CASES = 900
RECORDING = pathlib.Path(__file__).with_name("recording.jsonl.gz")

# ---------------------------------------------------------------------------------------------------------------------
# Random declarations
# ---------------------------------------------------------------------------------------------------------------------

KEY_TYPES = ["bigint", "integer", "text", "uuid", "int8", "varchar(50)"]
VECTORS = ["vector(3)", "vector(4)", "halfvec(3)", "VECTOR(3)", "halfvec(4)"]
TYPES = [
    "bigint", "int8", "integer", "smallint", "text", "varchar(50)", "character varying(50)", "varchar(20)", "boolean",
    "jsonb", "numeric", "numeric(10,2)", "DECIMAL(10, 2)", "timestamptz", "timestamp with time zone", "timestamp", "date",
    "uuid", "double precision", "float8", "real", "bytea", "text[]", "int[]", "sparsevec(10)",
]
NAMES = ["a", "b", "c", "d", "Mixed", "order", "f"]
TEXTS = ["x", "y", "longer text", "nul\0inside", ""]
SQL = ["create index {t}_{n} on {t} (id)", "create view {n} as select 1", "grant select on {t} to public"]
TEARDOWN = [None, "drop index if exists {t}_{n}", "drop view if exists {n}"]
OPTIONS = {"ivfflat": ["lists"], "hnsw": ["m", "ef_construction"]}
VALUES = {"lists": [10, 100], "m": [16, 24], "ef_construction": [64, 200]}


def kind(type_name):
    """The sort of value that a cell of the type is given; None for no cell at all."""
    t = type_name.lower()
    if t in ("bigint", "int8", "integer", "smallint"):
        return "integer"
    if t.startswith(("text", "varchar", "character varying")) and not t.endswith("[]"):
        return "text"
    return {"boolean": "boolean", "uuid": "uuid"}.get(t)


def value(r, type_name):
    match kind(type_name):
        case "integer":
            return r.randrange(3)
        case "text":
            return r.choice(TEXTS)
        case "boolean":
            return r.random() < 0.5
        case "uuid":
            return f"00000000-0000-0000-0000-{r.randrange(3):012}"


def key_value(type_name, n):
    match kind(type_name):
        case "integer":
            return n
        case "text":
            return f"k{n}"
        case _:
            return f"00000000-0000-0000-0000-{n:012}"


def column(r, name, key=False):
    type_name = r.choice(KEY_TYPES if key else TYPES + VECTORS)
    return [name, type_name, not key and r.random() < 0.65]


def index(r, table):
    vectors = [c[0] for c in table["columns"] if c[1].lower().startswith(("vector", "halfvec"))]
    if not vectors:
        return None
    name = r.choice(vectors)
    made = {"column": name, "name": r.choice([name, name, "other"])}
    if r.random() < 0.6:
        made["metric"] = r.choice(["cosine", "l2", "ip"])
    if r.random() < 0.6:
        made["method"] = r.choice(["ivfflat", "hnsw"])
    own = OPTIONS[made.get("method", "ivfflat")]
    for option in VALUES:
        if r.random() < (0.4 if option in own else 0.04):
            made[option] = r.choice(VALUES[option])
    return made


def attachment(r, name):
    fill = lambda text: text and text.format(t="docs", n=name)
    return [name, fill(r.choice(SQL)), fill(r.choice(TEARDOWN))]


def row(r, table, n):
    types = {c[0]: c[1] for c in table["columns"]}
    made = {k: key_value(types[k], n) for k in table["primary_key"] if k in types}
    for name, type_name, nullable in table["columns"]:
        if name not in made and kind(type_name) and (not nullable or r.random() < 0.6):
            made[name] = value(r, type_name)
    return made


def fresh(r):
    table = {"schema": r.choice([None, None, "app"]), "name": "docs", "managed_by": "user" if r.random() < 0.15 else "system"}
    keys = ["id"] if r.random() < 0.7 else ["id", "k"]
    table["columns"] = [column(r, key, True) for key in keys] + [column(r, n) for n in r.sample(NAMES, r.randrange(4))]
    table["primary_key"] = keys
    if r.random() < 0.45:
        table["columns"].append(["e", r.choice(VECTORS), r.random() < 0.7])
    table["indexes"] = [i for i in [index(r, table)] if i and r.random() < 0.8]
    table["attachments"] = [attachment(r, n) for n in ("fts", "view") if r.random() < 0.3]
    table["rows"] = [row(r, table, n) for n in range(r.randrange(4))] if r.random() < 0.6 else []
    return table


def settle(r, table):
    """Makes indexes and rows fit the columns again."""
    types = {c[0]: c[1] for c in table["columns"]}
    vectors = {n for n, t in types.items() if t.lower().startswith(("vector", "halfvec"))}
    table["indexes"] = [i for i in table["indexes"] if i["column"] in vectors]
    required = {c[0] for c in table["columns"] if not c[2]}
    for n, cells in enumerate(table["rows"]):
        for name in list(cells):
            if name not in types or kind(types[name]) is None:
                del cells[name]
            elif kind(types[name]) != sort(cells[name]):
                cells[name] = value(r, types[name])
        for name in sorted(required - set(cells)):
            if kind(types[name]):
                cells[name] = value(r, types[name])
        for key in table["primary_key"]:
            if key in types:
                cells[key] = key_value(types[key], n)
    return table


def sort(cell):
    if isinstance(cell, bool):
        return "boolean"
    if isinstance(cell, int):
        return "integer"
    return "uuid" if str(cell).startswith("00000000-") else "text"


def add_column(r, t):
    free = [n for n in NAMES if n not in {c[0] for c in t["columns"]}]
    if free:
        t["columns"].insert(r.randrange(len(t["columns"]) + 1), column(r, r.choice(free)))


def plain(t):
    return [c for c in t["columns"] if c[0] not in t["primary_key"]]


def drop_column(r, t):
    if plain(t):
        t["columns"].remove(r.choice(plain(t)))


def retype(r, t):
    if plain(t):
        chosen = r.choice(plain(t))
        chosen[1] = r.choice(VECTORS if chosen[0] == "e" and r.random() < 0.8 else TYPES)


def respell(r, t):
    pairs = [("bigint", "int8"), ("varchar(50)", "character varying(50)"), ("numeric(10,2)", "DECIMAL(10, 2)"),
             ("timestamptz", "timestamp with time zone"), ("double precision", "float8"), ("vector(3)", "VECTOR(3)")]
    other = dict(pairs) | {b: a for a, b in pairs}
    found = [c for c in t["columns"] if c[1] in other]
    if found:
        chosen = r.choice(found)
        chosen[1] = other[chosen[1]]


def flip_null(r, t):
    if plain(t):
        chosen = r.choice(plain(t))
        chosen[2] = not chosen[2]


def reorder(r, t):
    r.shuffle(t["columns"])


def change_key(r, t):
    match r.randrange(4):
        case 0:
            t["primary_key"].reverse()
        case 1:
            key = r.choice(t["primary_key"])
            for c in t["columns"]:
                if c[0] == key:
                    c[1] = r.choice(KEY_TYPES)
        case 2 if len(t["primary_key"]) == 1:
            t["primary_key"].append("k")
            t["columns"] = [c for c in t["columns"] if c[0] != "k"] + [column(r, "k", True)]
        case 3 if len(t["primary_key"]) == 2:
            t["primary_key"].remove("k")


def change_owner(r, t):
    t["managed_by"] = "user" if t["managed_by"] == "system" else "system"


def rename(r, t):
    if r.random() < 0.5:
        t["name"] = "papers"
    else:
        t["schema"] = None if t["schema"] else "app"


def change_index(r, t):
    made = index(r, t)
    if t["indexes"] and r.random() < 0.5:
        kept = t["indexes"].pop()
        if r.random() < 0.6:
            options = OPTIONS[kept.get("method", "ivfflat")]
            option = r.choice(options)
            kept[option] = r.choice(VALUES[option])
            t["indexes"].append(kept)
    elif made and made["name"] not in {i["name"] for i in t["indexes"]}:
        t["indexes"].append(made)


def change_attachment(r, t):
    names = [a[0] for a in t["attachments"]]
    if not names or r.random() < 0.3:
        free = [n for n in ("fts", "view") if n not in names]
        t["attachments"] += [attachment(r, n) for n in free[:1]]
    else:
        chosen = r.choice(t["attachments"])
        match r.randrange(4):
            case 0:
                t["attachments"].remove(chosen)
            case 1:
                chosen[1] += " -- again"
            case 2:
                chosen[2] = attachment(r, chosen[0])[2]
            case 3:
                chosen[1:] = attachment(r, chosen[0])[1:]


def change_rows(r, t):
    match r.randrange(3):
        case 0:
            t["rows"].append(row(r, t, len(t["rows"])))
        case 1 if t["rows"]:
            t["rows"].pop()
        case _ if t["rows"]:
            t["rows"][-1] = row(r, t, len(t["rows"]) - 1)


def spoil(r, t):
    t["primary_key"].append("nowhere")


MUTATIONS = [
    (add_column, 5), (drop_column, 3), (retype, 5), (respell, 3), (flip_null, 3), (reorder, 2), (change_key, 2),
    (change_owner, 2), (rename, 2), (change_index, 4), (change_attachment, 4), (change_rows, 4), (spoil, 0.2),
]


def mutated(r, table):
    table = copy.deepcopy(table)
    for mutate in r.choices(*zip(*MUTATIONS), k=r.choice([0, 1, 1, 1, 2, 2, 3])):
        mutate(r, table)
    return settle(r, table)


def case(number):
    r = random.Random(f"{SEED}/{number}")
    previous = settle(r, fresh(r)) if r.random() < 0.9 else None
    nothing = r.random() < 0.07
    following = None if nothing and previous else mutated(r, previous) if previous else settle(r, fresh(r))
    made = {"previous": previous, "next": following}
    if following and r.random() < (0.06 if previous else 0.3):
        # What an earlier apply wanted and did not finish.
        made["failed"] = mutated(r, previous or following) if previous or r.random() < 0.6 else following
    return made


# ---------------------------------------------------------------------------------------------------------------------
# The reference connector, on a database that is not there
# ---------------------------------------------------------------------------------------------------------------------


class Connection:
    def __init__(self, pool):
        self.pool = pool

    async def execute(self, sql, *arguments):
        if self.pool.fails and sql.split()[0] in ("CREATE", "ALTER", "DROP"):
            raise asyncpg.PostgresError("out of order")
        self.pool.statements.append(sql)

    async def fetch(self, sql, *arguments):
        return []

    @asynccontextmanager
    async def transaction(self):
        yield


class Pool(asyncpg.Pool):
    __slots__ = ("statements", "fails")

    def __init__(self):
        self.statements = []
        self.fails = False

    @asynccontextmanager
    async def acquire(self):
        yield Connection(self)

    async def fetch(self, sql, *arguments):
        return []


DATABASE = coco.ContextKey("database")


async def declare(table):
    columns = {name: postgres.ColumnDef(type_name, nullable) for name, type_name, nullable in table["columns"]}
    target = await postgres.mount_table_target(
        DATABASE,
        table["name"],
        postgres.TableSchema(columns, table["primary_key"]),
        pg_schema_name=table["schema"],
        managed_by=ManagedBy(table["managed_by"]),
    )
    for cells in table["rows"]:
        target.declare_row(row=cells)
    for made in table["indexes"]:
        target.declare_vector_index(**made)
    for name, setup, teardown in table["attachments"]:
        target.declare_sql_command_attachment(name=name, setup_sql=setup, teardown_sql=teardown)


def shown(action):
    match action:
        case connector._TableAction(key, _, main, columns):
            columns = {name.removeprefix("col:"): what for name, what in columns.items()}
            return table(key.pg_schema_name, key.table_name, main, columns)
        case connector._VectorIndexAction(name, spec):
            return {"what": "index", "name": name, "does": "drop" if spec is None else "build"}
        case connector._SqlCommandAction(name, spec, teardown):
            return {"what": "attachment", "name": name, "teardown": teardown, "setup": spec and spec.setup_sql}
        case connector._RowAction(key, value):
            return {"what": "row", "key": list(key), "does": "delete" if value is None else "upsert"}
    raise TypeError(action)


def table(schema, name, does, columns):
    return {"what": "table", "schema": schema, "name": name, "does": does, "columns": columns}


def check(statements, actions):
    """The statements that ran are those that the preview announced."""
    count = lambda *words: sum(s.startswith(words) for s in statements)
    of = lambda what: [a for a in actions if a["what"] == what]
    tables = of("table")
    assert count("CREATE TABLE") == sum(a["does"] in ("insert", "upsert", "replace") for a in tables), (statements, actions)
    assert count("ALTER TABLE") == sum(
        ":" not in name for a in tables for name in a["columns"]
    ), (statements, actions)
    assert count("CREATE INDEX") == sum(a["does"] == "build" for a in of("index")), (statements, actions)
    assert count("DROP INDEX") == len(of("index")), (statements, actions)
    ran = [s for s in statements if s[0].islower()]
    assert sorted(ran) == sorted(
        sql for a in of("attachment") for sql in (a["teardown"], a["setup"]) if sql
    ), (statements, actions)


async def decide(made, folder):
    """Adds to a case what the connector decides, or the error with which it refuses."""
    pool = Pool()
    context = coco.ContextProvider()
    context.provide(DATABASE, pool)
    environment = coco.Environment(coco.Settings(db_path=folder), context_provider=context)
    now = None

    @coco.fn
    async def program():
        if now:
            await declare(now)

    app = coco.App(coco.AppConfig(name="case", environment=environment), program)
    now = made["previous"]
    await app.update()
    now = made.get("failed")
    if now:
        pool.fails = True
        try:
            await app.update()
            # Nothing in it would have changed the table, so it was applied.
            made["previous"] = made.pop("failed")
        except Exception as error:
            if "out of order" not in str(error):
                made.pop("failed")
        pool.fails = False
    now = made["next"]
    try:
        actions = [shown(action) for action in await app.update(preview=True)]
    except Exception as error:
        made["error"] = str(error).strip().splitlines()[-1]
        return
    # Rows and attachments come in no particular order.
    actions.sort(key=lambda action: (action["what"] != "table", json.dumps(action)))
    pool.statements.clear()
    await app.update()
    await asyncio.sleep(0.02)
    dropped = [s for s in pool.statements if s.startswith("DROP TABLE")]
    does = lambda *what: sum(action["what"] == "table" and action["does"] in what for action in actions)
    replaced = does("replace")
    if len(dropped) > replaced:
        # Nothing else can have been dropped.
        previous = made["previous"] or made["failed"]
        actions.append(table(previous["schema"], previous["name"], "delete", {}))
    assert len(dropped) == does("replace", "delete"), (dropped, actions)
    check([s for s in pool.statements if not s.startswith(("DROP TABLE", "INSERT", "DELETE"))], actions)
    made["actions"] = actions


async def main():
    assert VERSION == "1.0.26", VERSION
    lines = [{"connector": f"cocoindex {VERSION}", "seed": SEED}]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(CASES):
            made = case(number)
            try:
                await decide(made, pathlib.Path(folder) / str(number))
            except BaseException:
                print("case", number, json.dumps(made))
                raise
            lines.append(made)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    RECORDING.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(lines) - 1} cases, {len(text)} bytes, {RECORDING.stat().st_size} compressed")


if __name__ == "__main__":
    asyncio.run(main())
