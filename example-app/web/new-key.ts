const keyBytes = 16

/** Makes an id that nobody can guess. Not by `randomUUID`, which pages without TLS do not have. */
export function newKey (): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(keyBytes)), byte => byte.toString(16).padStart(2, '0')).join('')
}
