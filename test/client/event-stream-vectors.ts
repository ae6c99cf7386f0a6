/** An event as a page would get it: its type, its data and the last event id. */
export type Dispatched = readonly [type: string, data: string, lastEventId: string]

/** A stream and what the standard says becomes of it. */
export interface Vector {
  readonly rule: string
  readonly stream: string | Uint8Array
  readonly events: readonly Dispatched[]
  /** The reconnection time that it sets last. */
  readonly retryMs?: number
}

// One line end in these stands for each of the three that the standard knows.
const withAnyLineEnd: ReadonlyArray<readonly [rule: string, stream: string, events: readonly Dispatched[], retryMs?: number]> = [
  // Dispatch.
  ['an empty line dispatches the event', 'data: a\n\n', [['message', 'a', '']]],
  ['several events', 'data: a\n\ndata: b\n\ndata: c\n\n', [['message', 'a', ''], ['message', 'b', ''], ['message', 'c', '']]],
  ['empty lines without fields dispatch nothing', '\n\n\n', []],
  ['empty lines between events dispatch nothing', 'data: a\n\n\n\ndata: b\n\n', [['message', 'a', ''], ['message', 'b', '']]],
  ['empty lines before the first event', '\n\ndata: a\n\n', [['message', 'a', '']]],
  ['an event without data is not dispatched', 'event: tick\n\n', []],
  ['an event with an empty data field is dispatched', 'data\n\n', [['message', '', '']]],
  ['an event with an empty data value is dispatched', 'data:\n\n', [['message', '', '']]],
  ['a data value of one space is empty', 'data: \n\n', [['message', '', '']]],
  ['a block that is not ended by an empty line is dropped', 'data: a\n', []],
  ['a line that is not ended is dropped', 'data: a', []],
  ['the last block is dropped and the others are not', 'data: a\n\ndata: b\n', [['message', 'a', '']]],
  ['the last line is dropped and the others are not', 'data: a\n\ndata: b', [['message', 'a', '']]],
  ['an incomplete block with an id and a name', 'data: a\n\nid: 1\nevent: tick\ndata: b\n', [['message', 'a', '']]],
  ['an empty stream', '', []],
  // Data.
  ['data lines are joined by line feeds', 'data: a\ndata: b\n\n', [['message', 'a\nb', '']]],
  ['three data lines', 'data: a\ndata: b\ndata: c\n\n', [['message', 'a\nb\nc', '']]],
  ['two empty data fields are one line feed', 'data\ndata\n\n', [['message', '\n', '']]],
  ['two empty data values are one line feed', 'data:\ndata:\n\n', [['message', '\n', '']]],
  ['three empty data fields are two line feeds', 'data\ndata:\ndata: \n\n', [['message', '\n\n', '']]],
  ['an empty data line before another', 'data:\ndata: a\n\n', [['message', '\na', '']]],
  ['an empty data line after another', 'data: a\ndata:\n\n', [['message', 'a\n', '']]],
  ['an empty data line between others', 'data: a\ndata\ndata: b\n\n', [['message', 'a\n\nb', '']]],
  ['the event of the standard with stock prices', 'data: YHOO\ndata: +2\ndata: 10\n\n', [['message', 'YHOO\n+2\n10', '']]],
  ['other fields between data lines do not part them', 'data: a\nid: 1\ndata: b\n\n', [['message', 'a\nb', '1']]],
  ['a name between data lines', 'data: a\nevent: tick\ndata: b\n\n', [['tick', 'a\nb', '']]],
  ['a comment between data lines', 'data: a\n: b\ndata: c\n\n', [['message', 'a\nc', '']]],
  ['JSON stays as it is', 'data: {"a":[1,"b: c"]}\n\n', [['message', '{"a":[1,"b: c"]}', '']]],
  // Spaces.
  ['no space after the colon', 'data:a\n\n', [['message', 'a', '']]],
  ['one space after the colon is removed', 'data: a\n\n', [['message', 'a', '']]],
  ['only one space is removed', 'data:  a\n\n', [['message', ' a', '']]],
  ['of three spaces two stay', 'data:   a\n\n', [['message', '  a', '']]],
  ['a tab is not removed', 'data:\ta\n\n', [['message', '\ta', '']]],
  ['a tab after the space stays', 'data: \ta\n\n', [['message', '\ta', '']]],
  ['spaces at the end stay', 'data: a  \n\n', [['message', 'a  ', '']]],
  ['spaces inside stay', 'data: a  b\n\n', [['message', 'a  b', '']]],
  ['the two equal events of the standard', 'data:test\n\ndata: test\n\n', [['message', 'test', ''], ['message', 'test', '']]],
  ['a no-break space is not removed', 'data:\u00a0a\n\n', [['message', '\u00a0a', '']]],
  ['one space of a name is removed', 'event:  tick\ndata: a\n\n', [[' tick', 'a', '']]],
  ['one space of an id is removed', 'id:  1\ndata: a\n\n', [['message', 'a', ' 1']]],
  // Colons and field names.
  ['a colon in the value', 'data: a:b\n\n', [['message', 'a:b', '']]],
  ['a value that is a colon', 'data::\n\n', [['message', ':', '']]],
  ['a value that begins with a colon', 'data: :a\n\n', [['message', ':a', '']]],
  ['a url as the value', 'data:http://a/?b=c:d\n\n', [['message', 'http://a/?b=c:d', '']]],
  ['an unknown field is ignored', 'foo: bar\ndata: a\n\n', [['message', 'a', '']]],
  ['an unknown field without a colon is ignored', 'foo\ndata: a\n\n', [['message', 'a', '']]],
  ['an unknown field alone dispatches nothing', 'foo: bar\n\n', []],
  ['a field name in upper case is unknown', 'DATA: a\n\nData: b\n\n', []],
  ['a field name after a space is unknown', ' data: a\n\n', []],
  ['a field name before a space is unknown', 'data : a\n\n', []],
  ['a field name after a tab is unknown', '\tdata: a\n\n', []],
  ['a longer field name is unknown', 'database: a\n\n', []],
  ['a shorter field name is unknown', 'dat: a\n\n', []],
  ['event in upper case is unknown', 'EVENT: tick\ndata: a\n\n', [['message', 'a', '']]],
  ['id in upper case is unknown', 'ID: 1\ndata: a\n\n', [['message', 'a', '']]],
  ['a line of one space is a field name and no empty line', 'data: a\n \ndata: b\n\n', [['message', 'a\nb', '']]],
  ['a line of a tab is a field name and no empty line', 'data: a\n\t\ndata: b\n\n', [['message', 'a\nb', '']]],
  // Comments.
  ['a comment is ignored', ': a\ndata: b\n\n', [['message', 'b', '']]],
  ['an empty comment is ignored', ':\ndata: b\n\n', [['message', 'b', '']]],
  ['a comment dispatches nothing', ': a\n\n', []],
  ['heartbeats between events', 'data: a\n\n:\n\n:\n\ndata: b\n\n', [['message', 'a', ''], ['message', 'b', '']]],
  ['a comment that looks like a field', ':data: a\n\n', []],
  ['the event of the standard with comments', ': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n',
    [['message', 'first event', '1'], ['message', 'second event', '']]],
  // Names.
  ['a name', 'event: tick\ndata: a\n\n', [['tick', 'a', '']]],
  ['a name after the data', 'data: a\nevent: tick\n\n', [['tick', 'a', '']]],
  ['the last name counts', 'event: tick\nevent: tock\ndata: a\n\n', [['tock', 'a', '']]],
  ['an empty name is message', 'event:\ndata: a\n\n', [['message', 'a', '']]],
  ['an empty name takes one away', 'event: tick\nevent\ndata: a\n\n', [['message', 'a', '']]],
  ['a name does not last', 'event: tick\ndata: a\n\ndata: b\n\n', [['tick', 'a', ''], ['message', 'b', '']]],
  ['a name of an event without data does not last', 'event: tick\n\ndata: a\n\n', [['message', 'a', '']]],
  ['a name with a colon', 'event: a:b\ndata: c\n\n', [['a:b', 'c', '']]],
  ['the three names of the standard', 'event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n',
    [['add', '73857293', ''], ['remove', '2153', ''], ['add', '113411', '']]],
  ['a NUL in a name stays', 'event: a\0b\ndata: c\n\n', [['a\0b', 'c', '']]],
  // Ids.
  ['an id', 'id: 1\ndata: a\n\n', [['message', 'a', '1']]],
  ['an id after the data', 'data: a\nid: 1\n\n', [['message', 'a', '1']]],
  ['an id lasts', 'id: 1\ndata: a\n\ndata: b\n\n', [['message', 'a', '1'], ['message', 'b', '1']]],
  ['an id lasts until the next', 'id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n', [['message', 'a', '1'], ['message', 'b', '1'], ['message', 'c', '2']]],
  ['the last id of an event counts', 'id: 1\nid: 2\ndata: a\n\n', [['message', 'a', '2']]],
  ['an empty id takes the last away', 'id: 1\ndata: a\n\nid:\ndata: b\n\n', [['message', 'a', '1'], ['message', 'b', '']]],
  ['an id field without a colon takes the last away', 'id: 1\ndata: a\n\nid\ndata: b\n\ndata: c\n\n', [['message', 'a', '1'], ['message', 'b', ''], ['message', 'c', '']]],
  ['an id with a NUL is ignored', 'id: 1\0\ndata: a\n\n', [['message', 'a', '']]],
  ['an id that is a NUL is ignored', 'id: \0\ndata: a\n\n', [['message', 'a', '']]],
  ['an id with a NUL does not take the last away', 'id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n', [['message', 'a', '1'], ['message', 'b', '1']]],
  ['an id with a NUL after another of its event', 'id: 1\nid: 2\0\ndata: a\n\n', [['message', 'a', '1']]],
  ['an id with spaces and colons', 'id: a b:c\ndata: d\n\n', [['message', 'd', 'a b:c']]],
  ['an id of 0', 'id: 0\ndata: a\n\n', [['message', 'a', '0']]],
  ['an id of emoji', 'id: \u{1f600}\ndata: a\n\n', [['message', 'a', '\u{1f600}']]],
  // Reconnection time.
  ['retry', 'retry: 1000\n\n', [], 1_000],
  ['retry beside data', 'retry: 1000\ndata: a\n\n', [['message', 'a', '']], 1_000],
  ['retry holds without an empty line', 'retry: 1000\n', [], 1_000],
  ['retry of 0', 'retry: 0\n\n', [], 0],
  ['retry with leading zeros is in base ten', 'retry: 0010\n\n', [], 10],
  ['the last retry counts', 'retry: 1\nretry: 2\n\n', [], 2],
  ['retry with a sign is ignored', 'retry: -1\nretry: +1\n\n', []],
  ['retry with a point is ignored', 'retry: 1.5\n\n', []],
  ['retry with an exponent is ignored', 'retry: 1e3\n\n', []],
  ['retry in base sixteen is ignored', 'retry: 0x10\n\n', []],
  ['retry with a letter is ignored', 'retry: 1000a\n\n', []],
  ['retry with two spaces is ignored', 'retry:  1000\n\n', []],
  ['retry with a space behind is ignored', 'retry: 1000 \n\n', []],
  ['retry without a value is ignored', 'retry\nretry:\nretry: \n\n', []],
  ['retry in other digits is ignored', 'retry: \u0661\u0662\n\n', []],
  ['a wrong retry does not undo one', 'retry: 7\nretry: x\n\n', [], 7],
  // Text.
  ['characters of two, three and four bytes', 'data: \u00e9\u20ac\u{1f600}\n\n', [['message', '\u00e9\u20ac\u{1f600}', '']]],
  ['a NUL in the data stays', 'data: a\0b\n\n', [['message', 'a\0b', '']]],
  ['other line separators of Unicode are text', 'data: a\u2028b\u2029c\u0085d\n\n', [['message', 'a\u2028b\u2029c\u0085d', '']]],
  ['vertical tabs and form feeds are text', 'data: a\u000bb\u000cc\n\n', [['message', 'a\u000bb\u000cc', '']]],
  ['a byte order mark in the middle is text', 'data: a\ufeffb\n\n', [['message', 'a\ufeffb', '']]],
  ['a byte order mark on the second line is part of a name', 'data: a\n\ufeffdata: b\n\n', [['message', 'a', '']]],
  ['a long line', `data: ${'x'.repeat(3_000)}\n\n`, [['message', 'x'.repeat(3_000), '']]]
]

