import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { deferred } from '../support/app.js'
import { watchTimers } from './live-timers.js'
import { Subject, listenersOf, phases, ways } from './subject.js'
import type { Method, Phase, Trial, Way } from './subject.js'

interface Case { readonly way: Way, readonly method: Method }

// How often a client leaves in each way, by each method, where the time until `finally` is measured: there the handler ends by itself,
// and one client leaves after the other. In the other phases all clients leave at once.
const rounds: Partial<Record<Phase, number>> = { commit: 20, signal: 20, json: 20, between: 20, blocked: 5 }
const longestMs = 10
// The machine may be busy with something else.
const attempts = 15

const cases: readonly Case[] = ways.flatMap(way => (['GET', 'POST'] as const).map(method => ({ way, method })))
const timers = watchTimers()
let nextId = 1

for (const phase of phases) {
  t.test(`ends everything when a client leaves in the phase "${phase}"`, async t => {
    const subject = await new Subject().start()
    t.teardown(async () => await subject.close())
    const { [phase]: times } = rounds
    if (times === undefined) {
      for (const [index, trial] of (await leave(subject, phase, cases)).entries()) check(`${cases[index]!.way} ${cases[index]!.method}`, trial)
    } else {
      const figures: string[] = []
      let best = Infinity
      for (let attempt = 0; attempt < attempts && best >= longestMs; attempt++) {
        const measured: Array<{ ms: number, way: Way }> = []
        for (const { way, method } of cases) {
          for (let round = 0; round < times; round++) {
            const [trial] = await leave(subject, phase, [{ way, method }])
            check(`${way} ${method}`, trial!)
            measured.push({ ms: trial!.finallyAt! - trial!.leftAt!, way })
          }
        }
        measured.sort((a, b) => a.ms - b.ms)
        const [median, p99] = [0.5, 0.99].map(part => measured[Math.floor(part * measured.length)]!.ms) as [number, number]
        best = Math.min(best, p99)
        const slowest = ways.map(way => `${way} ${Math.max(...measured.filter(each => each.way === way).map(({ ms }) => ms)).toFixed(1)}`)
        figures.push(`${phase}: median ${median.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms of ${measured.length}; slowest ${slowest.join(', ')}`)
      }
      for (const figure of figures) t.comment(figure)
      t.ok(best < longestMs, `finally runs within ${best.toFixed(2)} ms (p99)`, { figures })
    }
    t.strictSame(subject.apps.map(({ mediator }) => mediator.stats()),
      Array(2).fill({ streams: 0, owners: 0, detachedHandlers: 0, runningEventHandlers: 0, waitingEventHandlers: 0 }))
    await subject.disconnected()
    t.strictSame(timers.size, 0, 'no timer is left')
    const warnings = subject.logs.filter(({ level }) => level >= 40)
    if (phase !== 'deaf') t.strictSame(warnings, [])
    else t.match(warnings, cases.map(() => ({ level: 40, command: 'leave', reason: 'client-closed', msg: /^handler goes on/ })), 'each is reported once')

    function check (label: string, { started, ends, finallyAt, request, reply, listeners }: Trial): void {
      const reason = phase === 'last frame' ? 'completed' : 'client-closed'
      const told = ends.map(({ reason, events }) => ({ reason, events }))
      const seen = { started, finished: finallyAt !== undefined, ends: told, listeners: listenersOf(request, reply) }
      const wanted = phase === 'hook'
        ? { started: false, finished: false, ends: [], listeners }
        : { started: true, finished: true, ends: [{ reason, events: phase === 'events' ? 1 : 0 }], listeners }
      t.strictSame(seen, wanted, label)
    }
  })
}

async function leave (subject: Subject, phase: Phase, leavers: readonly Case[]): Promise<Trial[]> {
  const gate = deferred()
  subject.gate = gate.promise
  const ids = leavers.map(() => nextId++)
  const clients = leavers.map(({ way, method }, index) => subject.send(ids[index]!, phase, way, method))
  const trials = await Promise.all(ids.map(async id => await subject.reached(id, phase)))
  for (const [index, client] of clients.entries()) {
    trials[index]!.leftAt = performance.now()
    client.leave()
  }
  await Promise.all(trials.map(async ({ reply }) => { while (!hasClosed(reply)) await turn() }))
  if (phase === 'deaf') {
    // Let go, and counted until they end.
    while (subject.detached < leavers.length) await turn()
  }
  gate.resolve()
  while (subject.open > 0 || trials.some(({ started, ends }) => started && ends.length === 0)) await turn()
  await Promise.all(clients.map(async client => await client.closed()))
  return trials
}

function hasClosed ({ raw }: Trial['reply']): boolean {
  return raw.closed || ((raw as { stream?: { closed: boolean } }).stream?.closed ?? false)
}
