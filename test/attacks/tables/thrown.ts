/** What a handler may throw, by a text in it, and what of it a client is told. */
export interface Thrown {
  readonly name: string
  readonly make: (text: string) => unknown
  readonly problem: (text: string) => Record<string, unknown>
}

const internal = { title: 'Internal Server Error', status: 500, code: 'INTERNAL_SERVER_ERROR', retryable: false }
const bad = { title: 'Bad Request', status: 400, code: 'BAD_REQUEST', retryable: false }
const detail = (text: string): Record<string, string> => text === '' ? {} : { detail: text }

/** Each is thrown with each of the texts. */
export const thrownWithTexts: readonly Thrown[] = [
  { name: 'the message of a 400', make: text => Object.assign(new Error(text), { statusCode: 400 }), problem: text => ({ ...bad, ...detail(text) }) },
  { name: 'the code of a 409', make: text => Object.assign(new Error('no'), { statusCode: 409, code: text }), problem: text => ({ title: 'Conflict', status: 409, code: text, retryable: false, detail: 'no' }) },
  { name: 'the message of a 500', make: text => Object.assign(new Error(text), { code: text, cause: new Error(text) }), problem: () => internal },
  { name: 'a message that is not to be told', make: text => Object.assign(new Error(text), { statusCode: 404, expose: false }), problem: () => ({ title: 'Not Found', status: 404, code: 'NOT_FOUND', retryable: false }) },
  {
    name: 'a field that validation refused',
    make: text => Object.assign(new Error(text), { statusCode: 400, validation: [{ keyword: 'required', instancePath: '', schemaPath: '', params: { missingProperty: text }, message: text }] }),
    problem: text => {
      const field = text.length > 256 ? `${text.slice(0, 255)}…` : text
      return { ...bad, detail: `${field} is required`, errors: [{ field, message: 'is required' }] }
    }
  },
  { name: 'a text', make: text => text, problem: () => internal },
  { name: 'an object', make: text => ({ statusCode: 422, message: text, stack: text }), problem: text => ({ title: 'Unprocessable Entity', status: 422, code: 'UNPROCESSABLE_ENTITY', retryable: false, ...detail(text) }) },
  { name: 'the name and the stack of an error', make: text => Object.assign(new Error('no'), { name: text, stack: text, [text]: text }), problem: () => internal }
]

const circle = new Error('circle')
circle.cause = circle

/** Each is thrown as it is. */
export const thrown: ReadonlyArray<readonly [name: string, thrown: unknown, problem: Record<string, unknown>]> = [
  ['undefined', undefined, internal],
  ['null', null, internal],
  ['a number', 404, internal],
  ['a bigint', 1n, internal],
  ['a symbol', Symbol('\n'), internal],
  ['a function', () => {}, internal],
  ['an object without a prototype', Object.create(null), internal],
  ['a cause in a circle', circle, internal],
  ['an error of many errors', new AggregateError([circle, null, 1n], 'many'), internal],
  ['a getter that throws', { get statusCode () { throw new Error('no') }, get message () { throw new Error('no') } }, internal],
  ['a proxy that throws', new Proxy({}, { get () { throw new Error('no') }, has () { throw new Error('no') }, ownKeys () { throw new Error('no') }, getPrototypeOf () { throw new Error('no') } }), internal],
  ['a revoked proxy', (() => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy })(), internal],
  ['an error that cannot be changed', Object.freeze(Object.assign(new Error('no'), { statusCode: 400 })), { ...bad, detail: 'no' }],
  ['a status that is a text', Object.assign(new Error('no'), { statusCode: '404' }), internal],
  ['a status below 400', Object.assign(new Error('no'), { statusCode: 200 }), internal],
  ['a status that does not exist', Object.assign(new Error('no'), { statusCode: 499 }), internal],
  ['a status that is no integer', Object.assign(new Error('no'), { statusCode: 404.5 }), internal],
  ['a status of an upstream', Object.assign(new Error('secret'), { status: 404, response: { body: 'secret' } }), internal],
  ['a status that is an object', Object.assign(new Error('no'), { statusCode: { toString: () => '404' } }), internal],
  ['a message that is no text', Object.assign(new Error('no'), { statusCode: 400, message: { a: 1 } }), bad],
  ['a code that is no text', Object.assign(new Error('no'), { statusCode: 400, code: 5 }), { ...bad, detail: 'no' }],
  ['a code of ours with a secret', Object.assign(new Error('no'), { statusCode: 500, code: 'MEDIATOR_ERR_X secret' }), internal],
  ['a validation that is no list', Object.assign(new Error('no'), { statusCode: 400, validation: 'secret' }), { ...bad, detail: 'no' }],
  ['a validation of null', Object.assign(new Error('no'), { statusCode: 400, validation: [null] }), { ...bad, detail: 'no' }],
  ['an error with a bigint', Object.assign(new Error('no'), { n: 1n, list: [Symbol('a')] }), internal],
  ['an error whose toJSON throws', Object.assign(new Error('no'), { toJSON () { throw new Error('no') } }), internal],
  ['a message longer than a frame', Object.assign(new Error('x'.repeat(2_000_000)), { statusCode: 400, expose: false }), bad]
]
