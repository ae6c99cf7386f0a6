import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import streamingMediator, { commandRoute, defineQuery } from '../../index.js'
import { answer } from '../answer.js'

/** What the bench asks of a server whose streams are idle. */
export type IdleQuestion = 'port' | 'rss' | 'cpu' | 'open' | 'close'

interface IdleServer {
  readonly port: number
  /** How many streams are open. */
  open (): number
  /** How long it takes to end all of them, in milliseconds. */
  close (): Promise<number>
}

const Watch = defineQuery({ name: 'watch', input: Type.Object({}), progress: Type.Object({ n: Type.Integer() }) })

const server = process.argv[2] === 'node-http' ? await startPlain() : await startMediator()

answer(async (question: IdleQuestion) => {
  if (question === 'port') return server.port
  if (question === 'open') return server.open()
  if (question === 'close') return await server.close()
  if (question === 'rss') return await restingRss()
  const { user, system } = process.cpuUsage()
  return user + system
})

/** A stream that waits for something which does not come, in both servers, until its signal tells that its client has left. */
async function * watch (signal: AbortSignal): AsyncGenerator<{ n: number }, void, void> {
  yield { n: 0 }
  if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
}

async function startMediator (): Promise<IdleServer> {
  const closeGraceMs = 1_000
  const app = Fastify()
  await app.register(streamingMediator, { closeGraceMs, heartbeatMs: Number(process.argv[3]) })
  app.mediator.addHandler(Watch, (_input, { signal }) => watch(signal))
  app.route(commandRoute(Watch, { url: '/', method: 'GET' }))
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
  return {
    port: (app.server.address() as AddressInfo).port,
    open: () => app.mediator.stats().streams,
    close: async () => {
      const startedAt = performance.now()
      await app.close()
      return performance.now() - startedAt - closeGraceMs
    }
  }
}

// What a careful person writes without any library: a generator that waits, and is finished when its client leaves.
async function startPlain (): Promise<IdleServer> {
  let open = 0
  const plain = createServer(async (_request, response) => {
    open++
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const left = new AbortController()
    response.once('close', () => {
      open--
      left.abort()
    })
    let id = 0
    for await (const value of watch(left.signal)) response.write(`event: progress\nid: ${++id}\ndata: ${JSON.stringify(value)}\n\n`)
    response.end()
  })
  plain.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 })
  await once(plain, 'listening')
  return {
    port: (plain.address() as AddressInfo).port,
    open: () => open,
    close: async () => {
      const startedAt = performance.now()
      plain.closeAllConnections()
      plain.close()
      await once(plain, 'close')
      return performance.now() - startedAt
    }
  }
}

// The least of some readings: a collection gives pages back only after a while.
async function restingRss (): Promise<number> {
  let least = Infinity
  for (let pass = 0; pass < 10; pass++) {
    globalThis.gc!()
    await sleep(50)
    least = Math.min(least, process.memoryUsage.rss())
  }
  return least
}
