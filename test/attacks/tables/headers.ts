import type { Request } from '../http-client.js'

/** Headers, the status that they are answered with on a command's GET route, and on an answer of 200 its media type. */
export const headers: ReadonlyArray<readonly [name: string, headers: NonNullable<Request['headers']>, status: number, type?: string]> = [
  // Accept.
  ['no media type', [['accept', 'nonsense']], 406],
  ['none of ours', [['accept', 'text/html']], 406],
  ['ours at q=0', [['accept', 'text/event-stream;q=0, application/x-ndjson;q=0, application/json;q=0']], 406],
  ['everything at q=0', [['accept', '*/*;q=0']], 406],
  ['a negative q', [['accept', '*/*;q=-1']], 406],
  ['a q above 1', [['accept', '*/*;q=2']], 406],
  ['a q that is no number', [['accept', '*/*;q=NaN']], 406],
  ['an empty list', [['accept', ',,,']], 200, 'text/event-stream'],
  ['an empty header', [['accept', '']], 200, 'text/event-stream'],
  ['a subtype that begins like ours', [['accept', 'text/event-streams']], 406],
  ['a name of the prototype', [['accept', '__proto__']], 406],
  ['a parameter of the prototype', [['accept', 'application/json;__proto__=1;constructor=2']], 200, 'application/json'],
  ['a charset that is not ours', [['accept', 'text/event-stream; charset=utf-16']], 200, 'text/event-stream'],
  ['3,000 ranges', [['accept', 'a/b,'.repeat(3_000)]], 406],
  ['5,000 commas', [['accept', ','.repeat(5_000)]], 200, 'text/event-stream'],
  ['a quote that does not end', [['accept', `application/json;a="${'\\'.repeat(5_000)}`]], 406],
  ['5,000 spaces', [['accept', `application/json${' '.repeat(5_000)};q=1`]], 200, 'application/json'],
  ['5,000 parameters', [['accept', `application/json${';'.repeat(5_000)}`]], 200, 'application/json'],
  ['the header twice', [['accept', 'text/html'], ['accept', 'application/json']], 200, 'application/json'],
  ['bytes above 127', [['accept', '\u00e9/\u00e9']], 406],
  // Idempotency keys, which a route refuses that does not keep its streams.
  ['an idempotency key', [['idempotency-key', 'a']], 400],
  ['an empty idempotency key', [['idempotency-key', '']], 400],
  ['two idempotency keys', [['idempotency-key', 'a'], ['idempotency-key', 'b']], 400],
  ['an idempotency key of 8 KiB', [['idempotency-key', 'a'.repeat(8_192)]], 400],
  // Cross-site requests; the whole table is that of the cross-site rules.
  ['a page of another site', [['sec-fetch-site', 'cross-site']], 403],
  ['a page of a sibling', [['sec-fetch-site', 'same-site']], 403],
  ['a site of nobody', [['sec-fetch-site', 'nonsense']], 403],
  ['an empty site', [['sec-fetch-site', '']], 403],
  ['two sites', [['sec-fetch-site', 'same-origin'], ['sec-fetch-site', 'cross-site']], 403],
  ['a prefetch', [['sec-purpose', 'prefetch']], 403],
  ['a prerender', [['sec-fetch-site', 'none'], ['sec-purpose', 'prefetch;prerender']], 403],
  ['another origin', [['origin', 'http://evil.example']], 403],
  ['an opaque origin', [['origin', 'null']], 403],
  ['an origin that is no url', [['origin', 'http://']], 403],
  ['an origin that begins like ours', [['origin', 'http://localhost.evil.example']], 403],
  ['an origin with a user of our name', [['origin', 'http://localhost@evil.example']], 403],
  ['our own origin', [['origin', 'http://localhost']], 200, 'text/event-stream'],
  ['our own page', [['sec-fetch-site', 'same-origin'], ['origin', 'http://evil.example']], 200, 'text/event-stream'],
  ['an address that the user has typed', [['sec-fetch-site', 'none']], 200, 'text/event-stream'],
  // Others that change nothing.
  ['another method', [['x-http-method-override', 'DELETE']], 200, 'text/event-stream'],
  ['another url', [['x-original-url', '/forged'], ['x-rewrite-url', '/forged']], 200, 'text/event-stream'],
  ['another host', [['x-forwarded-host', 'evil.example'], ['x-forwarded-for', '\u00e9, __proto__'], ['forwarded', 'for="\\"']], 200, 'text/event-stream'],
  ['a range', [['range', 'bytes=0-1']], 200, 'text/event-stream'],
  ['a condition', [['if-none-match', '*'], ['if-modified-since', 'now']], 200, 'text/event-stream'],
  ['an upgrade', [['upgrade', 'h2c'], ['connection', 'close, upgrade, http2-settings'], ['http2-settings', 'AAMAAABk']], 200, 'text/event-stream'],
  ['an encoding', [['accept-encoding', 'gzip, br, identity;q=0']], 200, 'text/event-stream'],
  ['an expectation of nobody', [['expect', 'nonsense']], 417],
  ['a preference of a later version', [['prefer', 'respond-async']], 200, 'text/event-stream'],
  ['a cookie of the prototype', [['cookie', '__proto__=1; constructor=2']], 200, 'text/event-stream'],
  ['200 headers', Array.from({ length: 200 }, (_, number) => [`x-${number}`, 'a'] as const), 200, 'text/event-stream'],
  ['a header of 20 KiB', [['x-long', 'a'.repeat(20_000)]], 431],
  ['a name that is no token', [['x(a)', '1']], 400],
  ['an empty name', [['', '1']], 400]
]

/** Methods that never run a command. */
export const methods: ReadonlyArray<readonly [method: string, status: number]> = [
  ['HEAD', 200], ['OPTIONS', 404], ['PUT', 404], ['DELETE', 404], ['PATCH', 404], ['TRACE', 404], ['get', 400], ['GETX', 400], ['\u0000', 400]
]
