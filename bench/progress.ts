/** Shows how far a row is, on one line of stderr. */
export function showProgress (name: string, done: number, of: number): void {
  process.stderr.write(`\r${name}: ${done} of ${of} ${done === of ? '\n' : ''}`)
}
