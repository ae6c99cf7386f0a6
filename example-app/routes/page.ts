import { readFile } from 'node:fs/promises'
import type { FastifyPluginAsync } from 'fastify'

const publicFolder = new URL('../public/', import.meta.url)

const assets = [
  { url: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/app.js', file: 'app.js', type: 'text/javascript; charset=utf-8' },
  { url: '/style.css', file: 'style.css', type: 'text/css; charset=utf-8' }
]

const headers = {
  'cache-control': 'no-cache',
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

/** The page at `/`, which starts a job and follows it with the browser's own EventSource. */
export const page: FastifyPluginAsync = async app => {
  for (const { url, file, type } of assets) {
    const content = await readFile(new URL(file, publicFolder))
    app.get(url, async (_request, reply) => reply.headers(headers).type(type).send(content))
  }
}
