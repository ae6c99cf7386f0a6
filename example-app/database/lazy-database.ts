import type { Database, Query } from './database.js'
import { createTables } from './tables.js'

/** Opens a database when it is first asked something: a page that needs none does not wait for it. */
export class LazyDatabase implements Database {
  readonly #open: () => Promise<Database>
  #opening: Promise<Database> | undefined

  constructor (open: () => Promise<Database>) {
    this.#open = open
  }

  readonly query: Query = async (sql, parameters) => await (await this.#opened()).query(sql, parameters)

  async transaction<T> (work: (query: Query) => Promise<T>): Promise<T> {
    return await (await this.#opened()).transaction(work)
  }

  async close (): Promise<void> {
    // One that could not be opened has said so to whoever asked.
    await (await this.#opening?.catch(() => undefined))?.close()
  }

  #opened (): Promise<Database> {
    this.#opening ??= this.#begin().catch(error => {
      // The next one tries again.
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  async #begin (): Promise<Database> {
    const database = await this.#open()
    try {
      await createTables(database)
    } catch (error) {
      await database.close()
      throw error
    }
    return database
  }
}
