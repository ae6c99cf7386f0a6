import type { StreamLog } from '../lib/stream-log.js'
import { SharedTexts } from './shared-text.js'

/** Where the plugin keeps the streams that outlive their sockets. */
export const keptStreams = Symbol('fastify-streaming-mediator.kept-streams')

declare module 'fastify' {
  interface FastifyInstance {
    /** @internal */
    [keptStreams]: KeptStreams
  }
}

/** The streams that are kept, and where they are read. */
export class KeptStreams {
  readonly log: StreamLog
  readonly texts = new SharedTexts()
  /** The prefix of the streams routes, as it stands in urls; undefined without them. */
  prefix: string | undefined
  readonly #publicPrefix: string

  constructor (log: StreamLog, publicPrefix: string) {
    this.log = log
    this.#publicPrefix = publicPrefix
  }

  /** The path at which clients read a stream; undefined where no route does that. */
  urlOf (streamId: string): string | undefined {
    return this.prefix === undefined ? undefined : `${this.#publicPrefix}${this.prefix}/${streamId}`
  }
}
