/**
 * A copy of plain data, so that what was seen stays as it was when its owner changes it later. What is neither a plain object nor an
 * array is taken as it is.
 */
export function snapshot<T> (value: T): T {
  return copyOf(value, new Map()) as T
}

function copyOf (value: unknown, copies: Map<unknown, unknown>): unknown {
  if (!Array.isArray(value) && !isPlain(value)) return value
  if (copies.has(value)) return copies.get(value)
  const copy: object = Array.isArray(value) ? [] : Object.create(Object.getPrototypeOf(value))
  copies.set(value, copy)
  for (const [key, member] of Object.entries(value)) {
    // Not by assignment: JSON may have a member `__proto__`.
    Object.defineProperty(copy, key, { value: copyOf(member, copies), writable: true, enumerable: true, configurable: true })
  }
  return copy
}

function isPlain (value: unknown): value is object {
  if (value === null || typeof value !== 'object') return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}
