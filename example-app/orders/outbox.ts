import { setTimeout } from 'node:timers/promises'

export interface Mail {
  readonly to: string
  readonly subject: string
  readonly text: string
}

const maxMails = 1_000

// What a mail server takes to accept a mail.
const acceptMs = 50

/** Keeps the mails that were sent last, in place of a mail server. No route shows them: they name customers. */
export class Outbox {
  readonly #mails: Mail[] = []

  get mails (): readonly Mail[] {
    return this.#mails
  }

  async send (mail: Mail, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    await setTimeout(acceptMs, undefined, { signal })
    this.#mails.push(mail)
    if (this.#mails.length > maxMails) this.#mails.shift()
  }
}
