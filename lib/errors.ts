import createError from '@fastify/error'

// Errors that a client can be told about. Their statusCode decides the HTTP status or the `failed` frame.

/** 400: `Last-Event-ID` or `?lastEventId=` is not an id of this protocol. */
export const MalformedEventIdError = createError<[]>('MEDIATOR_ERR_MALFORMED_EVENT_ID',
  'The last event id is malformed: send back an id that a frame carried, unchanged', 400)

/** 400: `Last-Event-ID` or `?lastEventId=` is an id of another stream than the one that is asked for. */
export const ForeignEventIdError = createError<[]>('MEDIATOR_ERR_FOREIGN_EVENT_ID', 'The last event id is that of another stream', 400)

/** 400: an idempotency key was sent to a route that keeps no log and could not honour it. */
export const IdempotencyUnsupportedError = createError<[]>('MEDIATOR_ERR_IDEMPOTENCY_UNSUPPORTED',
  'This route keeps no log and cannot honour an idempotency key: send the request without one', 400)

/** 400: an idempotency key that is not 1 to 255 visible ASCII characters, or two that differ. */
export const MalformedIdempotencyKeyError = createError<[string]>('MEDIATOR_ERR_MALFORMED_IDEMPOTENCY_KEY', 'The idempotency key %s', 400)

/** 401: the route keeps streams for their owners, and nobody is signed in. */
export const OwnerMissingError = createError<[]>('MEDIATOR_ERR_OWNER_MISSING', 'This stream would be nobody\'s: sign in first', 401)

/** 403: the page of another site, or a browser ahead of its user, would have started a command. */
export const CrossSiteError = createError<[string]>('MEDIATOR_ERR_CROSS_SITE',
  'This route does not take a request that a browser made %s', 403)

/** 404: there is no stream of this id for whoever asks: it never was, has expired, or is somebody else's. */
export const StreamNotFoundError = createError<[]>('MEDIATOR_ERR_STREAM_NOT_FOUND', 'There is no such stream, or it is not kept any more', 404)

/** 406: the client accepts none of the media types that the route can answer with. */
export const NotAcceptableError = createError<[string]>('MEDIATOR_ERR_NOT_ACCEPTABLE',
  'None of the accepted media types can be sent: accept one of %s', 406)

/** 409: the stream was cancelled. */
export const CancelledError = createError<[]>('MEDIATOR_ERR_CANCELLED', 'The stream was cancelled', 409)

/** 410: nobody has read the stream for as long as its route waits. */
export const AbandonedError = createError<[]>('MEDIATOR_ERR_ABANDONED', 'Nobody has read the stream for too long', 410)

/** 410: frames after the given id are not kept any more. */
export const LogGapError = createError<[]>('MEDIATOR_ERR_LOG_GAP', 'Frames that follow the given one are not kept any more', 410)

/** 410: the log does not hold the given id and never trimmed it. */
export const LogRolledBackError = createError<[]>('MEDIATOR_ERR_LOG_ROLLED_BACK', 'The stream does not hold the given frame: its log was lost in part', 410)

/** 422: the idempotency key was used for another input. */
export const IdempotencyMismatchError = createError<[]>('MEDIATOR_ERR_IDEMPOTENCY_MISMATCH',
  'The idempotency key was used with another input: take a new key for a new request', 422)

/** 429: the owner has as many streams open as one may have. */
export const TooManyStreamsOfOwnerError = createError<[number]>('MEDIATOR_ERR_TOO_MANY_STREAMS_OF_OWNER',
  'You have %d streams open, which is the limit: wait until one has ended', 429)

/** 503: as many streams are open as the mediator takes. */
export const TooManyStreamsError = createError<[]>('MEDIATOR_ERR_TOO_MANY_STREAMS', 'The server has as many streams open as it takes', 503)

/** 503: the stream log is full. */
export const LogFullError = createError<[]>('MEDIATOR_ERR_LOG_FULL', 'The server keeps as many streams as it can', 503)

/** 504: the stream ran longer than `maxStreamMs`. */
export const DeadlineError = createError<[]>('MEDIATOR_ERR_DEADLINE', 'The stream ran longer than it may', 504)

/** 503: the mediator is closing; it takes no new work and ends what is open. */
export const ShuttingDownError = createError<[]>('MEDIATOR_ERR_SHUTTING_DOWN', 'The server is shutting down', 503)

// Errors of the program: 500 on the wire, where their message never goes.

/** A `define…` call was given a name or a schema that cannot work. */
export const InvalidDefinitionError = createError<[string, string, ErrorOptions?]>('MEDIATOR_ERR_INVALID_DEFINITION', 'Definition "%s" %s', 500)

/** An options object holds an unknown key or a wrong value. */
export const InvalidOptionsError = createError<[string, string]>('MEDIATOR_ERR_INVALID_OPTIONS', 'Invalid %s options: %s', 500)

/** What was given as a handler, or what a scope resolved it to, cannot handle anything. */
export const InvalidHandlerError = createError<[string, string]>('MEDIATOR_ERR_INVALID_HANDLER',
  'The handler of "%s" must be a function, a class or the name of one in a scope, got %s', 500)

/** `addBehavior` was given something that is not a function, or one that made no async generator. */
export const InvalidBehaviorError = createError<[]>('MEDIATOR_ERR_INVALID_BEHAVIOR',
  'A behavior must be an async generator function: async function * (call, next) { return yield * next() }', 500)

