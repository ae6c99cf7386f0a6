/** Says what is wrong, and ends the process. */
export function exit (message: string): never {
  console.error(message)
  process.exit(1)
}
