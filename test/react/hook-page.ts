import { Window } from 'happy-dom'
import type { ReactElement } from 'react'
import type { Test } from 'tap'
import type { StreamHandle, StreamSnapshot, UseStreamOptions } from '../../lib/react/index.js'
import type { Client, Contracts } from '../../lib/client/index.js'

// React looks for a document when it is loaded, and for the flag whenever something is rendered.
const window = new Window({ url: 'http://127.0.0.1/' })
const scope = globalThis as unknown as Record<string, unknown>
scope['window'] = window
scope['document'] = window.document
scope['sessionStorage'] = window.sessionStorage
// Node 20 has none.
scope['navigator'] ??= window.navigator
const { createRoot } = await import('react-dom/client')
const { StrictMode, act, createElement, useEffect } = await import('react')
const { useStream } = await import('../../lib/react/index.js')

/** What is shown, and what is done with it. */
export type Shown = StreamHandle<any, any, any>

export interface HookPageOptions extends UseStreamOptions {
  readonly strict?: boolean
  /** What a component within it does when it is mounted, with what is shown then. */
  readonly effect?: ((shown: Shown) => void) | undefined
}

/** A page whose one component uses the hook. */
export class HookPage<C extends Contracts> {
  /** All renderings, in their order. */
  readonly renderings: Shown[] = []
  readonly #root = createRoot(window.document.createElement('div') as never)
  #onRender: (() => void) | undefined
  readonly #complaints: unknown[] = []

  /** Renders it; it goes away with the test. */
  static async open<C extends Contracts> (
    t: Test, client: Client<C> | (() => Client<C>), name: keyof C & string, options: HookPageOptions = {}
  ): Promise<HookPage<C>> {
    const page = new HookPage<C>()
    const { error } = console
    console.error = (...values: unknown[]) => { page.#complaints.push(values) }
    t.teardown(async () => {
      await page.close()
      console.error = error
      if (page.#complaints.length > 0) throw new Error(`React complains: ${String(page.#complaints)}`)
    })
    await page.show(client, name, options)
    return page
  }

  /** Renders it with other options. */
  async show (client: Client<C> | (() => Client<C>), name: keyof C & string, { strict, effect, ...options }: HookPageOptions = {}): Promise<void> {
    const Component = this.#component
    const element = createElement(Component, { client, name, options, effect })
    await acting(() => this.#root.render(strict ? createElement(StrictMode, null, element) : element))
  }

  /** What it shows now. */
  get shown (): Shown {
    return this.renderings.at(-1)!
  }

  /** Resolves with what it shows as soon as that is so. */
  async until (isSo: (shown: Shown) => boolean): Promise<Shown> {
    while (!isSo(this.shown)) await new Promise<void>(resolve => { this.#onRender = resolve })
    return this.shown
  }

  async untilStatus (...states: Array<StreamSnapshot<any, any>['status']>): Promise<Shown> {
    return await this.until(({ status }) => states.includes(status))
  }

  async close (): Promise<void> {
    await acting(() => this.#root.unmount())
  }

  readonly #component = ({ client, name, options, effect }: {
    client: Client<C> | (() => Client<C>), name: keyof C & string, options: UseStreamOptions, effect: HookPageOptions['effect']
  }): ReactElement | null => {
    const shown: Shown = useStream(typeof client === 'function' ? client() : client, name, options)
    this.renderings.push(shown)
    queueMicrotask(() => this.#onRender?.())
    return effect === undefined ? null : createElement(Within, { shown, effect })
  }
}

// Its effects run before those of the component around it.
function Within ({ shown, effect }: { readonly shown: Shown, effect (shown: Shown): void }): null {
  useEffect(() => effect(shown), [])
  return null
}

/** Does something whose renderings are all there afterwards. Elsewhere React renders when it does in a page. */
export async function acting (work: () => unknown): Promise<void> {
  scope['IS_REACT_ACT_ENVIRONMENT'] = true
  await act(async () => { await work() })
  scope['IS_REACT_ACT_ENVIRONMENT'] = false
}

/** What the tab remembers from one page to the next. */
export function tabStorage (): Storage {
  return window.sessionStorage as unknown as Storage
}

/** Lets a test have another storage, until it ends. */
export function replaceStorage (t: Test, descriptor: PropertyDescriptor): void {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'sessionStorage')!
  Object.defineProperty(globalThis, 'sessionStorage', { configurable: true, ...descriptor })
  t.teardown(() => Object.defineProperty(globalThis, 'sessionStorage', before))
}

interface Storage {
  readonly length: number
  key (index: number): string | null
  getItem (name: string): string | null
  setItem (name: string, value: string): void
  removeItem (name: string): void
  clear (): void
}
