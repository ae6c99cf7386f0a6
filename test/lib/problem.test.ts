import { Type } from '@sinclair/typebox'
import createError from '@fastify/error'
import t from 'tap'
import { InvalidOutputError, ShuttingDownError, StreamAbortedError } from '../../lib/errors.js'
import { errorOf, problemOf, shortProblem, toldError } from '../../lib/problem.js'
import type { Problem } from '../../lib/problem.js'
import { compileCheck } from '../../lib/schema-check.js'

const unknown = { type: 'about:blank', title: 'Internal Server Error', status: 500, code: 'INTERNAL_SERVER_ERROR', retryable: false }

function failing (members: object, message = 'the message'): Error {
  return Object.assign(new Error(message), members)
}

function trap (): never {
  throw new Error('trap')
}

const revoked = Proxy.revocable({}, {})
revoked.revoke()

for (const [name, thrown] of Object.entries({
  'an error without a status': new Error('password=1234'),
  'a string': 'password=1234',
  'a number': 404,
  null: null,
  undefined,
  'a symbol': Symbol('s'),
  'a function': () => {},
  'an object of no error': { password: '1234' },
  'an object whose getters throw': Object.defineProperties({}, Object.fromEntries(['statusCode', 'message', 'code', 'validation', 'expose'].map(key => [key, { get: trap }]))),
  'a proxy that refuses everything': new Proxy(new Error('secret'), { get: trap, has: trap, getPrototypeOf: trap }),
  'a revoked proxy': revoked.proxy,
  'an error that quotes the status of an upstream': failing({ status: 404 }),
  'an error with the status of a success': failing({ statusCode: 200 }),
  'an error with a redirect': failing({ statusCode: 302 }),
  'an error with a status that does not exist': failing({ statusCode: 499 }),
  'an error with a status in words': failing({ statusCode: '404' }),
  'an error with a fractional status': failing({ statusCode: 404.5 }),
  'an error with a status that is no number': failing({ statusCode: NaN }),
  'a system error': failing({ code: 'ENOENT', path: '/etc/passwd' }),
  'an error with the code of a library': failing({ code: 'ERR_INVALID_STATE' }),
  'validation without a client error': failing({ validation: [{ instancePath: '/a', keyword: 'type', params: {}, message: 'must be string' }] })
})) {
  t.test(`tells nothing of ${name}`, async t => {
    t.strictSame(problemOf(thrown), unknown)
  })
}

t.test('tells a client about its own errors', async t => {
  t.strictSame(problemOf(failing({ statusCode: 404 }, 'No such file'), 'Zk3vQx0bT2mYw9LhR4sD1A'), {
    type: 'about:blank', title: 'Not Found', status: 404, detail: 'No such file', instance: 'Zk3vQx0bT2mYw9LhR4sD1A', code: 'NOT_FOUND', retryable: false
  })
  t.equal(problemOf(failing({ statusCode: 404, status: 500, code: 'NO_FILE' })).code, 'NO_FILE')
  t.strictSame(problemOf({ statusCode: 418 }), { type: 'about:blank', title: "I'm a Teapot", status: 418, code: 'I_M_A_TEAPOT', retryable: false })
})

t.test('has no detail where there is no message', async t => {
  for (const message of ['', 5, null, undefined]) t.notOk('detail' in problemOf({ statusCode: 400, message }), String(message))
})

t.test('hides the message of an error that is not to be exposed', async t => {
  t.notOk('detail' in problemOf(failing({ statusCode: 403, expose: false })))
  t.equal(problemOf(failing({ statusCode: 403, expose: true })).detail, 'the message')
})

t.test('never has a detail from 500 on', async t => {
  for (const statusCode of [500, 501, 502, 503, 504]) t.notOk('detail' in problemOf(failing({ statusCode, expose: true })), String(statusCode))
})

t.test('keeps the codes of the project and of Fastify from 500 on, and no others', async t => {
  t.equal(problemOf(new InvalidOutputError('a', 'result', 'secret')).code, 'MEDIATOR_ERR_INVALID_OUTPUT')
  t.equal(problemOf(new (createError('FST_ERR_TEST', 'secret', 500))()).code, 'FST_ERR_TEST')
  t.equal(problemOf(failing({ statusCode: 502, code: 'UND_ERR_SOCKET' })).code, 'BAD_GATEWAY')
  t.equal(problemOf(failing({ statusCode: 500, code: 'X_FST_ERR_' })).code, 'INTERNAL_SERVER_ERROR')
  t.equal(problemOf(failing({ statusCode: 400, code: 'ANY' })).code, 'ANY')
  t.equal(problemOf(failing({ statusCode: 400, code: 5 })).code, 'BAD_REQUEST')
})

