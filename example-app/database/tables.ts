import type { Database } from './database.js'

// Any number will do: processes that start at once wait for each other, because CREATE TABLE IF NOT EXISTS alone can collide.
const lockNumber = 7_411

const tables = [
  `CREATE TABLE IF NOT EXISTS people (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    country text NOT NULL,
    born date NOT NULL
  )`,
  // How much of each import is in. Changed with each batch, in its transaction.
  `CREATE TABLE IF NOT EXISTS imports (
    id text PRIMARY KEY,
    rows integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now()
  )`,
  'CREATE SEQUENCE IF NOT EXISTS fills',
  // How often the tables were emptied.
  'CREATE SEQUENCE IF NOT EXISTS emptyings'
]

export async function createTables (database: Database): Promise<void> {
  await database.transaction(async query => {
    await query('SELECT pg_advisory_xact_lock($1)', [lockNumber])
    for (const table of tables) await query(table)
  })
}
