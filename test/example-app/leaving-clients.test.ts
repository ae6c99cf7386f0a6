import { once } from 'node:events'
import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { randomFrom } from '../support/random.js'
import { RunningApp } from './running-app.js'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)

t.test('goes on serving whatever the moment at which clients leave', async t => {
  t.comment(`SEED=${seed}`)
  const random = randomFrom(seed)
  const app = await new RunningApp().start(t)
  const { port } = new URL(app.url)
  const fileIds = ['access-log.txt', 'broken.json', 'empty', 'orders.csv', 'orders.json', 'photo.bin', 'read me first.md']
  const leave = async (): Promise<void> => {
    const body = JSON.stringify({ fileIds, operation: ['analyze', 'compress', 'validate'][Math.floor(random() * 3)] })
    const socket = connect(Number(port), '127.0.0.1').on('error', () => {})
    socket.write(`POST /commands/process-files HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    // After the first byte of an answer, and then a number of turns of the event loop.
    await once(socket, 'data')
    for (let turns = Math.floor(random() * 40); turns > 0; turns--) await turn()
    socket.resetAndDestroy()
  }
  for (let round = 0; round < 30; round++) await Promise.all(Array.from({ length: 5 }, leave))
  t.equal((await app.run({ fileIds })).at(-1)!.event, 'complete')
  t.strictSame(app.logs.filter(({ level }) => level >= 40), [])
})