t.test('asks to try again after 429 and 503 only', async t => {
  const retryable = [400, 404, 408, 409, 410, 422, 425, 429, 500, 502, 503, 504].filter(statusCode => problemOf({ statusCode }).retryable)
  t.strictSame(retryable, [429, 503])
})

t.test('has a code of its own for each end of a stream', async t => {
  const told = (abortError: StreamAbortedError): Problem => problemOf(toldError({ abortError }, abortError))
  const cancelled = told(new StreamAbortedError('a', 'cancelled', new Error('secret')))
  t.match(cancelled, { status: 409, code: 'MEDIATOR_ERR_CANCELLED', detail: 'The stream was cancelled', retryable: false })
  t.strictSame(told(new StreamAbortedError('a', 'client-closed')), cancelled)
  t.match(told(new StreamAbortedError('a', 'deadline')), { status: 504, code: 'MEDIATOR_ERR_DEADLINE', detail: undefined, retryable: false })
  const shutdown = told(new StreamAbortedError('a', 'shutdown'))
  t.strictSame(shutdown, problemOf(new ShuttingDownError()))
  t.match(shutdown, { status: 503, code: 'MEDIATOR_ERR_SHUTTING_DOWN', retryable: true })
})

t.test('takes the abort of another stream for a failure like any other', async t => {
  const other = new StreamAbortedError('a', 'cancelled')
  t.equal(toldError({ abortError: undefined }, other), other)
  t.match(problemOf(other), { status: 500, code: 'MEDIATOR_ERR_STREAM_ABORTED', retryable: false })
})

t.test('lists what validation refused', async t => {
  const check = compileCheck(Type.Object({ ids: Type.Array(Type.String()) }, { additionalProperties: false }))
  check({ ids: [1] })
  t.strictSame(problemOf(failing({ statusCode: 400, validation: check.errors })).errors, [{ field: 'ids.0', message: 'must be string' }])
  check({ ids: [], id: 1 })
  t.strictSame(problemOf(failing({ statusCode: 400, validation: check.errors })).errors, [{ field: 'id', message: 'is not allowed' }])
})

t.test('takes the validation of other tools, which it cannot read', async t => {
  for (const validation of [[null], [{ message: 'required' }], ['a'], 'text', new Proxy([], { get: trap })]) {
    const problem = problemOf(failing({ statusCode: 400, validation }))
    t.match(problem, { status: 400, detail: 'the message' })
    t.notOk('errors' in problem)
  }
})

t.test('tells nothing of validation that an error does not expose, or that found nothing', async t => {
  const validation = [{ instancePath: '/a', keyword: 'type', message: 'must be integer', params: {} }]
  t.notOk('errors' in problemOf({ statusCode: 400, expose: false, validation }))
  t.strictSame(problemOf({ statusCode: 400, message: 'No', validation: [] }).detail, 'No')
  t.match(problemOf({ statusCode: 400, validation: [{ instancePath: '/a', keyword: 'odd', message: 1n, params: {} }] }), {
    errors: [{ field: 'a', message: 'fails odd' }]
  })
})

t.test('takes no free text for the code of a 5xx', async t => {
  t.equal(problemOf({ statusCode: 503, code: 'FST_ERR_AT db://user:secret@host' }).code, 'SERVICE_UNAVAILABLE')
})

t.test('makes the same problem of it again, for who repeats a request', async t => {
  const validation = [{ instancePath: '/name', message: 'must be a name', keyword: 'k', params: {}, schemaPath: '' }]
  for (const thrown of [
    new Error('secret'), failing({ statusCode: 404, code: 'NO_FILE' }), failing({ statusCode: 404, expose: false }), failing({ statusCode: 503 }),
    failing({ statusCode: 400, validation }), failing({ statusCode: 418 }, ''), new ShuttingDownError(), 'a string'
  ]) {
    const problem = problemOf(thrown, 'one')
    const again = errorOf(JSON.parse(JSON.stringify(problem)) as Problem)
    t.strictSame(problemOf(again), problem)
    t.strictSame(problemOf(again, 'two'), { ...problem, instance: 'two' })
    t.match(again, { statusCode: problem.status, code: problem.code, message: problem.detail ?? problem.title }, 'for an error handler of the app')
    t.notMatch(again.message, 'secret')
  }
})

t.test('shortens a problem to what a frame always holds', async t => {
  const long = problemOf(failing({ statusCode: 409, code: `A\n\u0000é${'X'.repeat(5_000)}` }, 'x'.repeat(5_000)), 'one')
  const short = shortProblem(long)
  t.strictSame(short, { type: 'about:blank', title: 'Conflict', status: 409, instance: 'one', code: `A???${'X'.repeat(124)}`, retryable: false })
  t.notOk('instance' in shortProblem({ ...long, instance: undefined } as unknown as Problem))
})
