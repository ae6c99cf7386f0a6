// Compiled by `tsc -p .`, never run: what the hook infers, and what must not compile.
import { useStream } from '../../lib/react/index.js'
import type { StreamSnapshot } from '../../lib/react/index.js'
import { createClient } from '../../lib/client/index.js'
import type { ClientStreamState } from '../../lib/client/index.js'
import type { Add, Countdown, ProcessFiles, Report } from './client.js'
import { expectValue } from './expect-type.js'

interface Commands {
  'process-files': typeof ProcessFiles
  countdown: typeof Countdown
  add: typeof Add
  report: typeof Report
}
const client = createClient<{ [Name in keyof Commands]: Commands[Name] }>({ baseUrl: '/commands' })

const files = useStream(client, 'process-files', { keep: 100, resume: 'files' })
expectValue<readonly { fileId: string, sizeBytes: number }[]>()(files.progress)
expectValue<{ fileId: string, sizeBytes: number } | undefined>()(files.latest)
expectValue<{ processed: number } | undefined>()(files.result)
expectValue<unknown>()(files.error)
expectValue<ClientStreamState>()(files.status)
expectValue<Promise<{ processed: number }>>()(files.start({ fileIds: ['a'] }, { signal: new AbortController().signal, idempotencyKey: 'a', method: 'GET' }))
const shown: StreamSnapshot<{ fileId: string, sizeBytes: number }, { processed: number }> = files
expectValue<number>()(shown.count + shown.attempt)

// Several kinds of progress are a union by event name; a regular command has none.
const { latest } = useStream(client, 'countdown')
if (latest?.event === 'tick') expectValue<number>()(latest.data.remaining)
expectValue<undefined>()(useStream(client, 'add').latest)
// What JSON makes of dates.
expectValue<{ at: string } | undefined>()(useStream(client, 'report').latest)

// @ts-expect-error There is no such command.
useStream(client, 'process')
// @ts-expect-error The input is that of the command.
void files.start({ fileIds: [1] })
// @ts-expect-error The input is needed.
void files.start()
// @ts-expect-error What is shown is not changed.
files.progress.push({ fileId: 'a', sizeBytes: 1 })
// @ts-expect-error Options are known.
useStream(client, 'add', { batch: 1 })
