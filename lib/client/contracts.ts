import type { Static, TSchema } from '@sinclair/typebox'
import type { CommandDefinition, InputOf, ResultOf } from '../definition.js'

/** The commands and queries that a client calls, by name. Their types are all that it needs. */
export type Contracts = Readonly<Record<string, CommandDefinition>>

/** What JSON makes of a value on its way: dates are text, and bigints are numbers. */
export type Sent<T> = unknown extends T ? T
  : T extends Date ? string
    : T extends bigint ? number
      : T extends object ? { [Key in keyof T]: Sent<T[Key]> } : T

/** What a client gives to a command. */
export type ClientInput<D extends CommandDefinition> = Sent<InputOf<D>>

/** What a client is told while a command runs: for a record of schemas `{ event, data }`. */
export type ClientProgress<D extends CommandDefinition> = ProgressFrom<D['progress']>

/** What a client is told at the end of a command. */
export type ClientResult<D extends CommandDefinition> = Sent<ResultOf<D>>

// A TypeBox schema is a string-keyed record as well. A frame that is named `progress` looks the same whether it was declared by this name or by none.
type ProgressFrom<P> = P extends TSchema
  ? Sent<Static<P>>
  : P extends Readonly<Record<string, TSchema>>
    ? { [Event in keyof P & string]: Event extends 'progress' ? Sent<Static<P[Event]>> : { readonly event: Event, readonly data: Sent<Static<P[Event]>> } }[keyof P & string]
    : never
