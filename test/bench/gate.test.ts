import t from 'tap'
import { attempts, decide } from '../../bench/gate/decide.js'
import { judge } from '../../bench/gate/judge.js'
import type { Samples } from '../../bench/gate/samples.js'

const verdictsOf = (judgements: ReturnType<typeof judge>): object => Object.fromEntries(judgements.map(({ figure, verdict }) => [figure, verdict]))

/** Adds one ratio a call, in this order, and the last one for ever. */
function measuring (figure: string, ratios: readonly number[]): { measure: (samples: Samples) => Promise<void>, calls: () => number } {
  let calls = 0
  return {
    measure: async samples => { samples.add(figure, ratios[Math.min(calls++, ratios.length - 1)]!) },
    calls: () => calls
  }
}

t.test('judges a figure by how far it is from its baseline', async t => {
  const verdict = (ratio: number, baseline = 2): string => judge({ 'CPU per event': ratio }, { 'CPU per event': baseline })[0]!.verdict
  t.equal(verdict(2), 'as before')
  t.equal(verdict(2.29), 'as before')
  t.equal(verdict(2.31), 'worse')
  t.equal(verdict(1.75), 'as before')
  t.equal(verdict(1.7), 'better')
})

t.test('is stricter with bytes than with times, and most with the bytes of an event', async t => {
  const baseline = { 'bytes per event': 1, 'bytes per short stream': 1, 'CPU per event': 1, 'time to first event': 1 }
  const all = (ratio: number): object => verdictsOf(judge(Object.fromEntries(Object.keys(baseline).map(figure => [figure, ratio])), baseline))
  t.same(new Set(Object.values(all(1.04))), new Set(['as before']))
  t.same(all(1.07), { ...all(1), 'bytes per event': 'worse' })
  t.same(all(1.12), { ...all(1), 'bytes per event': 'worse', 'bytes per short stream': 'worse' })
  t.same(new Set(Object.values(all(1.16))), new Set(['worse']))
})

t.test('does not stand open when a figure cannot be compared', async t => {
  t.same(verdictsOf(judge({ 'CPU per event': 1, new: 1 }, { 'CPU per event': 1, gone: 1 })), { 'CPU per event': 'as before', gone: 'worse', new: 'worse' })
  for (const ratio of [NaN, Infinity, -1, 0]) t.equal(judge({ figure: ratio }, { figure: 1 })[0]!.verdict, 'worse', String(ratio))
  t.equal(judge({ figure: 1 }, { figure: 0 })[0]!.verdict, 'worse')
  t.throws(() => judge({}, {}), 'nothing to compare')
})

t.test('measures once what is as before', async t => {
  const { measure, calls } = measuring('CPU per event', [1.1])
  t.same(verdictsOf(await decide([measure], { 'CPU per event': 1 }, t.fail)), { 'CPU per event': 'as before' })
  t.equal(calls(), 1)
})

t.test('measures again what looks worse, and lets a single bad round pass', async t => {
  const { measure, calls } = measuring('CPU per event', [1.2, 1.0])
  const suspicions: string[] = []
  t.same(verdictsOf(await decide([measure], { 'CPU per event': 1 }, figures => suspicions.push(figures))), { 'CPU per event': 'as before' })
  t.equal(calls(), 2)
  t.same(suspicions, ['CPU per event'])
})

t.test('fails what is worse in all attempts, and does not measure others again because of it', async t => {
  const cpu = measuring('CPU per event', [1.3])
  const bytes = measuring('bytes per event', [1])
  const judgements = await decide([cpu.measure, bytes.measure], { 'CPU per event': 1, 'bytes per event': 1 }, () => {})
  t.same(verdictsOf(judgements), { 'CPU per event': 'worse', 'bytes per event': 'as before' })
  t.equal(cpu.calls(), attempts)
  t.equal(bytes.calls(), 1)
})

t.test('is not talked round by one lucky round', async t => {
  const { measure } = measuring('CPU per event', [1.5, 0.9, 1.5])
  t.same(verdictsOf(await decide([measure], { 'CPU per event': 1 }, () => {})), { 'CPU per event': 'worse' })
})

t.test('fails a baseline that names what nobody measures', async t => {
  const { measure } = measuring('CPU per event', [1])
  t.same(verdictsOf(await decide([measure], { 'CPU per event': 1, 'bytes per event': 1 }, () => {})), { 'CPU per event': 'as before', 'bytes per event': 'worse' })
})
