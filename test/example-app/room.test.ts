import t from 'tap'
import { Room } from '../../example-app/database/room.js'

t.test('lets four write at once, and the next one when somebody has left', async t => {
  const room = new Room()
  const leave = Array.from({ length: 4 }, () => room.enter())
  t.throws(() => room.enter(), { code: 'EXAMPLE_ERR_TOO_MANY_WRITERS', statusCode: 503 })
  leave[0]!()
  room.enter()
  t.throws(() => room.enter(), { code: 'EXAMPLE_ERR_TOO_MANY_WRITERS' })
})
