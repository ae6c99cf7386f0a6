import { StartedAlreadyError } from './errors.js'
import { logThrown } from './logger.js'
import type { Logger } from './logger.js'

/** What a mediator does before it serves: it waits for the mappers, checks what can be known, and runs the hooks. */
export class Startup {
  readonly #log: Logger
  readonly #check: () => void
  readonly #mapping: Array<Promise<void>> = []
  readonly #hooks: Array<() => unknown> = []
  #ready: Promise<void> | undefined

  constructor (log: Logger, check: () => void) {
    this.#log = log
    this.#check = check
  }

  addMapping (mapping: Promise<void>): void {
    this.#mapping.push(mapping)
    // Often nobody waits before `ready`, which may come much later, and may not come at all.
    mapping.catch(error => logThrown(this.#log, 'error', error, {}, 'mapper failed'))
  }

  /** @throws MEDIATOR_ERR_STARTED_ALREADY */
  addHook (hook: () => unknown): void {
    if (this.#ready !== undefined) throw new StartedAlreadyError()
    this.#hooks.push(hook)
  }

  ready (): Promise<void> {
    this.#ready ??= this.#start()
    return this.#ready
  }

  async #start (): Promise<void> {
    await this.#mapped()
    this.#check()
    for (const hook of this.#hooks) await hook()
    await this.#mapped()
  }

  // Mappers and hooks may register further mappers.
  async #mapped (): Promise<void> {
    while (this.#mapping.length > 0) await Promise.all(this.#mapping.splice(0))
  }
}
