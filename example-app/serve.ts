import cluster from 'node:cluster'
import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.js'
import { exit } from './exit.js'
import type { Settings } from './settings.js'

const signals = ['SIGINT', 'SIGTERM'] as const

// One order for each of five customers.
const orders = Object.entries({ ada: 'lamp', grace: 'clock', linus: 'kettle', margaret: 'rug', tim: 'chair' })
  .map(([name, product], index) => ({ orderId: `A-${index + 1}`, email: `${name}@example.com`, items: [{ product }] }))

/** Runs the app in this process, until a signal ends it: alone, or as one of the workers of a cluster. */
export async function serve ({ host, port, filesDir, databaseUrl, upstream }: Settings): Promise<void> {
  const app = await buildApp({ logger: true, databaseUrl, chat: { upstream }, ...(filesDir !== undefined && { filesDir }) })
  const files = await app.folder.list().catch((error: Error) => exit(`FILES is "${filesDir}": it must be a folder that can be read (${error.message})`))

  try {
    const url = await app.listen({ host, port })
    // The first worker speaks for all, and those that replace one are silent.
    if (cluster.isPrimary || cluster.worker!.id === 1) greet(url, files.map(({ fileId }) => fileId))
  } catch (error) {
    exit((error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      ? `Port ${port} of ${host} is in use: stop what listens there, or choose another one with PORT`
      : `Cannot listen at port ${port} of ${host}: ${(error as Error).message}`)
  }

  // Longer than streams have to end: `closeGraceMs`, and a second each for what ignores its signal, for the last frames
  // to arrive, and for clients that still send; two for downloads, and one for the database.
  const { close } = closeWithGrace({ delay: 12_000, logger: app.log, skip: [...signals] }, async ({ err }) => {
    if (err !== undefined) app.log.error(err)
    await app.close()
  })

  // A second signal would end the process at once, and npm passes on what a terminal or systemd has sent to us already.
  for (const signal of signals) process.on(signal, close)
}

function greet (url: string, fileIds: readonly string[]): void {
  console.log(`\nOpen ${url}/ or watch a command in a terminal. Files:\n\n${curlLine(`${url}/commands/process-files`, { fileIds })}`)
  console.log(`\nOrders, whose side effects are at ${url}/orders/journal:\n\n${curlLine(`${url}/commands/process-orders`, { orders })}`)
  console.log(`\nThe files as a job, which goes on without you. Leave it, and read on with its stream's id and the id that you saw last:
\n${curlLine(`${url}/jobs/process-files`, { fileIds })}\ncurl -N -H 'Last-Event-ID: <id>' ${url}/streams/<stream id>\n`)
}

function curlLine (url: string, input: object): string {
  // A single quote ends the shell's quoted text: it stands in a text of its own.
  return `curl -N -X POST ${url} -H 'content-type: application/json' -d '${JSON.stringify(input).replaceAll("'", "'\\''")}'`
}
