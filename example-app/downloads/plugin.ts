import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream'
import { createGzip } from 'node:zlib'
import fastifyStatic from '@fastify/static'
import type { FastifyPluginAsync } from 'fastify'

export interface DownloadsOptions {
  /** The folder whose entries can be downloaded. */
  readonly filesDir: string
}

interface Params { readonly Params: { readonly file: string } }

/**
 * Sends files: `GET /downloads/:file` as they are, in parts where a client asks for them, and `GET /downloads/gzip/:file` compressed on
 * the way, whose length nobody knows before its end.
 */
export const downloads: FastifyPluginAsync<DownloadsOptions> = async (app, { filesDir }) => {
  await app.register(fastifyStatic, { root: filesDir, serve: false })

  app.get<Params>('/downloads/:file', async (request, reply) => {
    const { file } = request.params
    // It knows links that lead out of the folder.
    await app.folder.find(file)
    return reply.header('x-content-type-options', 'nosniff').download(file)
  })

  // HEAD would compress the whole file, and throw it away.
  app.get<Params>('/downloads/gzip/:file', { exposeHeadRoute: false }, async (request, reply) => {
    const { file } = request.params
    const source = createReadStream(await app.folder.find(file))
    // Fastify destroys what it sends when the client leaves, and that ends the reading.
    const gzip = pipeline(source, createGzip(), error => { if (error != null) request.log.info('download was left') })
    return await reply
      .header('content-type', 'application/gzip')
      .header('content-disposition', `attachment; filename*=UTF-8''${encodeName(`${file}.gz`)}`)
      .header('x-content-type-options', 'nosniff')
      .send(gzip)
  })
}

// RFC 8187 takes fewer characters as they are than a url does.
function encodeName (name: string): string {
  return encodeURIComponent(name).replaceAll(/['()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}