/** `next` was called in the last handler of a chain. */
export const ChainEndError = createError<[string]>('MEDIATOR_ERR_CHAIN_END',
  'No handler in the chain of command "%s" has handled the input: end the chain with one that does', 500)

/** One instance of a handler class that collects its events was resolved for two runs at once. */
export const SharedHandlerError = createError<[string]>('MEDIATOR_ERR_SHARED_HANDLER',
  'The handler of "%s" collects events and is at work already: register it as transient or scoped, not as a singleton', 500)

/** A handler asked for its scope after its stream had settled. */
export const ScopeEndedError = createError<[]>('MEDIATOR_ERR_SCOPE_ENDED',
  'The scope was asked for after its stream had settled: resolve what the work needs before', 500)

/** An event with a topic was emitted, or is defined when the mediator gets ready, and there is no broker to publish it. */
export const BrokerMissingError = createError<[string, string]>('MEDIATOR_ERR_BROKER_MISSING',
  'Event "%s" has the topic "%s" and there is no messageBroker: pass one to the mediator, or a NullMessageBroker where nobody listens', 500)

/** A hook was added when the hooks had begun to run. */
export const StartedAlreadyError = createError<[]>('MEDIATOR_ERR_STARTED_ALREADY',
  'onStartup was called after ready: add hooks before the mediator gets ready', 500)

/** A command or query has a handler already. */
export const DuplicateHandlerError = createError<[string]>('MEDIATOR_ERR_DUPLICATE_HANDLER',
  'Command "%s" has a handler already: a command has one handler, use an event for several', 500)

/** Nothing handles this command or query. */
export const UnknownCommandError = createError<[string]>('MEDIATOR_ERR_UNKNOWN_COMMAND',
  'Command "%s" has no handler: call mediator.addHandler first', 500)

/** A route object cannot serve its command. */
export const InvalidRouteError = createError<[string, string]>('MEDIATOR_ERR_INVALID_ROUTE', 'The route of command "%s" %s', 500)

/** A command route was used on an instance that the plugin was not registered on. */
export const PluginMissingError = createError<[]>('MEDIATOR_ERR_PLUGIN_MISSING',
  'app.mediator is missing: register the streamingMediator plugin before the command routes', 500)

/** A stream was iterated a second time, or iterated after its result was awaited. */
export const StreamIteratedError = createError<[string]>('MEDIATOR_ERR_STREAM_ITERATED',
  'The stream of command "%s" was read already: a stream is read once', 500)

/** A yielded or returned value does not match its schema or cannot be written as JSON. */
export const InvalidOutputError = createError<[string, string, string, ErrorOptions?]>('MEDIATOR_ERR_INVALID_OUTPUT',
  'Command "%s" gave a bad %s: %s', 500)

/** The payload of a notification event does not match its schema or cannot be written as JSON. */
export const InvalidPayloadError = createError<[string, string, ErrorOptions?]>('MEDIATOR_ERR_INVALID_PAYLOAD',
  'Event "%s" was emitted with a bad payload: %s', 500)

/** A value makes a frame that is longer than `maxFrameBytes`. */
export const FrameTooLargeError = createError<[string, string, number]>('MEDIATOR_ERR_FRAME_TOO_LARGE',
  'Command "%s" gave a %s whose frame is longer than %d bytes: send parts, or a link to it', 500)

/** An event handler failed, and with it the stream or publish that the event belongs to. */
export const EventHandlerFailedError = createError<[string, ErrorOptions]>('MEDIATOR_ERR_EVENT_HANDLER_FAILED',
  'An event handler of "%s" failed', 500)

/** One step of a handler emitted more events than a stream may hold. */
export const TooManyEventsError = createError<[number]>('MEDIATOR_ERR_TOO_MANY_EVENTS',
  'More than %d events were emitted in one step: yield between them, so that they can be handled', 500)

/** Events that emit events went deeper than `maxEventDepth`. */
export const EventDepthError = createError<[string, number]>('MEDIATOR_ERR_EVENT_DEPTH',
  'Event "%s" was emitted at a depth of more than %d: do its handlers emit each other in a circle?', 500)

/** An attempt of an event handler took longer than its `timeoutMs`. */
export const EventHandlerTimeoutError = createError<[string, number]>('MEDIATOR_ERR_EVENT_HANDLER_TIMEOUT',
  'An event handler of "%s" took longer than %d ms', 500)

/** `emit` was called by a handler that had ended. */
export const EmitAfterEndError = createError<[string]>('MEDIATOR_ERR_EMIT_AFTER_END',
  'Event "%s" was emitted after its handler had ended: await the work that emits it', 500)

/** The `reason` of a log writer's signal when it has given up its stream, or another attempt has taken it. */
export const LogFencedError = createError<[]>('MEDIATOR_ERR_LOG_FENCED', 'This attempt does not write its stream any more: end what it does', 500)

const StreamAbortedBase = createError<[string, string, ErrorOptions]>('MEDIATOR_ERR_STREAM_ABORTED', 'The stream of command "%s" was aborted: %s', 500)

/** Why a stream ended. */
export type EndReason = 'completed' | 'failed' | 'client-closed' | 'cancelled' | 'deadline' | 'stalled' | 'shutdown' | 'abandoned' | 'lost'

/** A stream was ended before its handler was done. Also the `reason` of its handler's `signal`. */
export class StreamAbortedError extends StreamAbortedBase {
  /** Why the stream was ended. */
  readonly reason: EndReason

  constructor (command: string, reason: EndReason, cause?: unknown) {
    super(command, reason, { cause })
    this.reason = reason
  }
}
