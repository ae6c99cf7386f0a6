/** Tells the process that runs the bench where a server listens, and answers its questions about CPU time. */
export function serve (port: number): void {
  process.on('message', question => {
    if (question === 'cpu') process.send!({ cpu: process.cpuUsage() })
  })
  process.on('disconnect', () => process.exit())
  process.send!({ port })
}
