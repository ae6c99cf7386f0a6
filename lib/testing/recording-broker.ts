import type { EventDefinition, PayloadOf } from '../event.js'
import type { MessageBroker, MessageEnvelope } from '../message-broker.js'

/** A broker that keeps what it has acknowledged, and fails when it is told to. */
export class RecordingBroker implements MessageBroker {
  readonly #envelopes: MessageEnvelope[] = []
  readonly #failures: unknown[] = []

  /** All envelopes that were acknowledged, the oldest first. Fills while the mediator runs. */
  get envelopes (): readonly MessageEnvelope[] {
    return this.#envelopes
  }

  /** The payloads of one event, as their JSON says: a date in them is text. */
  payloadsOf<E extends EventDefinition> (definition: E): Array<PayloadOf<E>> {
    // The mediator made the envelopes of this type from payloads of this definition.
    return this.#envelopes.filter(({ type }) => type === definition.name).map(({ data }) => data as PayloadOf<E>)
  }

  /** Refuses the next envelope with an error. Called twice, it refuses the next two. */
  failNext (error: unknown = new Error('the message broker is down')): void {
    this.#failures.push(error)
  }

  async publish (envelope: MessageEnvelope): Promise<void> {
    if (this.#failures.length > 0) throw this.#failures.shift()
    this.#envelopes.push(envelope)
  }
}
