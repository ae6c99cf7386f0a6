// Compiled by `tsc -p .`, never run: classes, scopes and callers.
import { Type } from '@sinclair/typebox'
import { asClass, createContainer } from 'awilix'
import Fastify from 'fastify'
import streamingMediator, { StreamingMediator, commandRoute, defineCommand, defineEvent } from '../../index.js'
import type {
  Caller, EmittedEvent, EventContext, EventHandlerClass, EventItem, HandlerClass, HandlerContext, InputOf, ProgressOf, ResultOf, Scope
} from '../../index.js'
import { expectType, expectValue } from './expect-type.js'
import type { Equal } from './expect-type.js'

const Process = defineCommand({ name: 'process', input: Type.Object({ id: Type.String() }), progress: Type.Integer(), result: Type.String() })
const Add = defineCommand({ name: 'add', input: Type.Object({ a: Type.Integer() }), result: Type.Integer() })
const Processed = defineEvent({ name: 'processed', payload: Type.Object({ id: Type.String() }) })
const mediator = new StreamingMediator()

class ProcessHandler {
  readonly #db: { name: string }
  constructor ({ db }: { db: { name: string } }) { this.#db = db }
  async * handle (
    { id }: InputOf<typeof Process>, { emit, scope, caller }: HandlerContext
  ): AsyncGenerator<ProgressOf<typeof Process>, ResultOf<typeof Process>, void> {
    expectValue<Scope>()(scope)
    expectValue<Caller | undefined>()(caller)
    emit(Processed, { id })
    yield 1
    return this.#db.name
  }
}
class AddHandler {
  handle ({ a }: InputOf<typeof Add>): number { return a }
}
class Collecting {
  events: EventItem[] = []
  clearEvents (): void { this.events = [] }
  async * handle ({ id }: InputOf<typeof Process>): AsyncGenerator<number, string, void> {
    this.events.push(Processed.create({ id }))
    yield 1
    return id
  }
}
class Audit {
  async handle ({ name, payload }: EmittedEvent<typeof Processed>, { scope, caller }: EventContext): Promise<void> {
    expectValue<'processed'>()(name)
    expectValue<{ id: string }>()(payload)
    expectValue<Scope>()(scope)
    expectValue<Caller | undefined>()(caller)
  }
}

// Classes fit, whatever their constructors take, and so do names.
expectType<typeof ProcessHandler extends HandlerClass<typeof Process> ? true : false>()
expectType<typeof Audit extends EventHandlerClass<typeof Processed> ? true : false>()
expectType<Equal<ReturnType<typeof Processed.create>, EventItem>>()
mediator.addHandler(Process, ProcessHandler)
mediator.addHandler(Process, Collecting, { eventOrder: 'sequential' })
mediator.addHandler(Add, AddHandler)
mediator.addHandler(Add, [AddHandler, 'addHandler', Symbol('addHandler')])
mediator.addHandler(Process, 'processHandler')
mediator.addHandler(Process, Symbol('processHandler'), { eventDelivery: 'before-progress' })
mediator.addEventHandler(Processed, Audit, { retries: 1 })
mediator.addEventHandler(Processed, 'audit')

// @ts-expect-error A handler of another command.
mediator.addHandler(Add, ProcessHandler)
// @ts-expect-error An input of another type.
mediator.addHandler(Add, class { handle ({ a }: { a: string }): number { return a.length } })
// @ts-expect-error A result of another type.
mediator.addHandler(Add, class { handle (): string { return 'text' } })
// @ts-expect-error Nothing that handles.
mediator.addHandler(Add, class { run (): number { return 1 } })
// @ts-expect-error A class, not what it makes.
mediator.addHandler(Add, new AddHandler())
// @ts-expect-error An event handler of another payload.
mediator.addEventHandler(Processed, class { handle ({ payload }: { payload: { id: number } }): number { return payload.id } })
// @ts-expect-error Nothing that handles.
mediator.addEventHandler(Processed, class {})
// @ts-expect-error A payload of another type.
Processed.create({ id: 5 })

// Containers of awilix are scopes, also those that type their names.
const container = createContainer().register({ addHandler: asClass(AddHandler).scoped() })
expectType<typeof container extends Scope ? true : false>()
void new StreamingMediator({ scope: () => container.createScope() })
void new StreamingMediator({ scope: () => createContainer<{ db: object }>() })
void new StreamingMediator({ scope: () => ({ resolve: (name: string) => name }) })
// @ts-expect-error A function makes the scope.
void new StreamingMediator({ scope: container })
// @ts-expect-error A scope is made at once.
void new StreamingMediator({ scope: async () => container })
// @ts-expect-error A scope resolves.
void new StreamingMediator({ scope: () => ({}) })

const app = Fastify()
void app.register(streamingMediator, {
  caller: request => ({ ip: request.ip }),
  scope: request => (request?.diScope ?? app.diContainer).createScope()
})
app.route(commandRoute(Process, { url: '/process', caller: async ({ ip }) => ({ ip }), scope: ({ diScope }) => diScope.createScope() }))
app.route(commandRoute(Process, { url: '/nobody', caller: () => undefined }))
// @ts-expect-error There is no request for calls of the app.
void app.register(streamingMediator, { scope: request => request.diScope.createScope() })

void mediator.send(Add, { a: 1 }, { caller: { userId: 'ada' }, scope: () => container })
void mediator.publish(Processed, { id: 'a' }, { caller: { userId: 'ada' }, scope: () => container })
