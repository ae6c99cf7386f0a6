import type { Request } from '../http-client.js'

type Headers = NonNullable<Request['headers']>

/** Streams that a row may name by `{…}`; all but `foreign` are of who asks. `gone` never was. */
export const streams = ['running', 'ended', 'foreign', 'public', 'gone'] as const

export interface KeptRow {
  readonly name: string
  readonly method?: string
  readonly path: string
  readonly headers?: Headers
  readonly body?: string
  readonly status: number
  readonly code?: string
  /** How many handlers it starts. @default 0 */
  readonly starts?: number
  /** The media type of the answer, or what it begins with. */
  readonly type?: string
  /** The router answers what is no path of a route. */
  readonly byRouter?: boolean
}

const json: Headers[number] = ['accept', 'application/json']
const post = { method: 'POST', path: '/job', body: '{"to":1}' } as const
const malformedId = 'MEDIATOR_ERR_MALFORMED_EVENT_ID'
const malformedKey = 'MEDIATOR_ERR_MALFORMED_IDEMPOTENCY_KEY'
const notFound = 'MEDIATOR_ERR_STREAM_NOT_FOUND'
const foreignId = 'MEDIATOR_ERR_FOREIGN_EVENT_ID'

/** Urls of streams: each with GET, DELETE and HEAD. */
const urls: ReadonlyArray<readonly [name: string, path: string, byRouter?: boolean]> = [
  ['a stream that never was', '/streams/{gone}'],
  ['the stream of somebody else', '/streams/{foreign}'],
  ['the stream of somebody else with a slash encoded before it', '/streams/%2F{foreign}'],
  ['the stream of somebody else with an owner in the query', '/streams/{foreign}?owner=anna&user=anna&x-user=anna'],
  ['the stream of somebody else with a last id', '/streams/{foreign}?lastEventId={foreign}.1'],
  ['the stream of somebody else on the public routes', '/public/{foreign}'],
  ['one\'s own stream on the public routes', '/public/{running}'],
  ['an id with NUL', '/streams/{running}%00'],
  ['an id with a line break and a header', '/streams/{running}%0d%0aset-cookie:%20forged=1'],
  ['an id with a number', '/streams/{running}.1'],
  ['an id that begins like one', '/streams/{running}A'],
  ['an id that ends like one', '/streams/A{running}'],
  ['a wildcard', '/streams/*'],
  ['22 wildcards', `/streams/${'*'.repeat(22)}`],
  ['the end of a store\'s key', '/streams/{running}%7D'],
  ['a path', '/streams/..%2F..%2Fetc%2Fpasswd'],
  ['a path of dots', '/streams/%2E%2E'],
  ['a name of the prototype', '/streams/__proto__'],
  ['the constructor', '/streams/constructor'],
  ['the name of the parameter', '/streams/:streamId'],
  ['an emoji', '/streams/%F0%9F%98%80'],
  ['fullwidth letters', `/streams/${encodeURIComponent('Ａ'.repeat(22))}`],
  ['an object', '/streams/%7B%22$gt%22:%22%22%7D'],
  ['an encoding twice over', '/streams/%2541{running}'],
  ['8 KiB', `/streams/${'a'.repeat(8_192)}`, true],
  ['two segments', '/streams/{running}/{running}', true],
  ['half an encoding', '/streams/%', true],
  ['bytes that are no UTF-8', '/streams/%FF', true]
]

const badLimits = ['0', '-1', '101', '1.5', '1e1', '0x1', 'NaN', 'Infinity', '', '%00', '1%00', '9007199254740993', 'all', '1&limit=2', '%F0%9D%9F%8F']
const goodCursors = ['nonsense', '-1', '0', 'NaN', '%00', '%27%20OR%201=1', '1e308', '..%2F', '%7B%22$gt%22:0%7D']
const badKeys: ReadonlyArray<readonly [string, string]> = [
  ['an empty key', ''],
  ['empty quotes', '""'],
  ['spaces', 'a b'],
  ['a tab', 'a\tb'],
  ['bytes above 127', '\u00e9'],
  ['256 characters', 'a'.repeat(256)],
  ['8 KiB', 'a'.repeat(8_192)]
]

