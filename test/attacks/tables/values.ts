import { Type } from '@sinclair/typebox'
import type { TSchema } from '@sinclair/typebox'
import type { ProgressSchema } from '../../../index.js'

/** A place of a handler's output that a text can stand in, and the frames that it makes, `start` left out. */
export interface Surface {
  readonly name: string
  readonly progress: ProgressSchema
  readonly result?: TSchema
  readonly yields?: (text: string) => unknown
  readonly returns?: (text: string) => unknown
  /** `Failed` where the value must end the stream. */
  readonly frames: (text: string) => ReadonlyArray<readonly [string, unknown]>
}

const failed = ['failed', { title: 'Internal Server Error', status: 500, code: 'MEDIATOR_ERR_INVALID_OUTPUT', retryable: false }] as const
const complete = ['complete', null] as const
const progress = (data: unknown): ReturnType<Surface['frames']> => [['progress', data], complete]
const open = Type.Object({}, { additionalProperties: true })

/** `Object.fromEntries`, so that `__proto__` is a member like any other. */
function member (name: string, value: unknown): object {
  return Object.fromEntries([[name, value]])
}

export const surfaces: readonly Surface[] = [
  { name: 'a text', progress: Type.String(), yields: text => text, frames: progress },
  { name: 'a member', progress: Type.Object({ text: Type.String() }), yields: text => ({ text }), frames: text => progress({ text }) },
  { name: 'items of a list', progress: Type.Array(Type.String()), yields: text => [text, text], frames: text => progress([text, text]) },
  { name: 'a text of an unsafe format', progress: Type.Object({ text: Type.String({ format: 'unsafe' }) }), yields: text => ({ text }), frames: text => progress({ text }) },
  { name: 'a text of an unsafe schema', progress: Type.Unsafe<string>({}), yields: text => text, frames: progress },
  { name: 'a text of a union', progress: Type.Union([Type.Null(), Type.Integer(), Type.String()]), yields: text => text, frames: progress },
  { name: 'anything', progress: Type.Any(), yields: text => ({ a: [{ b: text }] }), frames: text => progress({ a: [{ b: text }] }) },
  { name: 'a key', progress: open, yields: text => member(text, 1), frames: text => progress(member(text, 1)) },
  { name: 'a key and its text', progress: Type.Object({}, { additionalProperties: Type.String() }), yields: text => member(text, text), frames: text => progress(member(text, text)) },
  { name: 'a key deep inside', progress: Type.Any(), yields: text => [{ a: member(text, [text]) }], frames: text => progress([{ a: member(text, [text]) }]) },
  { name: 'what toJSON gives', progress: Type.Any(), yields: text => ({ toJSON: () => text }), frames: progress },
  { name: 'an object with a prototype of its own', progress: Type.Any(), yields: text => Object.assign(Object.create(member(text, 1)), { text }), frames: text => progress({ text }) },
  {
    name: 'the data of a named event',
    progress: { tick: Type.Object({ text: Type.String() }) },
    yields: text => ({ event: 'tick', data: { text } }),
    frames: text => [['tick', { text }], complete]
  },
  { name: 'the name of an event', progress: { tick: Type.Any() }, yields: text => ({ event: text, data: { text } }), frames: () => [failed] },
  { name: 'the name of an event as an object', progress: { tick: Type.Any() }, yields: text => ({ event: Object(text), data: text }), frames: () => [failed] },
  { name: 'members beside those of a named event', progress: { tick: Type.Any() }, yields: text => ({ event: 'tick', data: 1, id: text, retry: text, [text]: text }), frames: () => [['tick', 1], complete] },
  { name: 'a result', progress: Type.Null(), result: Type.String(), returns: text => text, frames: text => [['complete', text]] },
  { name: 'a member of the result', progress: Type.Null(), result: Type.Object({ text: Type.String() }), returns: text => ({ text }), frames: text => [['complete', { text }]] },
  { name: 'a key of the result', progress: Type.Null(), result: open, returns: text => member(text, text), frames: text => [['complete', member(text, text)]] },
  // The stream's own members come from the server.
  { name: 'members like those of a frame', progress: open, yields: text => ({ event: text, id: text, data: text, type: text }), frames: text => progress({ event: text, id: text, data: text, type: text }) },
  { name: 'a text where a number is declared', progress: Type.Number(), yields: text => text, frames: () => [failed] },
  { name: 'a text where a date is declared', progress: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }), yields: text => text, frames: () => [failed] },
  { name: 'what a date says of itself', progress: Type.Unsafe<Date>({ type: 'string', format: 'date-time' }), yields: text => Object.assign(new Date(0), { toString: () => text, toJSON: () => text }), frames: () => progress('1970-01-01T00:00:00.000Z') }
]

/** Values that are no texts, and what JSON makes of them; undefined where it has no text for them. */
export const values: ReadonlyArray<readonly [name: string, schema: TSchema, value: unknown, carried: unknown]> = [
  ['the first date', Type.Unsafe({ type: 'string', format: 'date-time' }), new Date(-8.64e15), '-271821-04-20T00:00:00.000Z'],
  ['the last date', Type.Unsafe({ type: 'string', format: 'date-time' }), new Date(8.64e15), '+275760-09-13T00:00:00.000Z'],
  ['an invalid date', Type.Unsafe({ type: 'string', format: 'date-time' }), new Date(NaN), undefined],
  ['a bigint', Type.Unsafe({ type: 'integer' }), 2n ** 53n, 2 ** 53],
  ['a negative bigint', Type.Unsafe({ type: 'integer' }), -5n, -5],
  ['a bigint anywhere', Type.Any(), { n: [1n] }, undefined],
  ['NaN', Type.Number(), NaN, undefined],
  ['Infinity', Type.Number(), -Infinity, undefined],
  ['minus zero', Type.Number(), -0, 0],
  ['the largest number', Type.Number(), Number.MAX_VALUE, Number.MAX_VALUE],
  ['a number as an object', Type.Number(), Object(5), undefined],
  ['a symbol', Type.Any(), Symbol('\nevent: forged'), undefined],
  ['a function', Type.Any(), () => 'forged', undefined],
  ['a circle', Type.Any(), (() => { const list: unknown[] = []; list.push(list); return list })(), undefined],
  ['a getter that throws', Type.Any(), { get a () { throw new Error('\nevent: forged') } }, undefined],
  ['a toJSON that throws', Type.Any(), { toJSON () { throw new Error('\nevent: forged') } }, undefined],
  ['a proxy that throws', Type.Any(), new Proxy({}, { get () { throw new Error('forged') }, ownKeys () { throw new Error('forged') } }), undefined],
  // Newer versions of V8 write it without a stack: then it is longer than a frame.
  ['a nesting that no stack holds', Type.Any(), (() => { let list: unknown[] = []; for (let depth = 0; depth < 600_000; depth++) list = [list]; return list })(), undefined],
  ['more than a frame holds', Type.String(), '\0'.repeat(1_048_576), undefined],
  ['a map', Type.Any(), new Map([['a', 1]]), {}],
  ['bytes', Type.Any(), new Uint8Array([10, 10]), { 0: 10, 1: 10 }],
  ['an error', Type.Any(), new Error('\nevent: forged'), {}],
  ['a regular expression', Type.Any(), /\nevent: forged/, {}]
]
