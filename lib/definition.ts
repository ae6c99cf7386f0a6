import { Kind, Type } from '@sinclair/typebox'
import type { Static, TNull, TSchema } from '@sinclair/typebox'
import { InvalidDefinitionError, InvalidOutputError } from './errors.js'
import { compileSerializer } from './serializer.js'
import type { Serialize } from './serializer.js'

/** What a command reports while it runs: one schema, a record of schemas by event name, or nothing. */
export type ProgressSchema = TSchema | Readonly<Record<string, TSchema>> | undefined

/** A command or a query, made by {@link defineCommand} or {@link defineQuery}: a name and the schemas of what goes in and out. */
export interface CommandDefinition<
  Name extends string = string,
  Input extends TSchema = TSchema,
  Progress extends ProgressSchema = ProgressSchema,
  Result extends TSchema = TSchema
> {
  /** A query has no side effects: it may be sent by GET and run again on a reconnect. */
  readonly kind: 'command' | 'query'
  readonly name: Name
  readonly input: Input
  readonly progress: Progress
  readonly result: Result
}

/** The input that a definition's handler gets: the schema's type, defaults filled in. */
export type InputOf<D extends CommandDefinition> = Static<D['input']>

/** What a handler yields: the progress schema's type or, for a record of schemas, `{ event, data }`. */
export type ProgressOf<D extends CommandDefinition> = ProgressValue<D['progress']>

// A TypeBox schema is a string-keyed record as well, so it is tried first.
type ProgressValue<P> = P extends TSchema
  ? Static<P>
  : P extends Readonly<Record<string, TSchema>>
    ? { [Event in keyof P & string]: { readonly event: Event, readonly data: Static<P[Event]> } }[keyof P & string]
    : never

/** What a handler returns. */
export type ResultOf<D extends CommandDefinition> = Static<D['result']>

interface CommandParts<Name extends string, Input extends TSchema, Progress extends ProgressSchema, Result extends TSchema> {
  /** 1 to 128 letters, digits, `.`, `_` and `-`, beginning with a letter. */
  readonly name: Name
  /** Checked by routes, before a handler starts. */
  readonly input: Input
  /** One schema, or a record of schemas by event name. Without it the handler is a regular one. */
  readonly progress?: Progress
  /** @default Type.Null() */
  readonly result?: Result
}

/**
 * Defines a command: work with side effects, which is sent by POST and never run twice for one request.
 * @throws MEDIATOR_ERR_INVALID_DEFINITION when the name or a schema cannot work.
 */
export function defineCommand<const Name extends string, Input extends TSchema, Progress extends ProgressSchema = undefined, Result extends TSchema = TNull> (
  parts: CommandParts<Name, Input, Progress, Result>
): CommandDefinition<Name, Input, Progress, Result> {
  return define('command', parts)
}

/**
 * Defines a query: work without side effects, which may also be sent by GET and is run again when its reader reconnects.
 * @throws MEDIATOR_ERR_INVALID_DEFINITION when the name or a schema cannot work.
 */
export function defineQuery<const Name extends string, Input extends TSchema, Progress extends ProgressSchema = undefined, Result extends TSchema = TNull> (
  parts: CommandParts<Name, Input, Progress, Result>
): CommandDefinition<Name, Input, Progress, Result> {
  return define('query', parts)
}

/** The serializers of a definition's output. They throw MEDIATOR_ERR_INVALID_OUTPUT. */
export interface OutputSerializers {
  /** The event names of a record of progress schemas, in the order of their definition; empty for a single schema. */
  readonly progressNames: readonly string[]
  /** `name` is undefined for a single schema. A name that was not declared throws. */
  progress (name: string | undefined, value: unknown): string
  result (value: unknown): string
}

const serializers = new WeakMap<CommandDefinition, OutputSerializers>()

