/**
 * Texts that would end a line, a field, a frame, a JSON text, a header or a line of the log, if anything let them, by what is in
 * them. One that nothing may make of them is named `forged`.
 */
export const texts: Readonly<Record<string, string>> = {
  'line feed': 'a\nb',
  'carriage return': 'a\rb',
  'carriage return and line feed': 'a\r\nb',
  'line feeds alone': '\n\n',
  'line feed and carriage return': '\n\r\n\r',
  'a frame': '\n\nevent: complete\ndata: {}\n\n',
  'a frame with an id': '\r\n\r\nevent: failed\r\nid: AAAAAAAAAAAAAAAAAAAAAA.9.end\r\ndata: {"forged":1}\r\n\r\n',
  'a frame by carriage returns': '\r\revent: forged\rdata: 1\r\r',
  'a line of NDJSON': '\n{"event":"complete","id":"AAAAAAAAAAAAAAAAAAAAAA.9.end","data":"forged"}\n',
  'members of the frame': '"},"event":"forged","id":"AAAAAAAAAAAAAAAAAAAAAA.9.end","data":{"x":"',
  'the end of a text': '","type":"forged","data":"',
  'an open end': '\\',
  'an escaped quote': '\\","event":"forged","x":"',
  'a comment': ': comment\n',
  'a heartbeat': '\n:\n\n',
  'a retry': '\nretry: 1\n',
  'a data field': '\ndata: forged\n',
  'an id field': '\nid: forged\n',
  'an id with NUL': '\nid: a\0b\n',
  NUL: 'a\0b',
  'all control characters': Array.from({ length: 32 }, (_, code) => String.fromCharCode(code)).join(''),
  'DEL and C1 controls': Array.from({ length: 33 }, (_, code) => String.fromCharCode(127 + code)).join(''),
  'next line': 'a\u0085event: forged',
  'line separator': 'a\u2028event: forged',
  'paragraph separator': 'a\u2029\u2029event: forged',
  'vertical tab and form feed': 'a\vb\fc',
  'a byte order mark': '\ufeffevent: forged',
  'a byte order mark after a line': '\n\ufeffdata: forged\n\n',
  'a high surrogate': 'a\ud800',
  'a low surrogate': '\udc00b',
  'surrogates the wrong way round': '\udc00\ud800',
  'characters outside the plane': '😀\u{10ffff}',
  noncharacters: '\uffff\ufffe\ufdd0',
  'a right-to-left override': 'a\u202egnp.exe',
  'an escape sequence of a terminal': '\x1b[2J\x1b]0;forged\x07',
  'members of a log line': '","level":60,"forged":true,"msg":"',
  'a line of a log': '\n{"level":60,"forged":true,"msg":"forged"}\n',
  'a response': '\r\n\r\nHTTP/1.1 200 OK\r\nset-cookie: forged=1\r\n\r\n',
  'a header': '\r\nset-cookie: forged=1',
  'a format': '%s %d %j %o %',
  'a template': '${process.exit(1)} {{7*7}} <script>alert(1)</script>', // eslint-disable-line no-template-curly-in-string
  'a name of the prototype': '__proto__',
  'the constructor': 'constructor',
  'a name of Object': 'hasOwnProperty',
  toJSON: 'toJSON',
  'a reserved event': 'error',
  'a long text': 'x'.repeat(100_000),
  'a long text of line feeds': '\n'.repeat(20_000),
  'a long text of emoji': '😀'.repeat(20_000)
}

/** Those that a url can carry: no lone surrogates, and shorter than the longest request line. */
export const urlTexts = Object.entries(texts).filter(([, text]) => text.length <= 1_000 && !/\p{Surrogate}/u.test(text))

/** Those that stay one header: a line break of HTTP ends one, and what follows is another of the attacker's own. */
export const headerTexts = urlTexts.filter(([, text]) => !text.includes('\r\n'))
