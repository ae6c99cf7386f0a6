import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import fastifyPlugin from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import { commandRoute } from '../../index.js'
import type { Database } from '../database/database.js'
import { FileId, ImportCsv, ImportPeople, RowsImported } from './contracts.js'
import { FileTooLargeError } from './errors.js'
import { importRows } from './import-rows.js'
import { sampleCsv } from './sample.js'
import { Uploads, maxUploadBytes } from './uploads.js'

const maxSampleRows = 1_000_000

/**
 * Imports people from CSV files: `POST /commands/import-csv` with the CSV as its body, or `PUT /import/files/:id` and then, as a job,
 * `POST /jobs/import-people`.
 */
export const importing = fastifyPlugin<{ readonly database: Database }>(async (app, { database }) => {
  const uploads = new Uploads()
  app.addHook('onClose', async () => await uploads.close())

  app.mediator.addHandler(ImportCsv, async function * (input, context) {
    return yield * importRows(database, input, context)
  })
  app.mediator.addHandler(ImportPeople, async function * ({ fileId }, context) {
    const { file, bytes } = await uploads.take(fileId)
    try {
      return yield * importRows(database, { source: file.createReadStream({ autoClose: false }), totalBytes: bytes }, context)
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
  app.get<{ Params: { id: string } }>('/import/runs/:id', async ({ params: { id } }) => {
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

  app.route(commandRoute(ImportPeople, {
    url: '/jobs/import-people',
    onDisconnect: 'continue',
    owner: 'public'
  }))

  // Bodies are streams here, and nowhere else.
  await app.register(async bodies => {
    bodies.removeAllContentTypeParsers()
    bodies.addContentTypeParser('text/csv', (_request, body, done) => done(null, body))

    bodies.put<{ Params: { id: string }, Body: Readable }>('/import/files/:id', {
      schema: { params: Type.Object({ id: FileId }) },
      config: { longBody: true },
      preParsing: requireSmallBody
    }, async ({ params: { id }, body }, reply) => {
      const bytes = await uploads.add(id, body)
      return reply.code(201).send({ fileId: id, bytes })
    })

    bodies.route(commandRoute(ImportCsv, {
      url: '/commands/import-csv',
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
  if (Number(length) > maxUploadBytes) throw new FileTooLargeError(maxUploadBytes)
}

// Leaving it must not cut the connection, on which the answer goes.
async function * limited (body: Readable): AsyncGenerator<Buffer, void, undefined> {
  let bytes = 0
  for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxUploadBytes) throw new FileTooLargeError(maxUploadBytes)
    yield chunk
  }
}
