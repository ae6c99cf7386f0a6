import type { Request } from '../http-client.js'

/** A body, or bytes on a connection, and what they are answered. Nothing starts but for a 200. */
export interface BodyRow {
  readonly name: string
  readonly request: Omit<Request, 'path'>
  readonly status: number
  /** What the handler gets; for 200. */
  readonly input?: unknown
  /** Takes any JSON, where the other route takes `{ n, text }`. */
  readonly open?: true
}

const limit = 1_048_576
const type = (value: string): NonNullable<Request['headers']> => [['content-type', value]]
const good = '{"n":1}'

/** A request as bytes, `path` being filled in. */
function raw (head: string, body: string): string {
  return `POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${head.replaceAll('\n', '\r\n')}\r\n\r\n${body}`
}

const json = 'content-type: application/json'

export const bodies: readonly BodyRow[] = [
  { name: 'an ordinary one', request: { body: good }, status: 200, input: { n: 1 } },
  // Length.
  { name: 'the limit', request: { body: `{"n":1}${' '.repeat(limit - 7)}` }, status: 200, input: { n: 1 } },
  { name: 'one byte more than the limit', request: { body: `{"n":1}${' '.repeat(limit - 6)}` }, status: 413 },
  { name: 'one byte more than the limit, in chunks', request: { raw: raw(`${json}\ntransfer-encoding: chunked`, `${(limit + 1).toString(16)}\r\n{"n":1}${' '.repeat(limit - 6)}\r\n0\r\n\r\n`) }, status: 413 },
  { name: 'a length that is announced only', request: { raw: raw(`${json}\ncontent-length: 99999999999`, good) }, status: 413 },
  { name: 'nothing', request: { body: '' }, status: 400 },
  { name: 'nothing, without a type', request: {}, status: 415 },
  // Depth.
  { name: 'lists 100,000 deep', request: { body: `${'['.repeat(100_000)}${']'.repeat(100_000)}` }, status: 400 },
  { name: 'objects 100,000 deep', request: { body: `${'{"n":'.repeat(100_000)}1${'}'.repeat(100_000)}` }, status: 400 },
  { name: 'lists 500,000 deep', request: { body: `${'['.repeat(500_000)}${']'.repeat(500_000)}` }, status: 400 },
  { name: 'lists that do not end', request: { body: '['.repeat(100_000) }, status: 400 },
  { name: 'a prototype 100,000 deep', request: { body: `${'{"n":'.repeat(100_000)}{"__proto__":1}${'}'.repeat(100_000)}` }, status: 400 },
  { name: 'a key of 1 MB', request: { body: `{"${'k'.repeat(1_000_000)}":1}` }, status: 400 },
  { name: '100,000 keys', request: { body: `{${Array.from({ length: 100_000 }, (_, n) => `"${n}":1`).join(',')}}` }, status: 400 },
  // The prototype.
  { name: '__proto__', request: { body: '{"n":1,"__proto__":{"polluted":1}}' }, status: 400 },
  { name: '__proto__ where any key may stand', request: { body: '{"__proto__":{"polluted":1}}' }, status: 400, open: true },
  { name: '__proto__ with escapes', request: { body: '{"\\u005f_proto_\\u005f":{"polluted":1}}' }, status: 400, open: true },
  { name: '__proto__ in a list', request: { body: '[[{"__proto__":{"polluted":1}}]]' }, status: 400, open: true },
  { name: 'constructor with a prototype', request: { body: '{"constructor":{"prototype":{"polluted":1}}}' }, status: 400, open: true },
  { name: 'constructor with escapes', request: { body: '{"c\\u006fnstructor":{"prototype":{"polluted":1}}}' }, status: 400, open: true },
  { name: 'constructor where no other key may stand', request: { body: '{"n":1,"constructor":1}' }, status: 400 },
  { name: 'constructor as a name', request: { body: '{"constructor":1,"toString":2}' }, status: 200, input: { constructor: 1, toString: 2 }, open: true },
  { name: '__proto__ as a text', request: { body: '{"n":1,"text":"__proto__"}' }, status: 200, input: { n: 1, text: '__proto__' } },
  // What is no JSON, or another value.
  { name: 'a duplicate key, of which the last counts', request: { body: '{"n":1,"n":2}' }, status: 200, input: { n: 2 } },
  { name: 'a duplicate key whose last is refused', request: { body: '{"n":1,"n":"2"}' }, status: 400 },
  { name: 'null', request: { body: 'null' }, status: 400 },
  { name: 'a list', request: { body: '[1]' }, status: 400 },
  { name: 'a list around the input', request: { body: '[{"n":1}]' }, status: 400 },
  { name: 'a text', request: { body: '"n"' }, status: 400 },
  { name: 'a number', request: { body: '5' }, status: 400 },
  { name: 'true', request: { body: 'true' }, status: 400 },
  { name: 'an empty object', request: { body: '{}' }, status: 400 },
  { name: 'a text for a number', request: { body: '{"n":"1"}' }, status: 400 },
  { name: 'a list for a number', request: { body: '{"n":[1]}' }, status: 400 },
  { name: 'null for a number', request: { body: '{"n":null}' }, status: 400 },
  { name: 'a number for a text', request: { body: '{"n":1,"text":5}' }, status: 400 },
  { name: 'an unknown key', request: { body: '{"n":1,"x":1}' }, status: 400 },
  { name: 'a key in other letters', request: { body: '{"N":1}' }, status: 400 },
  { name: '1e400', request: { body: '{"n":1e400}' }, status: 400 },
  { name: '1e400 where any value may stand', request: { body: '{"a":1e400}' }, status: 200, input: { a: null }, open: true },
  { name: '1e3, which JSON allows', request: { body: '{"n":1e3}' }, status: 200, input: { n: 1_000 } },
  { name: 'a fraction', request: { body: '{"n":1.5}' }, status: 400 },
  { name: 'a hexadecimal number', request: { body: '{"n":0x10}' }, status: 400 },
  { name: 'NaN', request: { body: '{"n":NaN}' }, status: 400 },
  { name: 'a trailing comma', request: { body: '{"n":1,}' }, status: 400 },
  { name: 'a comment', request: { body: '{"n":1/**/}' }, status: 400 },
  { name: 'single quotes', request: { body: "{'n':1}" }, status: 400 },
  { name: 'two values', request: { body: '{"n":1}{"n":2}' }, status: 400 },
  { name: 'a truncated one', request: { body: '{"n":' }, status: 400 },
  { name: 'NUL after it', request: { body: `${good}\0` }, status: 400 },
  { name: 'a bare NUL in a text', request: { body: '{"n":1,"text":"\0"}' }, status: 400 },
  { name: 'a bare line feed in a text', request: { body: '{"n":1,"text":"\n"}' }, status: 400 },
  // Bytes.
  { name: 'a byte order mark', request: { body: `\ufeff${good}` }, status: 200, input: { n: 1 } },
  { name: 'bytes that are no UTF-8', request: { body: Buffer.from('{"n":1,"text":"\xff\xfe\xed\xa0\x80"}', 'latin1') }, status: 200, input: { n: 1, text: '\ufffd'.repeat(5) } },
  { name: 'an overlong quote', request: { body: Buffer.from('{"n":1,"text":"\xc0\xa2"}', 'latin1') }, status: 200, input: { n: 1, text: '\ufffd\ufffd' } },
  { name: 'half a character at the end', request: { body: Buffer.from('{"n":1}\xe2\x82', 'latin1') }, status: 400 },
  { name: 'UTF-16', request: { body: Buffer.from(good, 'utf16le') }, status: 400 },
  { name: 'UTF-16 with its mark and charset', request: { headers: type('application/json; charset=utf-16le'), body: Buffer.from(`\ufeff${good}`, 'utf16le') }, status: 400 },
  { name: 'UTF-7', request: { headers: type('application/json; charset=utf-7'), body: '+AHsAIg-n+ACI-:1+AH0-' }, status: 400 },
  { name: 'compressed bytes', request: { headers: [['content-encoding', 'gzip']], body: Buffer.from('1f8b0800000000000003ab56ca53b232ac05006ce5e5ee07000000', 'hex') }, status: 400 },
  // Types.
  { name: 'no type', request: { raw: raw('content-length: 7', good) }, status: 415 },
  { name: 'an empty type', request: { headers: type(''), body: good }, status: 415 },
  { name: 'text/plain', request: { headers: type('text/plain'), body: good }, status: 415 },
  { name: 'text/plain that names JSON', request: { headers: type('text/plain; charset=application/json'), body: good }, status: 415 },
  { name: 'text/json', request: { headers: type('text/json'), body: good }, status: 415 },
  { name: 'a form', request: { headers: type('application/x-www-form-urlencoded'), body: 'n=1' }, status: 415 },
  { name: 'a form of JSON', request: { headers: type('application/x-www-form-urlencoded'), body: good }, status: 415 },
  { name: 'a form of parts', request: { headers: type('multipart/form-data; boundary=a'), body: good }, status: 415 },
  { name: 'a type that begins like JSON', request: { headers: type('application/jsonp'), body: good }, status: 415 },
  { name: 'a type that ends like JSON', request: { headers: type('text/x+json'), body: good }, status: 415 },
  { name: 'JSON after a comma', request: { headers: type('text/plain, application/json'), body: good }, status: 415 },
  { name: 'JSON before a comma', request: { headers: type('application/json, text/plain'), body: good }, status: 415 },
  { name: 'the type twice, JSON first', request: { headers: [['content-type', 'application/json'], ['content-type', 'text/plain']], body: good }, status: 200, input: { n: 1 } },
  { name: 'the type twice, JSON second', request: { headers: [['content-type', 'text/plain'], ['content-type', 'application/json']], body: good }, status: 415 },
  { name: 'JSON in capitals', request: { headers: type('APPLICATION/JSON'), body: good }, status: 200, input: { n: 1 } },
  { name: 'JSON with a charset of nobody', request: { headers: type('application/json; charset=\u00e9'), body: good }, status: 200, input: { n: 1 } },
  { name: 'JSON with a parameter that does not end', request: { headers: type('application/json; a="'), body: good }, status: 200, input: { n: 1 } },
  { name: 'JSON of a type that nobody parses', request: { headers: type('application/merge-patch+json'), body: good }, status: 415 },
  { name: '__proto__ as a type', request: { headers: type('__proto__'), body: good }, status: 415 },
  { name: 'a type of 8 KiB', request: { headers: type(`application/${'x'.repeat(8_192)}`), body: good }, status: 415 },
  // Where a request ends.
  { name: 'a length and chunks', request: { raw: raw(`${json}\ncontent-length: 4\ntransfer-encoding: chunked`, `7\r\n${good}\r\n0\r\n\r\n`) }, status: 400 },
  { name: 'two lengths', request: { raw: raw(`${json}\ncontent-length: 7\ncontent-length: 6`, good) }, status: 400 },
  { name: 'a negative length', request: { raw: raw(`${json}\ncontent-length: -7`, good) }, status: 400 },
  { name: 'a hexadecimal length', request: { raw: raw(`${json}\ncontent-length: 0x7`, good) }, status: 400 },
  { name: 'a length with a sign', request: { raw: raw(`${json}\ncontent-length: +7`, good) }, status: 400 },
  { name: 'a length that is shorter', request: { raw: raw(`${json}\ncontent-length: 6`, good) }, status: 400 },
  { name: 'a name with a space behind it', request: { raw: raw(`${json}\ncontent-length : 7`, good) }, status: 400 },
  { name: 'an encoding that is not the last', request: { raw: raw(`${json}\ntransfer-encoding: chunked, identity`, `7\r\n${good}\r\n0\r\n\r\n`) }, status: 400 },
  { name: 'an encoding behind a tab', request: { raw: raw(`${json}\ntransfer-encoding: \tchunked`, `7\r\n${good}\r\n0\r\n\r\n`) }, status: 200, input: { n: 1 } },
  { name: 'a chunk of a negative size', request: { raw: raw(`${json}\ntransfer-encoding: chunked`, `-7\r\n${good}\r\n0\r\n\r\n`) }, status: 400 },
  { name: 'a chunk of a hexadecimal size', request: { raw: raw(`${json}\ntransfer-encoding: chunked`, `0x7\r\n${good}\r\n0\r\n\r\n`) }, status: 400 },
  { name: 'a chunk that is longer than it says', request: { raw: raw(`${json}\ntransfer-encoding: chunked`, `6\r\n${good}\r\n0\r\n\r\n`) }, status: 400 },
  { name: 'a chunk of 2^64', request: { raw: raw(`${json}\ntransfer-encoding: chunked`, `10000000000000000\r\n${good}\r\n0\r\n\r\n`) }, status: 400 },
  { name: 'a header over two lines', request: { raw: raw(`${json}\nx-a: 1\n event: forged\ncontent-length: 7`, good) }, status: 400 },
  { name: 'line feeds alone', request: { raw: `POST {path} HTTP/1.1\nhost: a\n${json}\ncontent-length: 7\n\n${good}` }, status: 400 },
  { name: 'no host', request: { raw: `POST {path} HTTP/1.1\r\n${json}\r\ncontent-length: 7\r\n\r\n${good}` }, status: 400 },
  { name: 'another request inside the body', request: { raw: raw(`${json}\ncontent-length: 60`, '{"n":1,"text":"\\r\\n"}POST {path} HTTP/1.1\r\nhost: localhost\r\n\r\n') }, status: 400 }
]
