import { Type } from '@sinclair/typebox'
import { commandRoute, defineCommand, defineEvent } from '../../../index.js'

const input = Type.Object({})

/** Names that a program takes from somewhere, and that must not be made of any text. */
export const definitions: ReadonlyArray<readonly [name: string, define: (text: string) => unknown, code: string]> = [
  ['the name of a command', name => defineCommand({ name, input }), 'MEDIATOR_ERR_INVALID_DEFINITION'],
  ['the name of an event', name => defineEvent({ name, payload: input }), 'MEDIATOR_ERR_INVALID_DEFINITION'],
  ['the name of progress', name => defineCommand({ name: 'a', input, progress: Object.fromEntries([[name, Type.Null()]]) }), 'MEDIATOR_ERR_INVALID_DEFINITION'],
  ['another name of an event', complete => commandRoute(defineCommand({ name: 'a', input }), { url: '/', eventNames: { complete } }), 'MEDIATOR_ERR_INVALID_OPTIONS']
]
