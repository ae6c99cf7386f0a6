import type { MessageBroker } from './message-broker.js'

/** A broker that keeps nothing: for a process that has no use for the notification events of its modules. */
export class NullMessageBroker implements MessageBroker {
  async publish (): Promise<void> {}
}
