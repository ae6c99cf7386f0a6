import type { FastifyPluginAsync } from 'fastify'
import { FileClosed } from './contracts.js'

/** Logs who read how much of which file. The logger of an event carries the stream's id, so that the request can be found. */
export const audit: FastifyPluginAsync = async app => {
  app.mediator.addEventHandler(FileClosed, ({ payload }, { log }) => {
    log.info({ audit: payload }, payload.bytesRead < payload.sizeBytes ? 'file was read in part' : 'file was read')
  })
}
