import { spawn, spawnSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { Test } from 'tap'

const command = ['chromium', 'chromium-browser', 'google-chrome'].find(name => spawnSync(name, ['--version']).status === 0)

/** Why tests with a browser are skipped, or false. In CI they are not. */
export const chromiumMissing = process.env['CI'] === undefined && command === undefined && 'CHROMIUM IS MISSING: install it to test the page'

/** One tab of a browser, spoken to by the DevTools protocol over a pipe. */
export class Tab {
  /** What a user would find in the console: uncaught errors, and what scripts have written to it. */
  readonly complaints: string[] = []
  readonly #events = new EventEmitter()
  readonly #input: Writable
  readonly #answers = new Map<number, { resolve (result: any): void, reject (error: Error): void }>()
  #sessionId: string | undefined
  #calls = 0

  private constructor (input: Writable, output: Readable) {
    this.#input = input
    this.#events.setMaxListeners(0)
    let text = ''
    output.setEncoding('utf8').on('data', (chunk: string) => {
      const messages = (text + chunk).split('\0')
      text = messages.pop()!
      for (const message of messages) this.#receive(JSON.parse(message))
    })
    output.on('close', () => {
      for (const { reject } of this.#answers.values()) reject(new Error('Chromium has ended'))
    })
  }

  /** Opens a browser of its own, which closes with the test. */
  static async open (t: Test, url: string, { dark = false } = {}): Promise<Tab> {
    const profile = await mkdtemp(join(tmpdir(), 'chromium-'))
    // Not as root: its sandbox refuses that. Without --disable-dev-shm-usage it fails where /dev/shm is small.
    const browser = spawn(command ?? 'chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
      '--disable-extensions', '--disable-background-networking', '--window-size=900,1400', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] })
    const exited = once(browser, 'exit')
    t.teardown(async () => {
      browser.kill('SIGKILL')
      await exited
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    })
    const tab = new Tab(browser.stdio[3] as Writable, browser.stdio[4] as Readable)
    const { targetId } = await tab.#send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await tab.#send('Target.attachToTarget', { targetId, flatten: true })
    tab.#sessionId = sessionId
    for (const domain of ['Page', 'Runtime', 'Log']) await tab.#send(`${domain}.enable`)
    if (dark) await tab.#send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] })
    await tab.#navigate('Page.navigate', { url })
    return tab
  }

  async reload (): Promise<void> {
    await this.#navigate('Page.reload')
  }

  /** The value of an expression, which may be a promise. */
  async evaluate (expression: string): Promise<any> {
    const { result, exceptionDetails } = await this.#send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }

  /** Resolves when the expression is true: it is looked at whenever the page has changed. */
  async until (expression: string): Promise<void> {
    await this.evaluate(`new Promise(resolve => {
      const look = () => { if (${expression}) { observer.disconnect(); resolve() } }
      const observer = new MutationObserver(look)
      observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
      look()
    })`)
  }

  /** Presses a key, as a user would. */
  async press (key: 'Enter' | 'Tab' | ' '): Promise<void> {
    const code = { Enter: 'Enter', Tab: 'Tab', ' ': 'Space' }[key]
    const windowsVirtualKeyCode = { Enter: 13, Tab: 9, ' ': 32 }[key]
    const text = { Enter: '\r', Tab: undefined, ' ': ' ' }[key]
    await this.#send('Input.dispatchKeyEvent', { type: 'keyDown', key, code, windowsVirtualKeyCode, ...(text !== undefined && { text }) })
    await this.#send('Input.dispatchKeyEvent', { type: 'keyUp', key, code, windowsVirtualKeyCode })
  }

  async screenshot (): Promise<Buffer> {
    return Buffer.from((await this.#send('Page.captureScreenshot', { format: 'png' })).data, 'base64')
  }

  async #navigate (method: string, params = {}): Promise<void> {
    const loaded = once(this.#events, 'Page.loadEventFired')
    await this.#send(method, params)
    await loaded
  }

  async #send (method: string, params: object = {}): Promise<any> {
    const id = ++this.#calls
    const answer = new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject }))
    this.#input.write(`${JSON.stringify({ id, method, params, ...(this.#sessionId !== undefined && { sessionId: this.#sessionId }) })}\0`)
    return await answer
  }

  #receive ({ id, method, params, result, error }: { id?: number, method?: string, params?: any, result?: unknown, error?: { message: string } }): void {
    if (id !== undefined) {
      const answer = this.#answers.get(id)!
      this.#answers.delete(id)
      if (error === undefined) answer.resolve(result)
      else answer.reject(new Error(error.message))
      return
    }
    if (method === 'Runtime.exceptionThrown') this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text)
    if (method === 'Runtime.consoleAPICalled') this.complaints.push(`${params.type}: ${params.args.map(({ value }: { value: unknown }) => value).join(' ')}`)
    if (method === 'Log.entryAdded') this.complaints.push(`${params.entry.source}: ${params.entry.text} ${params.entry.url ?? ''}`)
    this.#events.emit(method!, params)
  }
}