/** Finds the compiled serializers of a definition; throws when it was not made by a `define…` function. */
export function serializersOf (definition: CommandDefinition): OutputSerializers {
  const found = serializers.get(definition)
  if (found === undefined) throw new InvalidDefinitionError(String(definition?.name), 'was not made by defineCommand or defineQuery')
  return found
}

const namePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,127}$/
// An event of the name `error` or `open` would land on the listeners of EventSource's own events.
const eventNamePattern = /^[A-Za-z][A-Za-z0-9_.:-]{0,63}$/
const reservedEventNames = new Set(['start', 'complete', 'failed', 'error', 'open', 'message'])

/** Whether a frame may carry this event name. */
export function isEventName (name: unknown): name is string {
  return typeof name === 'string' && eventNamePattern.test(name)
}

/** Whether a value is a TypeBox schema. */
export function isSchema (value: unknown): value is TSchema {
  return value !== null && typeof value === 'object' && Kind in value
}

/** Refuses a definition's name that could not stand in a url, a log line or a frame. */
export function assertName (name: unknown): asserts name is string {
  if (typeof name !== 'string' || !namePattern.test(name)) {
    throw new InvalidDefinitionError(String(name), `needs a name that matches ${namePattern.source}`)
  }
}

function define<Name extends string, Input extends TSchema, Progress extends ProgressSchema, Result extends TSchema> (
  kind: 'command' | 'query',
  { name, input, progress, result }: CommandParts<Name, Input, Progress, Result>
): CommandDefinition<Name, Input, Progress, Result> {
  assertName(name)
  if (!isSchema(input)) throw new InvalidDefinitionError(name, 'needs a TypeBox schema as its input')
  const definition = Object.freeze({
    kind,
    name,
    input,
    // Without `progress` and `result` the type parameters are their defaults, which these values match.
    progress: progress as Progress,
    result: result ?? Type.Null() as TSchema as Result
  })
  serializers.set(definition, compileOutput(definition))
  return definition
}

function compileOutput ({ name, progress, result }: CommandDefinition): OutputSerializers {
  const single = progress === undefined || isSchema(progress)
  const schemas = single ? [] : Object.entries(progress ?? {})
  if (!single && schemas.length === 0) throw new InvalidDefinitionError(name, 'needs a TypeBox schema, or a record of them, as its progress')
  for (const [event] of schemas) {
    if (!isEventName(event)) throw new InvalidDefinitionError(name, `has the progress event "${event}": event names match ${eventNamePattern.source}`)
    if (reservedEventNames.has(event)) throw new InvalidDefinitionError(name, `has the progress event "${event}": that name is reserved`)
  }
  const byName = new Map(schemas.map(([event, schema]) => [event, compilePart(name, `${event} progress`, schema)]))
  const whole = single && progress !== undefined ? compilePart(name, 'progress', progress) : undefined
  return {
    progressNames: schemas.map(([event]) => event),
    progress (event, value) {
      const serialize = single ? whole : byName.get(event!)
      if (serialize !== undefined) return serialize(value)
      throw new InvalidOutputError(name, 'progress', single
        ? 'it yielded, but declares no progress'
        : `it yielded the event "${event}", but declares ${schemas.map(([declared]) => declared).join(', ')}; yield { event, data }`)
    },
    result: compilePart(name, 'result', result)
  }
}

function compilePart (name: string, part: string, schema: unknown): Serialize {
  if (!isSchema(schema)) throw new InvalidDefinitionError(name, `needs a TypeBox schema as its ${part}`)
  let serialize: Serialize
  try {
    serialize = compileSerializer(schema)
  } catch (error) {
    throw new InvalidDefinitionError(name, `has a ${part} schema that cannot be compiled: ${(error as Error).message}; for dates and bigints ` +
      "use Type.Unsafe<Date>({ type: 'string', format: 'date-time' }) and Type.Unsafe<bigint>({ type: 'integer' })", { cause: error })
  }
  return function serializeOutput (value) {
    try {
      return serialize(value)
    } catch (error) {
      throw new InvalidOutputError(name, part, (error as Error).message, { cause: error })
    }
  }
}
