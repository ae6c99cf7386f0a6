import Fastify from 'fastify'
import type { FastifyServerOptions } from 'fastify'
import t from 'tap'
import { lastFrameSeen, protocolParametersOf } from '../../routes/protocol-parameters.js'

const id = 'Zk3vQx0bT2mYw9LhR4sD1A.7'

for (const [what, url, headers, server, seq] of [
  ['nothing', '/', {}, {}, undefined],
  ['the header', '/', { 'last-event-id': id }, {}, 7],
  ['the url', `/?lastEventId=${id}`, {}, {}, 7],
  ['the header before the url', `/?lastEventId=${id}1`, { 'last-event-id': id }, {}, 7],
  ['the url where the header is empty', `/?lastEventId=${id}`, { 'last-event-id': '' }, {}, 7],
  ['the first that is not empty', `/?lastEventId=&lastEventId=${id}&lastEventId=$`, {}, {}, 7],
  ['nothing of an empty parameter', '/?lastEventId=', {}, {}, undefined],
  ['nothing behind a semicolon', `/x;lastEventId=${id}`, {}, {}, undefined],
  ['what is behind a semicolon where Fastify reads it', `/;lastEventId=${id}`, {}, { routerOptions: { useSemicolonDelimiter: true } }, 7],
  ['what is behind a semicolon where Fastify reads it, the old way', `/;lastEventId=${id}`, {}, { useSemicolonDelimiter: true }, 7]
] as const) {
  t.test(`R20 finds the last id in a request: ${what}`, async t => {
    // The option of the router is missing in Fastify's type.
    const app = Fastify(server as FastifyServerOptions)
    let seen: unknown
    app.get('*', async request => {
      seen = lastFrameSeen(request, protocolParametersOf(request))?.seq
      return null
    })
    t.equal((await app.inject({ url, headers })).statusCode, 200)
    t.equal(seen, seq)
  })
}

t.test('R20 refuses what is no id, in either place', async t => {
  const app = Fastify()
  app.get('/', async request => lastFrameSeen(request, protocolParametersOf(request)))
  t.equal((await app.inject('/?lastEventId=$')).statusCode, 400)
  t.equal((await app.inject({ url: `/?lastEventId=${id}`, headers: { 'last-event-id': '$' } })).statusCode, 400)
})
