import { InvalidHandlerError, InvalidOptionsError, ScopeEndedError } from './errors.js'
import { logThrown } from './logger.js'
import type { Logger } from './logger.js'

/** Where handler classes come from: a dependency injection container, or a part of one that belongs to a stream. */
export interface Scope {
  /** Finds what was registered under a name or a class. A promise is awaited. */
  // `any`, so that containers fit which type their names.
  resolve (target: any): any
  /** Makes an instance of a class that was not registered; used for handler classes where it is there, as in awilix. */
  build? (target: any): any
  /** Called once, when the stream and all that it has called and emitted have settled. A promise is awaited. */
  dispose? (): unknown
}

/** A class of handlers, or the name under which a scope knows one. */
export type ScopeTarget = string | symbol | (new (...args: any[]) => object)

// Without a container classes are made without arguments.
const plainScope: Scope = {
  resolve (target: ScopeTarget): object {
    if (typeof target !== 'function') throw new InvalidHandlerError(String(target), 'a name, which only a scope can resolve: pass the option scope')
    if (target.length > 0) throw new InvalidHandlerError(target.name, 'a class whose constructor takes arguments: pass the option scope, which resolves it')
    return new target() // eslint-disable-line new-cap
  }
}

/** Finds a handler class or a name in a scope. */
export function resolveIn (scope: Scope, target: ScopeTarget): unknown {
  return typeof target === 'function' && scope.build !== undefined ? scope.build(target) : scope.resolve(target)
}

/** Refuses an option `scope` that is no function, such as a container itself. @throws MEDIATOR_ERR_INVALID_OPTIONS */
export function assertScopeOption (subject: string, scope: unknown): void {
  if (scope !== undefined && typeof scope !== 'function') throw new InvalidOptionsError(subject, 'scope must be a function that makes a scope')
}

/** The scope of a stream and of the calls made in it: made when it is first asked for, disposed when the last of them has settled. */
export class StreamScope {
  readonly #create: (() => Scope) | undefined
  readonly #onDispose: (disposal: Promise<void>) => void
  #scope: Scope | undefined
  #users = 0

  constructor (create: (() => Scope) | undefined, onDispose: (disposal: Promise<void>) => void = () => {}) {
    this.#create = create
    this.#onDispose = onDispose
  }

  /** @throws MEDIATOR_ERR_SCOPE_ENDED after the last user has left, MEDIATOR_ERR_INVALID_OPTIONS when what was made is no scope */
  get scope (): Scope {
    if (this.#create === undefined) return plainScope
    if (this.#scope === undefined) {
      if (this.#users === 0) throw new ScopeEndedError()
      const made: Scope | null | undefined = this.#create()
      if (typeof made?.resolve !== 'function') throw new InvalidOptionsError('scope', 'the function must return a scope, which has a method resolve')
      this.#scope = made
    }
    return this.#scope
  }

  enter (): void {
    this.#users++
  }

  // A function, because a logger of a stream is made when it is needed.
  leave (log: () => Logger): void {
    const scope = this.#scope
    if (--this.#users > 0 || scope === undefined) return
    this.#scope = undefined
    this.#onDispose(disposeOf(scope, log))
  }
}

async function disposeOf (scope: Scope, log: () => Logger): Promise<void> {
  try {
    await scope.dispose?.()
  } catch (error) {
    logThrown(log(), 'error', error, {}, 'scope was not disposed')
  }
}
