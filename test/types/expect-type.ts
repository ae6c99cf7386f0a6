/** Whether two types are the same one, `any` and optional members included. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** Compiles for `true` only. */
export function expectType<T extends true> (..._never: T[]): void {}

/** Compiles for a value of exactly the type T. */
export function expectValue<T> (): <V>(_value: V, ..._same: Equal<V, T> extends true ? [] : [never]) => void {
  return () => {}
}
