import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { isOwnerOption, logOwnerOf, ownerOf } from '../../routes/owner.js'
import type { OwnerOption } from '../../routes/owner.js'
import { commandRoute } from '../../index.js'
import { Count } from '../support/app.js'

const request = {} as FastifyRequest

t.test('is a function or public', async t => {
  for (const option of ['public', () => 'ada', async () => undefined]) t.equal(isOwnerOption(option), true)
  for (const option of [undefined, null, '', 'Public', 'ada', {}, 1]) t.equal(isOwnerOption(option), false)
})

t.test('counts a public stream for nobody', async t => {
  t.equal(await ownerOf('public', request), undefined)
  t.equal(await ownerOf(undefined, request), undefined)
  t.equal(await ownerOf(async () => 'ada', request), 'ada')
})

t.test('keeps public streams under a name that nobody else can have', async t => {
  const name = await logOwnerOf('public', request)
  await t.rejects(logOwnerOf(() => name, request), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', statusCode: 500 })
  t.equal(await logOwnerOf(() => 'public', request), 'public')
  t.not(await logOwnerOf(() => 'public', request), name)
})

t.test('takes nobody for no owner, and only a text for one', async t => {
  await t.rejects(logOwnerOf(() => undefined, request), { code: 'MEDIATOR_ERR_OWNER_MISSING', statusCode: 401 })
  for (const owner of [null, 5, {}, ['ada'], Object('ada')]) {
    await t.rejects(logOwnerOf((() => owner) as unknown as OwnerOption, request), { code: 'MEDIATOR_ERR_INVALID_OPTIONS', statusCode: 500 })
  }
})

t.test('is refused by a route where it is neither', async t => {
  for (const owner of ['ada', 5, null]) {
    t.throws(() => commandRoute(Count, { url: '/count', owner: owner as unknown as OwnerOption }), { code: 'MEDIATOR_ERR_INVALID_ROUTE', message: /owner/ })
  }
})
