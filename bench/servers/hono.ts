import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { serve } from '../serve.js'
import { events, workOf } from '../source.js'

const app = new Hono()
app.get('/', context => streamSSE(context, async stream => {
  let id = 0
  for await (const event of events(workOf(context.req.url))) {
    await stream.writeSSE({ event: 'progress', id: String(++id), data: JSON.stringify(event) })
  }
  await stream.writeSSE({ event: 'complete', data: 'null' })
}))
await serve(createAdaptorServer(app) as Server)