export const keptRows: readonly KeptRow[] = [
  // Urls.
  ...urls.flatMap(([name, path, byRouter = false]) => ['GET', 'DELETE', 'HEAD'].map(method => ({
    name: `${method} ${name}`, method, path, byRouter, status: /%$|%FF/.test(path) ? 400 : path.length > 8_000 ? 414 : 404, ...(!byRouter && method !== 'HEAD' && { code: notFound })
  }))),
  ...['PUT', 'PATCH', 'POST', 'OPTIONS', 'TRACE'].map(method => ({ name: `the method ${method}`, method, path: '/streams/{running}', status: 404, byRouter: true })),
  { name: 'the method of a header', method: 'POST', path: '/streams/{running}', headers: [['x-http-method-override', 'DELETE']], status: 404, byRouter: true },
  { name: 'the user of somebody else in other letters', path: '/streams/{foreign}', headers: [['x-user', 'ANNA']], status: 404, code: notFound },
  { name: 'two users', path: '/streams/{foreign}', headers: [['x-user', 'bert'], ['x-user', 'anna']], status: 404, code: notFound },
  { name: 'a user of the prototype', path: '/streams/{foreign}', headers: [['x-user', '__proto__']], status: 404, code: notFound },
  { name: 'an empty user', path: '/streams/{foreign}', headers: [['x-user', '']], status: 500 },
  { name: 'nobody', path: '/streams/{foreign}', headers: [['x-nobody', '1']], status: 401, code: 'MEDIATOR_ERR_OWNER_MISSING' },
  { name: 'nobody, who cancels', method: 'DELETE', path: '/streams/{foreign}', headers: [['x-nobody', '1']], status: 401, code: 'MEDIATOR_ERR_OWNER_MISSING' },
  { name: 'nobody, for a public stream', path: '/streams/{public}', headers: [['x-nobody', '1']], status: 200, type: 'text/event-stream' },
  { name: 'somebody, for a public stream', path: '/streams/{public}', status: 200, type: 'text/event-stream' },
  { name: 'an end that was there', method: 'DELETE', path: '/streams/{ended}', status: 200, type: 'application/json' },
  { name: 'a body that comes with a cancel', method: 'DELETE', path: '/streams/{ended}', body: '{"streamId":"{foreign}","owner":"anna"}', status: 200, type: 'application/json' },
  { name: 'no media type of ours', path: '/streams/{ended}', headers: [['accept', 'text/html']], status: 406 },
  // Last-Event-ID.
  ...['header', 'url'].flatMap(place => ([
    ['of another stream of one\'s own', '{running}.1', 400, foreignId],
    ['of the stream of somebody else', '{foreign}.1', 400, foreignId],
    ['of the end of another stream', '{foreign}.9.end', 400, foreignId],
    ['of the future', '{ended}.4', 410, 'MEDIATOR_ERR_LOG_ROLLED_BACK'],
    ['of the far future', '{ended}.999999999999999', 410, 'MEDIATOR_ERR_LOG_ROLLED_BACK'],
    ['of another attempt', '{ended}.1-2', 410, 'MEDIATOR_ERR_LOG_ROLLED_BACK'],
    ['of the last attempt that fits', '{ended}.2-999999999', 410, 'MEDIATOR_ERR_LOG_ROLLED_BACK'],
    ['of 2^64', '{ended}.18446744073709551616', 400, malformedId],
    ['that is 2^64', '18446744073709551616', 400, malformedId],
    ['that is the stream', '{ended}', 400, malformedId],
    ['that is $', '$', 400, malformedId],
    ['that is 0', '0', 400, malformedId],
    ['of 8 KiB', `{ended}.${'1'.repeat(8_192)}`, 400, malformedId],
    ['at the end', '{ended}.3.end', 204],
    ['at the end, without its mark', '{ended}.3', 204],
    ['of an end that is none', '{ended}.1.end', 204]
  ] as const).map(([what, id, status, code]) => ({
    name: `an id ${what}, in the ${place}`,
    path: `/streams/{ended}${place === 'url' ? `?lastEventId=${encodeURIComponent(id).replaceAll('%7B', '{').replaceAll('%7D', '}')}` : ''}`,
    ...(place === 'header' && { headers: [['last-event-id', id] as const] }),
    status,
    ...(code !== undefined && { code })
  }))),
  { name: 'two ids', path: '/streams/{ended}', headers: [['last-event-id', '{ended}.1'], ['last-event-id', '{ended}.2']], status: 400, code: malformedId },
  { name: 'two ids in the url, of which the first counts', path: '/streams/{ended}?lastEventId={ended}.1&lastEventId={foreign}.1', status: 200, type: 'text/event-stream' },
  { name: 'an id in a fragment', path: '/streams/{ended}#lastEventId={ended}.3.end', status: 204 },
  { name: 'an id with a status', path: '/streams/{ended}', headers: [json, ['last-event-id', '{foreign}.1']], status: 400, code: foreignId },
  // Reconnects to the route of the command.
  { ...post, name: 'a reconnect', headers: [['last-event-id', '{ended}.1']], status: 200, type: 'text/event-stream' },
  { ...post, name: 'a reconnect to the stream of somebody else', headers: [['last-event-id', '{foreign}.1']], status: 404, code: notFound },
  { ...post, name: 'a reconnect to a stream that never was', headers: [['last-event-id', '{gone}.1']], status: 404, code: notFound },
  { ...post, name: 'a reconnect by another owner\'s route', path: '/open', headers: [['last-event-id', '{ended}.1']], status: 404, code: notFound },
  { ...post, name: 'a reconnect to another command', path: '/any', headers: [['last-event-id', '{ended}.1']], status: 404, code: notFound },
  { ...post, name: 'a reconnect from the future', headers: [['last-event-id', '{ended}.9']], status: 410 },
  { ...post, name: 'a reconnect after the end', headers: [['last-event-id', '{foreign}.3.end']], status: 204 },
  { ...post, name: 'a reconnect that prefers not to wait', headers: [['last-event-id', '{ended}.1'], ['prefer', 'respond-async']], status: 200, type: 'text/event-stream' },
  { ...post, name: 'a reconnect with a key of another stream', headers: [['last-event-id', '{ended}.1'], ['idempotency-key', 'x']], status: 400, code: foreignId },
  { name: 'a reconnect by GET', path: '/job?to=1&lastEventId={ended}.1', status: 200, type: 'text/event-stream' },
  // Idempotency keys.
  { ...post, name: 'a key', headers: [['idempotency-key', 'k']], status: 200, starts: 1 },
  { ...post, name: 'the key again', headers: [['idempotency-key', 'k']], status: 200 },
  { ...post, name: 'the key in quotes', headers: [['idempotency-key', '"k"']], status: 200 },
  { ...post, name: 'the key in header and url', path: '/job?idempotencyKey=k', headers: [['idempotency-key', '"k"']], status: 200 },
  { ...post, name: 'the key with another input', body: '{"to":2}', headers: [['idempotency-key', 'k']], status: 422, code: 'MEDIATOR_ERR_IDEMPOTENCY_MISMATCH' },
  { ...post, name: 'the key with a bad input', body: '{"to":"1"}', headers: [['idempotency-key', 'k']], status: 400 },
  { ...post, name: 'the key of somebody else', headers: [['idempotency-key', 'k'], ['x-user', 'carl']], status: 200, starts: 1 },
  { name: 'the key by another method', path: '/job?to=1', headers: [['idempotency-key', 'k']], status: 200, starts: 1 },
  { name: 'the key in the url', path: '/job?to=1&idempotencyKey=k', status: 200 },
  { name: 'the key in the url twice', path: '/job?to=1&idempotencyKey=k&idempotencyKey=k', status: 200 },
  { name: 'the key before a page of another site', path: '/job?to=1&idempotencyKey=k', headers: [['sec-fetch-site', 'cross-site']], status: 403 },
  { name: 'two keys in the url', path: '/job?to=1&idempotencyKey=k&idempotencyKey=l', status: 400, code: malformedKey },
  { name: 'another key in the url', path: '/job?to=1&idempotencyKey=l', headers: [['idempotency-key', 'k']], status: 400, code: malformedKey },
  { name: 'an empty key in the url', path: '/job?to=1&idempotencyKey=', status: 400, code: malformedKey },
  { name: 'a key with a line feed', path: '/job?to=1&idempotencyKey=k%0a', status: 400, code: malformedKey },
  { name: 'a key with NUL', path: '/job?to=1&idempotencyKey=k%00', status: 400, code: malformedKey },
  ...badKeys.map(([name, key]) => ({ ...post, name, headers: [['idempotency-key', key] as const], status: 400, code: malformedKey })),
  { ...post, name: 'two headers with keys', headers: [['idempotency-key', 'k'], ['idempotency-key', 'l']], status: 400, code: malformedKey },
  { ...post, name: 'a key of the prototype', headers: [['idempotency-key', '__proto__']], status: 200, starts: 1 },
  { ...post, name: 'a key with the separators of JSON', headers: [['idempotency-key', '","POST","/job","k']], status: 200, starts: 1 },
  { ...post, name: 'a key that is somebody\'s owner and key', headers: [['idempotency-key', 'anna:POST:/job:k']], status: 200, starts: 1 },
  { ...post, name: 'a short key of a public route', path: '/open', headers: [['idempotency-key', 'a'.repeat(21)]], status: 400, code: malformedKey },
  { ...post, name: 'a short key of a public route in quotes', path: '/open', headers: [['idempotency-key', `"${'a'.repeat(20)}"`]], status: 400, code: malformedKey },
  { ...post, name: 'a long key of a public route', path: '/open', headers: [['idempotency-key', 'a'.repeat(22)]], status: 200, starts: 1 },
  { ...post, name: 'a key with an input that is nested 100,000 deep', path: '/any', body: `${'['.repeat(100_000)}${']'.repeat(100_000)}`, headers: [['idempotency-key', 'deep']], status: 400 },
  { ...post, name: 'a key with a number that is none', path: '/any', body: '{"a":1e400}', headers: [['idempotency-key', 'infinite']], status: 200, starts: 1 },
  // Prefer.
  ...([
    ['respond-async', 202], ['respond-async; wait=10', 202], ['wait=10,respond-async', 202], ['RESPOND-ASYNC', 202], ['respond-async=""', 202], ['x="\\"", respond-async', 202],
    ['', 200], ['"respond-async"', 200], ['x="respond-async"', 200], ['x=", respond-async"', 200], ['x="\\", respond-async', 200], ['respond-asynchronously', 200],
    ['not-respond-async', 200], ['respond async', 200], [','.repeat(8_192), 200], [`${' '.repeat(8_192)}x`, 200], ['"\\'.repeat(4_000), 200], ['\u00e9', 200]
  ] as const).map(([prefer, status]) => ({
    ...post, name: `Prefer: ${prefer.slice(0, 40)}`, headers: [['prefer', prefer] as const], status, starts: 1, type: status === 202 ? 'application/json' : 'text/event-stream'
  })),
  { ...post, name: 'two preferences', headers: [['prefer', 'wait=1'], ['prefer', 'respond-async']], status: 202, starts: 1 },
  { ...post, name: 'a preference with a bad input', body: '{}', headers: [['prefer', 'respond-async']], status: 400 },
  { ...post, name: 'a preference of nobody', headers: [['prefer', 'respond-async'], ['x-nobody', '1']], status: 401 },
  // Lists.
  ...badLimits.map(limit => ({ name: `a list with the limit ${limit}`, path: `/streams?limit=${limit}`, status: 400 })),
  ...goodCursors.map(after => ({ name: `a list after ${after}`, path: `/streams?after=${after}`, status: 200, type: 'application/json' })),
  { name: 'a list after two places', path: '/streams?after=1&after=2', status: 400 },
  { name: 'a list after 101 characters', path: `/streams?after=${'1'.repeat(101)}`, status: 400 },
  { name: 'a list of somebody else', path: '/streams?owner=anna', status: 400 },
  { name: 'a list of the prototype', path: '/streams?__proto__=1', status: 400 },
  { name: 'a list of nobody', path: '/streams', headers: [['x-nobody', '1']], status: 401 },
  { name: 'a list of what is public', path: '/public', status: 404, byRouter: true }
]
