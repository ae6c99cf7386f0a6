/** The longest that a timer of Node waits, in milliseconds: a longer timeout overflows, and fires at once. */
export const maxTimeoutMs = 2 ** 31 - 1
