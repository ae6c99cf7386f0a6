export { useStream } from './use-stream.js'
export type { StreamHandle, UseStreamOptions } from './use-stream.js'
export type { StreamSnapshot } from './stream-run.js'
