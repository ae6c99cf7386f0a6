import { Type } from '@sinclair/typebox'
import { Ajv } from 'ajv'
import t from 'tap'
import type { Test } from 'tap'
import { commandRoute, defineQuery } from '../../index.js'
import { createApp } from '../support/app.js'

// Frames as their readers get them, beside what the route's schema says about them.

const input = Type.Object({ fail: Type.Boolean({ default: false }) })

const Single = defineQuery({ name: 'single', input, progress: Type.Object({ n: Type.Integer() }), result: Type.Object({ total: Type.Integer() }) })
const Several = defineQuery({ name: 'several', input, progress: { tick: Type.Object({ n: Type.Integer() }), note: Type.String() }, result: Type.Integer() })
const Regular = defineQuery({ name: 'regular', input, result: Type.Object({ total: Type.Integer() }) })
// Results whose members may not, or cannot, stand beside the type of an envelope.
const closedResult = Type.Object({ total: Type.Integer() }, { additionalProperties: false })
const results = {
  closed: [closedResult, { total: 1 }],
  'of two kinds': [Type.Union([closedResult, Type.Object({ none: Type.Literal(true) }, { additionalProperties: false })]), { none: true }],
  nullable: [Type.Union([closedResult, Type.Null()]), { total: 1 }],
  null: [Type.Union([closedResult, Type.Null()]), null],
  'of an intersection': [Type.Intersect([Type.Object({ a: Type.Integer() }), Type.Object({ b: Type.Integer() })]), { a: 1, b: 2 }],
  'with a type': [Type.Object({ type: Type.String() }), { type: 'parcel' }],
  'that may have a type': [Type.Object({ type: Type.Optional(Type.String()), n: Type.Integer() }, { additionalProperties: false }), { n: 1 }],
  open: [Type.Object({}), { type: 'unknown to the schema' }],
  'an empty object': [Type.Object({}, { additionalProperties: false }), {}],
  'a list': [Type.Array(Type.Integer()), [1]],
  anything: [Type.Unknown(), { total: 1 }]
} as const

interface ItemSchema {
  readonly oneOf?: ReadonlyArray<{ readonly title: string, readonly properties: Readonly<Record<string, ItemSchema>> }>
  readonly properties: Readonly<Record<string, ItemSchema>>
  readonly contentSchema: ItemSchema
}

const ajv = new Ajv({ strict: false })
const styles = {
  event: {},
  'event with other names': { eventNames: { start: 'begin', failed: 'error' } },
  envelope: { framing: 'envelope' },
  'envelope with other names': { framing: 'envelope', eventNames: { start: 'begin', complete: 'done' } }
} as const

for (const definition of [Single, Several, Regular]) {
  for (const [name, style] of Object.entries(styles)) {
    for (const accept of ['text/event-stream', 'application/x-ndjson']) {
      t.test(`describes the frames of a query by ${name} as ${accept}: ${definition.name}`, async t => {
        const { app } = await createApp(t)
        app.mediator.addHandler(Single, async function * ({ fail }) {
          yield { n: 1 }
          if (fail) throw new Error('boom')
          return { total: 1 }
        })
        app.mediator.addHandler(Several, async function * ({ fail }) {
          yield { event: 'tick', data: { n: 1 } }
          yield { event: 'note', data: 'half' }
          if (fail) throw new Error('boom')
          return 2
        })
        app.mediator.addHandler(Regular, async () => ({ total: 0 }))
        const route = commandRoute(definition, { url: '/run', method: 'GET', ...style })
        app.route(route)
        const { 200: { content } } = route.schema!.response as { 200: { content: Record<string, { itemSchema: ItemSchema }> } }
        const { itemSchema } = content[accept]!
        const seen = new Set<string>()
        for (const fail of definition === Regular ? [false] : [false, true]) {
          const { statusCode, body } = await app.inject({ url: `/run?fail=${fail}`, headers: { accept } })
          t.equal(statusCode, 200)
          for (const item of accept === 'text/event-stream' ? eventsOf(body) : linesOf(body)) seen.add(titleOf(t, itemSchema, item))
        }
        const { oneOf } = itemSchema.oneOf === undefined ? itemSchema.properties['data']!.contentSchema : itemSchema
        const described = oneOf!.map(({ title }) => title)
        t.strictSame([...seen].sort(), (definition === Regular ? described.slice(0, -1) : described).sort(), 'each kind was seen, and no other')
      })
    }
  }
}

for (const [name, [schema, result]] of Object.entries(results)) {
  for (const framing of ['event', 'envelope'] as const) {
    t.test(`describes a result that is ${name}, by ${framing}`, async t => {
      const { app } = await createApp(t)
      const definition = defineQuery({ name: 'ending', input, result: schema })
      app.mediator.addHandler(definition, async () => result as never)
      const route = commandRoute(definition, { url: '/run', method: 'GET', framing })
      app.route(route)
      const { 200: { content } } = route.schema!.response as { 200: { content: Record<string, { itemSchema: ItemSchema }> } }
      const accept = 'text/event-stream'
      const { body } = await app.inject({ url: '/run', headers: { accept } })
      t.strictSame(eventsOf(body).map(item => titleOf(t, content[accept]!.itemSchema, item)), ['start', 'complete'])
    })
  }
}

t.test('describes no envelope of a closed result but the one that there is', async t => {
  const definition = defineQuery({ name: 'ending', input, result: closedResult })
  const { 200: { content } } = commandRoute(definition, { url: '/run', method: 'GET', framing: 'envelope' })
    .schema!.response as { 200: { content: Record<string, { itemSchema: ItemSchema }> } }
  const { oneOf } = content['text/event-stream']!.itemSchema.properties['data']!.contentSchema
  const complete = oneOf!.find(({ title }) => title === 'complete')!
  for (const [item, isValid] of [
    [{ type: 'complete', total: 1 }, true], [{ type: 'complete', data: { total: 1 } }, false], [{ type: 'complete', total: 1, more: 2 }, false],
    [{ type: 'complete' }, false], [{ total: 1 }, false], [{ type: 'done', total: 1 }, false]
  ] as const) t.equal(ajv.validate(complete, item), isValid, JSON.stringify(item))
})

/** The one kind of frame that an item is of, down to the JSON within its data. */
function titleOf (t: Test, itemSchema: ItemSchema, item: Record<string, unknown>): string {
  t.ok(ajv.validate(itemSchema, item), JSON.stringify({ item, errors: ajv.errors }))
  if (itemSchema.oneOf === undefined) return titleOf(t, itemSchema.properties['data']!.contentSchema, JSON.parse(item['data'] as string))
  const kinds = itemSchema.oneOf.filter(kind => ajv.validate(kind, item))
  t.equal(kinds.length, 1)
  const contentSchema = kinds[0]!.properties?.['data']?.contentSchema
  if (contentSchema !== undefined) t.ok(ajv.validate(contentSchema, JSON.parse(item['data'] as string)), JSON.stringify({ item, errors: ajv.errors }))
  return kinds[0]!.title
}

function eventsOf (body: string): Array<Record<string, unknown>> {
  return body.split('\n\n').filter(text => text !== '' && !text.startsWith(':')).map(text =>
    Object.fromEntries(text.split('\n').map(line => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)])))
}

function linesOf (body: string): Array<Record<string, unknown>> {
  return body.split('\n').filter(line => line !== '').map(line => JSON.parse(line))
}
