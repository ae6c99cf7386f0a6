import { spawnSync } from 'node:child_process'
import { chromium } from 'playwright-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import t from 'tap'
import type { Test } from 'tap'
import { chromiumCommand } from './chromium-command.js'

/** Why tests with a browser are skipped, or false. In CI they are not. */
export const chromiumMissing = process.env['CI'] === undefined && chromiumCommand === undefined && 'CHROMIUM IS MISSING: install it to test the pages'

let browser: Promise<Browser> | undefined

/** One for all tests of a file: it is launched for the first of them, and closes after the last. With the process it ends in any case. */
async function launch (): Promise<Browser> {
  const path = spawnSync('which', [chromiumCommand ?? 'chromium'], { encoding: 'utf8' }).stdout.trim()
  // Not as root: its sandbox refuses that. Without --disable-dev-shm-usage it fails where /dev/shm is small.
  const launched = await chromium.launch({ executablePath: path, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  t.teardown(async () => await launched.close())
  return launched
}

/** A tab that shares nothing with those of other tests: no storage, no cache and no connections. */
export class Tab {
  /** What a user would find in the console: uncaught errors, and what scripts and the browser have written to it. */
  readonly complaints: string[] = []
  readonly page: Page

  private constructor (page: Page) {
    this.page = page
    page.on('pageerror', error => this.complaints.push(String(error)))
    page.on('console', message => this.complaints.push(`${message.type()}: ${message.text()} ${message.location().url}`))
  }

  /** Opens a tab, which closes with the test. */
  static async open (t: Test, url: string, { dark = false, ...options }: BrowserContextOptions & { readonly dark?: boolean } = {}): Promise<Tab> {
    browser ??= launch()
    const context = await (await browser).newContext({ viewport: { width: 900, height: 1400 }, colorScheme: dark ? 'dark' : 'light', ...options })
    t.teardown(async () => await context.close())
    const tab = new Tab(await context.newPage())
    await tab.page.goto(url)
    return tab
  }

  /** Another tab of the same browser: it has the same storage and the same locks. */
  async openBeside (url: string): Promise<Tab> {
    const tab = new Tab(await this.page.context().newPage())
    await tab.page.goto(url)
    return tab
  }

  async reload (): Promise<void> {
    await this.page.reload()
  }

  /** The value of an expression, which may be a promise. */
  async evaluate (expression: string): Promise<any> {
    return await this.page.evaluate(expression)
  }

  /** Resolves when the expression is true: it is looked at whenever the page has changed. */
  async until (expression: string): Promise<void> {
    await this.page.evaluate(`new Promise(resolve => {
      const look = () => { if (${expression}) { observer.disconnect(); resolve() } }
      const observer = new MutationObserver(look)
      observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
      look()
    })`)
  }

  /** Presses a key, as a user would. */
  async press (key: 'Enter' | 'Tab' | ' '): Promise<void> {
    await this.page.keyboard.press(key)
  }

  /** What has the focus: the words on it, or the name of its kind. */
  async focused (): Promise<string> {
    return await this.evaluate('document.activeElement.textContent && document.activeElement !== document.body ? document.activeElement.textContent : document.activeElement.localName')
  }

  /** Keeps what the page looks like, whole, in the folder that `SCREENSHOTS` names. */
  async shoot (name: string): Promise<void> {
    const { SCREENSHOTS: folder } = process.env
    if (folder !== undefined) await this.page.locator('body').screenshot({ path: `${folder}/${name}.png` })
  }
}
