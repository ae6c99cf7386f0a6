/** Sends one statement with its parameters, `$1` and so on, and resolves its rows. */
export type Query = <Row extends object>(sql: string, parameters?: readonly unknown[]) => Promise<Row[]>

/** What the app asks of a database. Both backends speak the SQL of PostgreSQL. */
export interface Database {
  readonly query: Query
  /**
   * Commits when `work` has resolved, and rolls back when it rejects. `work` may run again where the database asks for that, as after a
   * deadlock: it must change nothing outside.
   */
  transaction<T> (work: (query: Query) => Promise<T>): Promise<T>
  close (): Promise<void>
}
