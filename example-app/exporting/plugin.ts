import { Readable } from 'node:stream'
import fastifyPlugin from 'fastify-plugin'
import { commandRoute } from '../../index.js'
import type { Database } from '../database/database.js'
import type { Room } from '../database/room.js'
import { ExportPeople, FillPeople } from './contracts.js'
import type { Format } from './contracts.js'
import { ExportFiles } from './export-files.js'
import { exportPeopleTo } from './export-people.js'
import { fillPeopleOf } from './fill-people.js'
import { formats, textOf } from './formats.js'
import { findPeople, peoplePages } from './people-pages.js'

/**
 * Exports people: `GET /export/people.csv` and `/export/people.ndjson` while they are read, and `POST /jobs/export-people` into a file.
 * `POST /jobs/fill-people` makes some.
 */
export const exporting = fastifyPlugin<{ readonly database: Database, readonly room: Room }>(async (app, { database, room }) => {
  const files = new ExportFiles()
  await files.removeAbandoned()
  app.addHook('onClose', async () => await files.close())
  app.mediator.addHandler(ExportPeople, exportPeopleTo(files, database))
  app.mediator.addHandler(FillPeople, fillPeopleOf(database, room))
  for (const [command, summary] of [[ExportPeople, 'Exports the people into a file'], [FillPeople, 'Adds made-up people']] as const) {
    app.route(commandRoute(command, { url: `/jobs/${command.name}`, onDisconnect: 'continue', owner: 'public', schema: { summary } }))
  }

  // Without their HEAD routes, which would read everything for nothing.
  const exposeHeadRoute = false
  for (const format of Object.keys(formats) as Format[]) {
    app.get(`/export/people.${format}`, { exposeHeadRoute }, async (_request, reply) => {
      // What is wrong by now is told with a status; later it cuts the connection, so that nobody takes a part for the whole.
      const range = await findPeople(database)
      reply.headers(downloadHeaders(format))
      // It reads the next page when the client has taken the one before, and none when the client has left.
      return reply.send(Readable.from(texts(format, range)))
    })
  }

  async function * texts (format: Format, range: Awaited<ReturnType<typeof findPeople>>): AsyncGenerator<string, void, undefined> {
    for await (const { text } of textOf(format, peoplePages(database, range))) {
      if (text !== '') yield text
    }
  }

  app.get<{ Params: { name: string } }>('/export/files/:name', { exposeHeadRoute }, async ({ params: { name } }, reply) => {
    const { file, bytes } = await files.open(name)
    reply.headers({ ...downloadHeaders(name.endsWith('.csv') ? 'csv' : 'ndjson'), 'content-length': bytes })
    return reply.send(file.createReadStream())
  })
})

function downloadHeaders (format: Format): Record<string, string> {
  return {
    'content-type': formats[format].type,
    'content-disposition': `attachment; filename="people.${format}"`,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff'
  }
}
