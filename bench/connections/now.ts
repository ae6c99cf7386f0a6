/** The time of the machine's own clock in milliseconds: the same for all its processes. */
export function now (): number {
  return Number(process.hrtime.bigint()) / 1e6
}
