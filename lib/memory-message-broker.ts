import { Type } from '@sinclair/typebox'
import type { MessageBroker, MessageEnvelope } from './message-broker.js'
import { parseOptions } from './options.js'

const optionsSchema = Type.Object({
  maxMessages: Type.Integer({ minimum: 0, default: 1_000 })
})

/** Options of {@link MemoryMessageBroker}. */
export interface MemoryMessageBrokerOptions {
  /** How many envelopes `messages` keeps; the oldest leave first. @default 1000 */
  readonly maxMessages?: number
}

/** Gets the envelopes of a topic. The broker acknowledges an envelope when all of its subscribers have come to a good end. */
export type Subscriber = (envelope: MessageEnvelope, options: { readonly signal: AbortSignal }) => unknown

/** A broker within one process, for tests and for apps of one process. It delivers to who has subscribed by then, and keeps the last envelopes. */
export class MemoryMessageBroker implements MessageBroker {
  readonly #maxMessages: number
  readonly #subscriptions = new Map<string, Set<{ readonly subscriber: Subscriber }>>()
  #messages: MessageEnvelope[] = []

  /** @throws MEDIATOR_ERR_INVALID_OPTIONS */
  constructor (options: MemoryMessageBrokerOptions = {}) {
    this.#maxMessages = parseOptions('MemoryMessageBroker', optionsSchema, options).maxMessages
  }

  /** The last envelopes, the oldest first. One that is published again is there again. */
  get messages (): readonly MessageEnvelope[] {
    return this.#messages.slice(-this.#maxMessages)
  }

  /** Calls the subscriber for each envelope of a topic from now on. Returns a function that ends this. */
  subscribe (topic: string, subscriber: Subscriber): () => void {
    const subscriptions = this.#subscriptions.get(topic) ?? new Set()
    // An object of its own, so that a function which subscribes twice can leave once.
    const subscription = { subscriber }
    this.#subscriptions.set(topic, subscriptions.add(subscription))
    return () => {
      subscriptions.delete(subscription)
      if (subscriptions.size === 0 && this.#subscriptions.get(topic) === subscriptions) this.#subscriptions.delete(topic)
    }
  }

  /** Delivers to all subscribers of the topic. Rejects with what one threw, or an AggregateError of several, when all have settled. */
  async publish (envelope: MessageEnvelope, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    this.#keep(envelope)
    const subscriptions = [...this.#subscriptions.get(envelope.topic) ?? []]
    const outcomes = await Promise.allSettled(subscriptions.map(async ({ subscriber }) => { await subscriber(envelope, { signal }) }))
    const failures = outcomes.filter(outcome => outcome.status === 'rejected').map(({ reason }) => reason as unknown)
    if (failures.length === 1) throw failures[0]
    if (failures.length > 1) throw new AggregateError(failures, `${failures.length} subscribers of "${envelope.topic}" failed`)
  }

  // Cut at twice the bound, so that dropping the oldest costs no shift of all others each time.
  #keep (envelope: MessageEnvelope): void {
    if (this.#maxMessages === 0) return
    this.#messages.push(envelope)
    if (this.#messages.length >= 2 * this.#maxMessages) this.#messages = this.#messages.slice(-this.#maxMessages)
  }
}
