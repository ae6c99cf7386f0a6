/** Answers the questions of the process that runs the bench, one after the other, until it leaves. */
export function answer<Question> (reply: (question: Question) => unknown): void {
  process.on('message', async (question: Question) => {
    process.send!(await reply(question))
  })
  process.on('disconnect', () => process.exit())
}
