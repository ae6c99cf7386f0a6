import type { FastifyPluginAsync } from 'fastify'
import { FileOpened } from './contracts.js'

const maxRecentFiles = 20

/** Remembers the files that were opened last, and tells them at `GET /recent-files`. */
export const recentFiles: FastifyPluginAsync = async app => {
  let recent: Array<{ fileId: string, operation: string, openedAt: string }> = []

  app.mediator.addEventHandler(FileOpened, ({ payload: { fileId, operation } }) => {
    const others = recent.filter(file => file.fileId !== fileId)
    recent = [{ fileId, operation, openedAt: new Date().toISOString() }, ...others].slice(0, maxRecentFiles)
  })

  app.get('/recent-files', async () => recent)
}
