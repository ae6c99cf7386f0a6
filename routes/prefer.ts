/** Whether a `Prefer` header (RFC 7240) asks for an answer before the work is done. */
export function prefersAsync (prefer: string | string[] | undefined): boolean {
  if (prefer === undefined) return false
  // What is quoted is the value of another preference. A quote that does not end takes the rest, so that nothing is looked at twice.
  const preferences = String(prefer).replaceAll(/"(?:[^"\\]|\\.)*(?:"|\\?$)/g, '')
  return /(?:^|,)[ \t]*respond-async[ \t]*(?:[;,=]|$)/i.test(preferences)
}
