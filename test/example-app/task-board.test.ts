import t from 'tap'
import { ExecuteTask } from '../../example-app/tasks/contracts.js'
import { executeTaskOf } from '../../example-app/tasks/execute-task.js'
import { TaskBoard } from '../../example-app/tasks/task-board.js'
import { StreamingMediator } from '../../index.js'

t.test('a run that is done has its result, and leaves alone who runs the task after it', async t => {
  const board = new TaskBoard()
  const mediator = new StreamingMediator()
  mediator.addHandler(ExecuteTask, executeTaskOf(board, 1))
  const { taskId } = board.add({ name: 'Paint', steps: 2 })
  const stream = mediator.stream(ExecuteTask, { taskId })
  for await (const { step } of stream) {
    // Its last progress is here, and its end is not.
    if (step === 2) board.begin(taskId)
  }
  t.same(await stream.result, { taskId, name: 'Paint', steps: 2, done: 2, state: 'done' })
  t.match(board.find(taskId), { state: 'running', done: 0 })
})
