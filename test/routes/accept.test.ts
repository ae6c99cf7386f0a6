import t from 'tap'
import { chooseAnswer } from '../../routes/accept.js'

const sse = 'text/event-stream'
const ndjson = 'application/x-ndjson'
const json = 'application/json'

// Header, answer of a definition with progress, answer of one without.
const table: Array<[string | undefined, string | undefined, string | undefined]> = [
  [undefined, sse, json],
  ['', sse, json],
  ['*/*', sse, json],
  [sse, sse, sse],
  ['TEXT/EVENT-STREAM', sse, sse],
  [`${sse};charset=utf-8`, sse, sse],
  [ndjson, ndjson, ndjson],
  [json, json, json],
  [`${json}, ${sse}`, sse, json],
  [`${json};q=0.5, ${sse};q=0.5`, sse, json],
  [`${json}, ${sse};q=0.9`, json, json],
  [`${json};q=0.9, */*;q=0.8`, json, json],
  ['text/*', sse, sse],
  ['application/*', ndjson, json],
  [`${sse};q=0, */*`, ndjson, json],
  [`text/*;q=0.3, ${sse};q=0.7, */*;q=0.5`, sse, sse],
  [`${sse};q=0.1, text/*`, sse, sse],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', sse, json],
  [`${sse}, ${sse};q=0.2`, sse, sse],
  ['text/html', undefined, undefined],
  ['*/*;q=0', undefined, undefined],
  [`${sse};q=2`, undefined, undefined],
  [`${sse};q=x`, undefined, undefined],
  [`${sse};q=0.000, ${json};q=0.001`, json, json],
  [`${json} ; Q=0.5 , ${sse} ; Q=0.4`, json, json],
  [`${json};q="0.5", ${sse};q=0.4`, json, json],
  [`${sse};q=-1`, undefined, undefined],
  [`${sse};q=NaN`, undefined, undefined],
  [`${sse};q=`, undefined, undefined],
  [`${sse};profile="a,b", ${json}`, json, json],
  ['*', undefined, undefined],
  ['*/json', undefined, undefined],
  ['text/event-stream/x', undefined, undefined],
  ['__proto__, constructor/prototype', undefined, undefined],
  [`${'a/b,'.repeat(4_000)}${json}`, json, json],
  [' , ', sse, json],
  ['nonsense', undefined, undefined]
]

for (const [header, streaming, regular] of table) {
  t.test(`answers Accept: ${header?.slice(0, 80)} by RFC 9110`, async t => {
    for (const [expected, streams] of [[streaming, true], [regular, false]] as const) {
      if (expected === undefined) t.throws(() => chooseAnswer(header, streams), { code: 'MEDIATOR_ERR_NOT_ACCEPTABLE', statusCode: 406 })
      else t.equal(chooseAnswer(header, streams), expected)
    }
  })
}
