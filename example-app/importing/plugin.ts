import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import fastifyPlugin from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import { commandRoute } from '../../index.js'
import type { InputOf } from '../../index.js'
import type { Database } from '../database/database.js'
import type { Room } from '../database/room.js'
import { bodyOf } from '../request-bodies.js'
import { UploadTooLargeError } from '../uploads/upload-errors.js'
import { UploadFolder } from '../uploads/upload-folder.js'
import { FileId, ImportCsv, ImportPeople, RowsImported } from './contracts.js'
import { importRows } from './import-rows.js'
import { sampleCsv } from './sample.js'

const maxSampleRows = 1_000_000
const maxUploadBytes = 1_073_741_824
const maxUploads = 16
const keepUploadMs = 10 * 60_000
// More than there can be within the minutes that their jobs are kept.
const maxTaken = 1_000
const StreamId = Type.String({ pattern: '^[A-Za-z0-9_-]{22}$' })

/**
 * Imports people from CSV files: `POST /commands/import-csv` with the CSV as its body, or `PUT /import/files/:id` and then, as a job,
 * `POST /jobs/import-people`.
 */
export const importing = fastifyPlugin<{ readonly database: Database, readonly room: Room }>(async (app, { database, room }) => {
  const uploads = new UploadFolder({ folderName: 'imports', maxBytes: maxUploadBytes, maxUploads, keepMs: keepUploadMs })
  await uploads.removeAbandoned()
  app.addHook('onClose', async () => await uploads.close())

  // In the order in which their jobs began.
  const taken = new Set<string>()

  app.mediator.addHandler(ImportCsv, async function * (input, context) {
    return yield * importRows(database, room, input, context)
  })
  app.mediator.addHandler(ImportPeople, async function * ({ fileId }, context) {
    taken.add(fileId)
    if (taken.size > maxTaken) taken.delete([...taken][0]!)
    const { file, bytes } = await uploads.take(fileId)
    try {
      return yield * importRows(database, room, { source: file.createReadStream({ autoClose: false }), totalBytes: bytes }, context)
    } finally {
      await file.close()
    }
  })

  const tally = { batches: 0, rows: 0, duplicates: 0 }
  app.mediator.addEventHandler(RowsImported, ({ payload: { rows, duplicates } }) => {
    tally.batches++
    tally.rows += rows
    tally.duplicates += duplicates
  })
  app.get('/import/tally', async () => tally)

  // Also of an import that was cancelled: a batch that was on its way by then is waited for. None is in of one that never began.
  app.get<{ Params: { id: string } }>('/import/runs/:id', { schema: { params: Type.Object({ id: StreamId }) } }, async ({ params: { id } }) => {
    const [run] = await database.query<{ rows: number }>('SELECT rows FROM imports WHERE id = $1 FOR UPDATE', [id])
    return run ?? { rows: 0 }
  })

  app.get<{ Querystring: { rows: number, good: boolean } }>('/import/sample.csv', {
    exposeHeadRoute: false,
    schema: {
      querystring: Type.Object({ rows: Type.Integer({ minimum: 1, maximum: maxSampleRows, default: 10_000 }), good: Type.Boolean({ default: false }) })
    }
  }, async ({ query: { rows, good } }, reply) => {
    reply.headers({ 'content-type': 'text/csv; charset=utf-8', 'content-disposition': `attachment; filename="people-${rows}.csv"` })
    return reply.send(Readable.from(sampleCsv(rows, good)))
  })

  // A status that must be certain is decided before the stream. Whoever repeats a request by its key is told of the job that has the file.
  async function requireUpload ({ body, headers }: FastifyRequest): Promise<void> {
    const { fileId } = body as InputOf<typeof ImportPeople>
    if (headers['idempotency-key'] === undefined || !taken.has(fileId)) uploads.requireComplete(fileId)
  }

  app.route(commandRoute(ImportPeople, {
    url: '/jobs/import-people',
    onDisconnect: 'continue',
    owner: 'public',
    schema: { summary: 'Imports the people of a CSV that was uploaded' },
    preHandler: requireUpload
  }))

  // Bodies are streams here, and nowhere else.
  await app.register(async bodies => {
    bodies.removeAllContentTypeParsers()
    bodies.addContentTypeParser('text/csv', (_request, body, done) => done(null, body))

    bodies.put<{ Params: { id: string } }>('/import/files/:id', {
      schema: { params: Type.Object({ id: FileId }) },
      config: { longBody: true },
      preParsing: requireSmallBody
    }, async ({ params: { id }, raw }, reply) => {
      const bytes = await uploads.receive(id, id, bodyOf(raw))
      return reply.code(201).send({ fileId: id, bytes })
    })

    bodies.route(commandRoute(ImportCsv, {
      url: '/commands/import-csv',
      schema: { summary: 'Imports the people of the CSV in its body' },
      // It is read as fast as the database takes its rows.
      config: { longBody: true },
      preParsing: requireSmallBody,
      map: ({ body, headers: { 'content-length': length } }) => ({
        source: limited(body as Readable),
        ...(length !== undefined && { totalBytes: Number(length) })
      })
    }))
  })
})

// Before a byte of it is read, where the client tells its length.
async function requireSmallBody ({ headers: { 'content-length': length } }: FastifyRequest): Promise<void> {
  if (Number(length) > maxUploadBytes) throw new UploadTooLargeError(maxUploadBytes)
}

// Leaving it must not cut the connection, on which the answer goes.
async function * limited (body: Readable): AsyncGenerator<Buffer, void, undefined> {
  let bytes = 0
  for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxUploadBytes) throw new UploadTooLargeError(maxUploadBytes)
    yield chunk
  }
}
