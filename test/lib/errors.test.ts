import t from 'tap'
import * as errors from '../../lib/errors.js'
import { StreamAbortedError } from '../../lib/errors.js'

const all = Object.entries(errors).filter(([name]) => name !== 'StreamAbortedError') as unknown as Array<[string, new (...args: unknown[]) => Error]>

t.test('has one code an error, with the prefix of the project', async t => {
  const codes = all.map(([, ErrorClass]) => (new ErrorClass('a', 'b', 'c') as Error & { code: string }).code)
  for (const code of codes) t.match(code, /^MEDIATOR_ERR_[A-Z]+(_[A-Z]+)*$/)
  t.equal(new Set(codes).size, codes.length)
})

t.test('says something about what was given, without holes', async t => {
  for (const [name, ErrorClass] of all) {
    const { message } = new ErrorClass('given', 'detail', 'more')
    t.ok(message.length > 10, name)
    t.notMatch(message, /%[sd]/, name)
    t.notMatch(message, /undefined/, name)
  }
})

t.test('tells clients only what is theirs to know', async t => {
  const statuses = Object.fromEntries(all.map(([name, ErrorClass]) => [name, (new ErrorClass('a', 'b', 'c') as Error & { statusCode: number }).statusCode]))
  const clientErrors = Object.fromEntries(Object.entries(statuses).filter(([, status]) => status !== 500))
  t.strictSame(clientErrors, {
    MalformedEventIdError: 400,
    ForeignEventIdError: 400,
    IdempotencyUnsupportedError: 400,
    MalformedIdempotencyKeyError: 400,
    OwnerMissingError: 401,
    CrossSiteError: 403,
    StreamNotFoundError: 404,
    NotAcceptableError: 406,
    CancelledError: 409,
    AbandonedError: 410,
    IdempotencyMismatchError: 422,
    LogGapError: 410,
    LogRolledBackError: 410,
    TooManyStreamsOfOwnerError: 429,
    TooManyStreamsError: 503,
    LogFullError: 503,
    DeadlineError: 504,
    ShuttingDownError: 503
  })
})

t.test('says why a stream was aborted, and by what', async t => {
  const cause = new Error('the reason')
  const error = new StreamAbortedError('process-files', 'cancelled', cause)
  t.match(error, { code: 'MEDIATOR_ERR_STREAM_ABORTED', reason: 'cancelled', message: 'The stream of command "process-files" was aborted: cancelled' })
  t.equal(error.cause, cause)
  t.ok(error instanceof Error)
  t.ok(error instanceof StreamAbortedError)
})
