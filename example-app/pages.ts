import { existsSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyReply } from 'fastify'
import fastifyPlugin from 'fastify-plugin'

/** A page that needs no building. */
const plainPage = fileURLToPath(new URL('public/', import.meta.url))

/** Those of the gallery beside `/`. They share one document, and `web/pages.ts` chooses by the path. */
const paths = ['/import', '/export', '/orders', '/chat', '/downloads']

const headers = {
  'cache-control': 'no-cache',
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

function setHeaders (reply: FastifyReply): void {
  reply.headers(headers)
}

/** Routes for those who ask for a document, as the address bar of a browser does. Without such a route they get what all others get. */
const forDocuments = {
  name: 'document',
  storage () {
    const handlers = new Map<unknown, any>()
    return { get: (key: unknown) => handlers.get(key) ?? null, set: (key: unknown, handler: unknown) => { handlers.set(key, handler) } }
  },
  deriveConstraint: ({ headers }: { headers: IncomingHttpHeaders }) => headers.accept?.includes('text/html') === true ? true : undefined,
  validate () {},
  mustMatchWhenDerived: false
}

export interface PagesOptions {
  /** Where `npm run build:pages` has put them. @default the `dist` folder beside this file */
  readonly builtPages?: string
}

/** The pages of the gallery and, at `/eventsource/`, one that does without a framework and without our client. */
export const pages = fastifyPlugin<PagesOptions>(async (app, { builtPages = fileURLToPath(new URL('dist/', import.meta.url)) }) => {
  if (!existsSync(builtPages)) throw new Error('The pages are not built: run npm run build:pages')
  await app.register(fastifyStatic, { root: builtPages, wildcard: false, cacheControl: false, setHeaders })
  // The tasks' page has the url of their list, for those who want a document: by any other `Accept` the list is sent.
  app.addConstraintStrategy(forDocuments)
  app.get('/tasks', { constraints: { document: true } }, async (_request, reply) => reply.header('vary', 'accept').sendFile('index.html'))
  for (const path of paths) app.get(path, async (_request, reply) => reply.sendFile('index.html'))

  await app.register(fastifyStatic, { root: plainPage, prefix: '/eventsource/', decorateReply: false, wildcard: false, cacheControl: false, setHeaders })
  app.get('/eventsource', async (_request, reply) => reply.redirect('/eventsource/'))
})
