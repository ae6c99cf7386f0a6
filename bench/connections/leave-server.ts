import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import streamingMediator, { commandRoute, defineQuery } from '../../index.js'
import { answer } from '../answer.js'
import { now } from './now.js'

/** What the bench asks of a server whose clients leave. */
export type LeaveServerQuestion = 'port' | 'cpu' | 'finished'

const Watch = defineQuery({ name: 'watch', input: Type.Object({ stream: Type.Integer() }), progress: Type.Object({ n: Type.Integer() }) })

let finishedAt: number[] = []
let open = 0
let allFinished = (): void => {}

const server = process.argv[2] === 'node-http' ? await startPlain() : await startMediator()

answer(async (question: LeaveServerQuestion) => {
  if (question === 'port') return (server.address() as AddressInfo).port
  if (question === 'finished') {
    if (open > 0) await new Promise<void>(resolve => { allFinished = resolve })
    const told = finishedAt
    finishedAt = []
    return told
  }
  const { user, system } = process.cpuUsage()
  return user + system
})

/** Waits for what comes next, as most work does: some other machine. */
async function * watch (stream: number, signal: AbortSignal): AsyncGenerator<{ n: number }, void, void> {
  open++
  try {
    yield { n: 0 }
    await once(signal, 'abort')
  } finally {
    finishedAt[stream] = now()
    if (--open === 0) allFinished()
  }
}

async function startMediator (): Promise<Server> {
  const app = Fastify()
  await app.register(streamingMediator)
  app.mediator.addHandler(Watch, ({ stream }, { signal }) => watch(stream, signal))
  app.route(commandRoute(Watch, { url: '/', method: 'GET' }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app.server
}

async function startPlain (): Promise<Server> {
  const plain = createServer(async (request, response) => {
    const left = new AbortController()
    response.once('close', () => left.abort())
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    let id = 0
    for await (const event of watch(Number(new URL(request.url!, 'http://localhost').searchParams.get('stream')), left.signal)) {
      response.write(`event: progress\nid: ${++id}\ndata: ${JSON.stringify(event)}\n\n`)
    }
  })
  plain.listen(0, '127.0.0.1')
  await once(plain, 'listening')
  return plain
}
