import type { Request } from '../http-client.js'

const stream = 'Zk3vQx0bT2mYw9LhR4sD1A'
const id = `${stream}.7`

/** Texts that are no id of a frame, however they are sent. */
const malformed: Readonly<Record<string, string>> = {
  'a dollar sign': '$',
  'a negative number': '-1',
  'a hexadecimal number': '0x1',
  zero: '0',
  'a number': '7',
  '2^64': '18446744073709551616',
  'the stream alone': stream,
  'no number': `${stream}.`,
  'number zero': `${stream}.0`,
  'a leading zero': `${stream}.07`,
  'a sign': `${stream}.+7`,
  'a negative seq': `${stream}.-7`,
  'a fraction': `${stream}.7.5`,
  'an exponent': `${stream}.1e3`,
  'a hexadecimal seq': `${stream}.0x7`,
  'a seq of 2^64': `${stream}.18446744073709551616`,
  'a seq beyond what is exact': `${stream}.9999999999999999`,
  NaN: `${stream}.NaN`,
  'attempt zero': `${stream}.7-0`,
  'two attempts': `${stream}.7-1-2`,
  'an attempt too long': `${stream}.7-9999999999`,
  'an end in capitals': `${stream}.7.END`,
  'two ends': `${stream}.7.end.end`,
  'an end without a number': `${stream}.end`,
  'an end and more': `${stream}.7.ended`,
  'an end before the attempt': `${stream}.7.end-1`,
  'one character too few': `${stream.slice(1)}.7`,
  'one character too many': `${stream}A.7`,
  'a path': '../../../../../etc/pw.7',
  'a character of plain base64': `${stream.slice(1)}+.7`,
  'a wildcard': '*'.repeat(22) + '.7',
  'a key of a store': `${stream.slice(2)}:*.7`,
  'two ids': `${id},${id}`,
  'a space inside': `${stream} .7`,
  null: 'null',
  undefined: 'undefined',
  'an object': '{"$gt":""}',
  '8 KiB': `${stream}.${'7'.repeat(8_192)}`,
  'a long stream': `${'A'.repeat(8_192)}.7`
}

/** What only a url can carry. */
const malformedInUrls: Readonly<Record<string, string>> = {
  'a line feed after it': `${id}%0A`,
  'a line feed before it': `%0D%0A${id}`,
  NUL: `${id}%00`,
  'a space after it': `${id}%20`,
  'a plus sign, which is a space': `${id}+`,
  'a no-break space': `${id}%C2%A0`,
  'a byte order mark': `%EF%BB%BF${id}`,
  'Arabic digits': `${stream}.%D9%A7`,
  'fullwidth digits': `${stream}.%EF%BC%97`,
  'mathematical digits': `${stream}.%F0%9D%9F%95`,
  'a fullwidth full stop': `${stream}%EF%BC%8E7`,
  'a soft hyphen': `${id}%C2%AD`,
  'an encoding twice over': `${stream}%252E7`,
  'half an encoding': `${id}%`,
  'bytes that are no UTF-8': `${id}%FF`
}

export interface IdRow {
  readonly name: string
  readonly request: Pick<Request, 'path' | 'headers'>
  /** 204: starts nothing, the reconnect is over. 200: there is no id. */
  readonly status: 200 | 204 | 400
  /** What a query's handler is told, where it is asked with the same. */
  readonly resumeAfter?: number
}

const header = (value: string, name = 'Last-Event-ID'): readonly [string, string] => [name, value]
const seen = { status: 204, resumeAfter: 7 } as const

export const lastEventIds: readonly IdRow[] = [
  ...Object.entries(malformed).map(([name, value]) => ({ name: `${name}, in the header`, request: { path: '', headers: [header(value)] }, status: 400 as const })),
  ...Object.entries(malformed).map(([name, value]) => ({ name: `${name}, in the url`, request: { path: `?lastEventId=${encodeURIComponent(value)}` }, status: 400 as const })),
  ...Object.entries(malformedInUrls).map(([name, value]) => ({ name: `${name}, in the url`, request: { path: `?lastEventId=${value}` }, status: 400 as const })),
  { name: 'bytes of another encoding', request: { path: '', headers: [header(`${id}\u00e9`)] }, status: 400 },
  { name: 'Arabic digits, in the header', request: { path: '', headers: [header(`${stream}.٧`)] }, status: 400 },
  { name: 'the header twice', request: { path: '', headers: [header(id), header(id)] }, status: 400 },
  { name: 'the header twice, once empty', request: { path: '', headers: [header(id), header('')] }, status: 400 },
  { name: 'the header in the url\'s spelling', request: { path: '', headers: [header('nonsense', 'lastEventId')] }, status: 200 },
  { name: 'a malformed header and a good url', request: { path: `?lastEventId=${id}`, headers: [header('$')] }, status: 400 },
  { name: 'a good header and a malformed url', request: { path: '?lastEventId=$', headers: [header(id)] }, ...seen },
  { name: 'an empty header and a good url', request: { path: `?lastEventId=${id}`, headers: [header('')] }, ...seen },
  { name: 'an empty header', request: { path: '', headers: [header('')] }, status: 200 },
  { name: 'spaces, which a header does not keep', request: { path: '', headers: [header('   ')] }, status: 200 },
  { name: 'an empty id in the url', request: { path: '?lastEventId=' }, status: 200 },
  { name: 'an empty id, then a good one', request: { path: `?lastEventId=&lastEventId=${id}` }, ...seen },
  { name: 'a good id, then a malformed one', request: { path: `?lastEventId=${id}&lastEventId=$` }, ...seen },
  { name: 'a malformed id, then a good one', request: { path: `?lastEventId=$&lastEventId=${id}` }, status: 400 },
  { name: 'an encoded name', request: { path: `?last%45vent%49d=${id}` }, ...seen },
  { name: 'a fragment', request: { path: `#lastEventId=${id}` }, ...seen },
  { name: 'an id of a stream that this server never had', request: { path: '', headers: [header(id)] }, ...seen },
  { name: 'spaces around it', request: { path: '', headers: [header(`  ${id}\t`)] }, ...seen },
  { name: 'another attempt', request: { path: '', headers: [header(`${stream}.7-2`)] }, ...seen },
  { name: 'the largest id', request: { path: '', headers: [header(`${stream}.999999999999999-999999999`)] }, status: 204, resumeAfter: 999_999_999_999_999 },
  { name: 'the end', request: { path: '', headers: [header(`${stream}.7.end`)] }, status: 204 },
  { name: 'the end of an attempt', request: { path: `?lastEventId=${stream}.7-2.end` }, status: 204 },
  { name: 'the end in the url, and another id in the header', request: { path: `?lastEventId=${id}.end`, headers: [header(id)] }, ...seen }
]
