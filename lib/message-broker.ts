/**
 * A notification event on its way to a broker: a CloudEvent in its JSON format. It is frozen, because all attempts to publish it share
 * it: copy it to add an attribute.
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
 */
// A type, because an interface is not assignable to what has an index signature, such as the CloudEvent of the SDK.
export type MessageEnvelope<Data = unknown> = {
  readonly specversion: '1.0'
  /** Made once for each event: it stays the same when the publishing is tried again. */
  readonly id: string
  /** The mediator's option `eventSource`. */
  readonly source: string
  /** The event's name. */
  readonly type: string
  /** When the event was emitted (RFC 3339). */
  readonly time: string
  readonly datacontenttype: 'application/json'
  /** Extension attribute: where the broker is to send it. */
  readonly topic: string
  /** Extension attribute: the stream that emitted the event; absent for `mediator.publish`. */
  readonly streamid?: string
  /** The payload, as its schema is written in JSON. */
  readonly data: Data
}

/** Where notification events go. */
export interface MessageBroker {
  /** Resolves when the broker has acknowledged the envelope. `signal` aborts as that of an event handler does. */
  publish (envelope: MessageEnvelope, options: { readonly signal: AbortSignal }): Promise<unknown>
}
