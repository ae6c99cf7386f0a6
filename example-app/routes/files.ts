import type { FastifyPluginAsync } from 'fastify'

/** `GET /files` lists what can be processed. */
export const files: FastifyPluginAsync = async app => {
  app.get('/files', async () => await app.folder.list())
}