const encoder = new TextEncoder()
const bytes = (...parts: ReadonlyArray<string | readonly number[]>): Uint8Array => new Uint8Array(parts.flatMap(part => [...typeof part === 'string' ? encoder.encode(part) : part]))
const mark = [0xef, 0xbb, 0xbf]

// About line ends and bytes themselves.
const exact: readonly Vector[] = [
  { rule: 'line ends may be mixed', stream: 'data: a\rdata: b\r\ndata: c\n\r', events: [['message', 'a\nb\nc', '']] },
  { rule: 'CR LF is one line end', stream: 'data: a\r\ndata: b\r\n\r\n', events: [['message', 'a\nb', '']] },
  { rule: 'LF CR are two line ends', stream: 'data: a\n\rdata: b\n\r', events: [['message', 'a', ''], ['message', 'b', '']] },
  { rule: 'CR CR LF are two line ends', stream: 'data: a\r\r\ndata: b\r\r\n', events: [['message', 'a', ''], ['message', 'b', '']] },
  { rule: 'CR LF LF are two line ends', stream: 'data: a\r\n\ndata: b\r\n\n', events: [['message', 'a', ''], ['message', 'b', '']] },
  { rule: 'CR LF CR are two line ends', stream: 'data: a\r\n\rdata: b\r\n\r', events: [['message', 'a', ''], ['message', 'b', '']] },
  { rule: 'a CR at the end of the stream ends its line', stream: 'data: a\r\r', events: [['message', 'a', '']] },
  { rule: 'a CR alone at the beginning', stream: '\rdata: a\r\r', events: [['message', 'a', '']] },
  { rule: 'an LF alone after events that a CR ended', stream: 'data: a\r\r\n\ndata: b\r\r', events: [['message', 'a', ''], ['message', 'b', '']] },
  { rule: 'a byte order mark is removed', stream: bytes(mark, 'data: a\n\n'), events: [['message', 'a', '']] },
  { rule: 'only one byte order mark is removed', stream: bytes(mark, mark, 'data: a\n\n'), events: [] },
  { rule: 'only one byte order mark is removed, and later lines are not touched', stream: bytes(mark, mark, 'data: a\ndata: b\n\n'), events: [['message', 'b', '']] },
  { rule: 'a byte order mark alone', stream: bytes(mark), events: [] },
  { rule: 'a byte order mark before an empty line', stream: bytes(mark, '\n\ndata: a\n\n'), events: [['message', 'a', '']] },
  { rule: 'the characters of a byte order mark in latin1 are text', stream: '\u00ef\u00bb\u00bfdata: a\n\n', events: [] },
  { rule: 'a part of a byte order mark is replaced', stream: bytes([0xef, 0xbb], 'data: a\n\n'), events: [] },
  { rule: 'bytes that are no UTF-8 are replaced', stream: bytes('data: a', [0xff], 'b\n\n'), events: [['message', 'a\ufffdb', '']] },
  { rule: 'a character that is cut off is replaced', stream: bytes('data: ', [0xe2, 0x82], '\n\n'), events: [['message', '\ufffd', '']] },
  { rule: 'an overlong form is replaced', stream: bytes('data: ', [0xc0, 0x8a], '\n\n'), events: [['message', '\ufffd\ufffd', '']] },
  { rule: 'a surrogate in UTF-8 is replaced', stream: bytes('data: ', [0xed, 0xa0, 0x80], '\n\n'), events: [['message', '\ufffd\ufffd\ufffd', '']] },
  { rule: 'a character that the stream ends in is dropped with its line', stream: bytes('data: a\n\ndata: ', [0xf0, 0x9f]), events: [['message', 'a', '']] },
  { rule: 'bytes of latin1 are no text', stream: bytes('data: caf', [0xe9], '\n\n'), events: [['message', 'caf\ufffd', '']] },
  { rule: 'an id that is no UTF-8', stream: bytes('id: ', [0xff], '\ndata: a\n\n'), events: [['message', 'a', '\ufffd']] }
]

/** The parsing rules of the HTML standard (§9.2.6), as streams. */
export const vectors: readonly Vector[] = [
  ...withAnyLineEnd.flatMap(([rule, stream, events, retryMs]) => [['LF', '\n'], ['CR', '\r'], ['CR LF', '\r\n']].map(([name, end]) => ({
    rule: `${rule} (${name})`, stream: stream.replaceAll('\n', end!), events, ...(retryMs !== undefined && { retryMs })
  }))),
  ...exact
]

/**
 * Where `eventsource-parser` leaves the standard and the client does not mend it: an id that comes without data is forgotten. The protocol
 * sends none, and the client takes each frame's own id.
 */
export const deviations: readonly Vector[] = [
  { rule: 'an id without data lasts', stream: 'id: 1\n\ndata: a\n\n', events: [['message', 'a', '1']] },
  { rule: 'an empty id without data takes the last away', stream: 'id: 1\ndata: a\n\nid\n\ndata: b\n\n', events: [['message', 'a', '1'], ['message', 'b', '']] }
]
