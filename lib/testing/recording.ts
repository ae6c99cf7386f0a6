import type { EmittedEvent } from '../event.js'
import { maxTimeoutMs } from '../max-timeout.js'
import { onEmit } from '../mediator-options.js'
import type { MessageBroker } from '../message-broker.js'
import { StreamingMediator } from '../streaming-mediator.js'
import type { Mapper } from '../streaming-mediator.js'
import { recordingLogger } from './log-record.js'
import type { LogRecord } from './log-record.js'
import { RecordingBroker } from './recording-broker.js'
import { snapshot } from './snapshot.js'

/** An event that was emitted or published, with its payload as it was then. */
export type RecordedEvent = Pick<EmittedEvent, 'name' | 'payload'>

/** What every run of the test kit takes. */
export interface RecordingOptions {
  /** Adds what the handler needs beside itself: handlers of the commands that it sends and of its events, behaviors. */
  readonly register?: Mapper | undefined
  /** Where events with a topic are published. @default a RecordingBroker */
  readonly messageBroker?: MessageBroker | undefined
}

/** A mediator for one run, and what was seen of it. */
export class Recording {
  readonly events: RecordedEvent[] = []
  readonly logs: LogRecord[] = []
  readonly mediator: StreamingMediator
  readonly #register: Mapper | undefined

  /** `isSeen` decides which events are kept. */
  constructor ({ register, messageBroker = new RecordingBroker() }: RecordingOptions, isSeen: (event: EmittedEvent) => boolean = () => true) {
    this.#register = register
    this.mediator = new StreamingMediator({
      logger: recordingLogger(this.logs),
      messageBroker,
      // Work that never ends is for the time limit of the test to find: nothing here ends it.
      closeGraceMs: maxTimeoutMs,
      [onEmit]: event => { if (isSeen(event)) this.events.push({ name: event.name, payload: snapshot(event.payload) }) }
    })
  }

  /** Runs work of the mediator, at once where nothing is to be registered, and whatever it has left running, to the end. */
  async run<T> (work: () => Promise<T>): Promise<T> {
    try {
      if (this.#register !== undefined) {
        await this.mediator.register(this.#register)
        await this.mediator.ready()
      }
      return await work()
    } finally {
      await this.mediator.close()
    }
  }
}
