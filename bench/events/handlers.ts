import { Type } from '@sinclair/typebox'
import { StreamingMediator, defineCommand, defineEvent } from '../../index.js'
import { answer } from '../answer.js'
import { timed } from './cpu-time.js'

const Work = defineCommand({ name: 'work', input: Type.Object({ yields: Type.Integer() }), progress: Type.Object({ n: Type.Integer() }) })
const Done = defineEvent({ name: 'done', payload: Type.Object({ n: Type.Integer() }) })

// One event a yield, and so many handlers of it, which do nothing.
const handlers = Number(process.argv[2])
const mediator = new StreamingMediator()
for (let handler = 0; handler < handlers; handler++) mediator.addEventHandler(Done, async () => {})
mediator.addHandler(Work, async function * ({ yields }, { emit }) {
  for (let n = 0; n < yields; n++) {
    if (handlers > 0) emit(Done, { n })
    yield { n }
  }
})

answer((yields: number) => timed(async () => {
  let n = 0
  for await (const progress of mediator.stream(Work, { yields })) n = progress.n
  if (n !== yields - 1) throw new Error(`the last progress was ${n} of ${yields}`)
}))
