import { once } from 'node:events'
import t from 'tap'
import type { TaskInfo } from '../../example-app/tasks/contracts.js'
import { readFrames } from '../../lib/testing/index.js'
import type { Frame } from '../../lib/testing/index.js'
import { namesOf } from '../support/frames.js'
import { RawClient } from '../support/raw-client.js'
import { RunningApp, exampleFiles } from './running-app.js'

const fast = { tasks: { stepMs: 5, sampleMs: 20 } }
// Long enough that no test sees its end.
const slow = { tasks: { stepMs: 600_000, sampleMs: 20 } }

// For tests that leave nothing behind which another one could see.
const shared = await new RunningApp().start(t, exampleFiles, fast)

async function create (app: RunningApp, name = 'Paint', steps = 3): Promise<TaskInfo> {
  const response = await app.post('/tasks', { name, steps })
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
  return await response.json() as TaskInfo
}

async function list (app: RunningApp): Promise<TaskInfo[]> {
  return await (await fetch(`${app.url}/tasks`)).json() as TaskInfo[]
}

async function execute (app: RunningApp, taskId: string): Promise<Frame[]> {
  return readFrames(await (await fetch(`${app.url}/tasks/${taskId}/execute`, { method: 'POST' })).text())
}

/** A client that has left no trace of its request until a text of the answer is there. */
async function open (app: RunningApp, method: 'GET' | 'POST', path: string): Promise<RawClient> {
  const client = new RawClient(app.port)
  await once(client.socket, 'connect')
  client.request(method, path, method === 'POST' ? { body: {} } : {})
  await client.until('event: start')
  return client
}

t.test('makes tasks and lists them, beside the page of the same url', async t => {
  const app = await new RunningApp().start(t)
  t.same(await list(app), [])
  const task = await create(app)
  t.match(task, { taskId: /^[a-f0-9]{12}$/, name: 'Paint', steps: 3, done: 0, state: 'waiting' })
  const other = await create(app, 'Dry', 100)
  t.same(await list(app), [task, other])
  const page = await fetch(`${app.url}/tasks`, { headers: { accept: 'text/html' } })
  t.match(page.headers.get('content-type'), 'text/html')
  t.equal(page.headers.get('vary'), 'accept')
})

t.test('refuses what is no task, with the field named', async t => {
  for (const [input, field] of [
    [{}, 'name'],
    [{ name: '', steps: 1 }, 'name'],
    [{ name: 'x'.repeat(101), steps: 1 }, 'name'],
    [{ name: 'x', steps: 0 }, 'steps'],
    [{ name: 'x', steps: 101 }, 'steps'],
    [{ name: 'x', steps: '3' }, 'steps'],
    [{ name: 'x', steps: 3, state: 'done' }, 'state']
  ] as const) {
    const response = await shared.post('/tasks', input)
    t.equal(response.status, 400, JSON.stringify(input).slice(0, 80))
    t.match(await response.json(), { errors: [{ field }] })
  }
})

t.test('runs a task, and tells who watches it from before its start to its end', async t => {
  const app = await new RunningApp().start(t, exampleFiles, fast)
  const { taskId } = await create(app)
  const watcher = await open(app, 'GET', `/tasks/${taskId}/progress`)
  await watcher.until('"state":"waiting"')
  const frames = await execute(app, taskId)
  t.same(namesOf(frames), ['start', 'progress', 'progress', 'progress', 'complete'])
  t.match(frames.slice(1, -1).map(({ data }) => data), [{ step: 1, steps: 3 }, { step: 2, steps: 3 }, { step: 3, steps: 3 }])
  const done = { taskId, name: 'Paint', steps: 3, done: 3, state: 'done' }
  t.same(frames.at(-1)!.data, done)
  await watcher.until('event: complete')
  t.match(watcher.text, '"state":"running"')
  t.match(watcher.text, '"state":"done"')
  watcher.socket.destroy()
  t.same(await list(app), [done])

  const late = readFrames(await (await fetch(`${app.url}/tasks/${taskId}/progress`)).text())
  t.same(namesOf(late), ['start', 'progress', 'complete'], 'who comes late is told how it stands')
  t.equal((await execute(app, taskId)).length, 5, 'what is done can be run again')
})

t.test('watches several tasks on one connection', async t => {
  const [one, two] = [await create(shared, 'One', 2), await create(shared, 'Two', 4)]
  const watcher = await open(shared, 'GET', `/stream/tasks?ids=${one.taskId}&ids=${two.taskId}`)
  await execute(shared, one.taskId)
  t.notMatch(watcher.text, 'event: complete')
  await execute(shared, two.taskId)
  await watcher.until('event: complete')
  for (const { taskId } of [one, two]) t.match(watcher.text, new RegExp(`"taskId":"${taskId}".*"state":"done"`))
  t.match(watcher.text, '{"done":2}')
  watcher.socket.destroy()
})

t.test('knows before the stream begins that there is no such task', async t => {
  const { taskId } = await create(shared)
  for (const [method, path] of [['GET', '/tasks/nothing/progress'], ['POST', '/tasks/nothing/execute'], ['GET', `/stream/tasks?ids=${taskId}&ids=nothing`]] as const) {
    const response = await fetch(shared.url + path, { method })
    t.equal(response.status, 404, path)
    t.match(response.headers.get('content-type'), /^application\/problem\+json/)
    t.match(await response.json(), { code: 'EXAMPLE_ERR_TASK_NOT_FOUND', detail: 'There is no task nothing: GET /tasks lists them' })
  }
  for (const query of ['', '?ids=', `?ids=${taskId}&ids=${taskId}`, `?${Array.from({ length: 21 }, (_, index) => `ids=${index}`).join('&')}`, `?ids=${taskId}&more=1`]) {
    t.equal((await fetch(`${shared.url}/stream/tasks${query}`)).status, 400, query.slice(0, 60))
  }
})

t.test('runs a task once at a time', async t => {
  const app = await new RunningApp().start(t, exampleFiles, slow)
  const { taskId } = await create(app)
  const urls = Array.from({ length: 5 }, () => `${app.url}/tasks/${taskId}/execute`)
  const controller = new AbortController()
  const answers = await Promise.all(urls.map(async url => await fetch(url, { method: 'POST', signal: controller.signal })))
  t.same(answers.map(({ status }) => status).sort(), [200, 409, 409, 409, 409])
  t.match(await answers.find(({ status }) => status === 409)!.json(), { code: 'EXAMPLE_ERR_TASK_RUNNING' })
  t.match(await list(app), [{ state: 'running' }])
  controller.abort()
})

t.test('stops a task whose client leaves, tells those who watch it, and runs it again', async t => {
  const app = await new RunningApp().start(t, exampleFiles, slow)
  const { taskId } = await create(app)
  const watcher = await open(app, 'GET', `/tasks/${taskId}/progress`)
  const runner = await open(app, 'POST', `/tasks/${taskId}/execute`)
  await watcher.until('"state":"running"')
  runner.socket.resetAndDestroy()
  await watcher.until('"state":"stopped"')
  t.match(await app.logged('stream ended'), { command: 'execute-task', reason: 'client-closed' })
  t.match(await list(app), [{ state: 'stopped' }])
  const again = await open(app, 'POST', `/tasks/${taskId}/execute`)
  t.match(await list(app), [{ state: 'running', done: 0 }])
  again.socket.destroy()
  watcher.socket.destroy()
})

t.test('holds a hundred tasks, drops those that do not run, and says so to who watches one', async t => {
  const app = await new RunningApp().start(t, exampleFiles, slow)
  const running = await create(app, 'Running')
  const runner = await open(app, 'POST', `/tasks/${running.taskId}/execute`)
  const dropped = await create(app, 'Dropped')
  const watcher = await open(app, 'GET', `/tasks/${dropped.taskId}/progress`)
  for (let n = 0; n < 99; n++) await create(app, `Task ${n}`)
  await watcher.until('event: failed')
  t.match(watcher.text, '"code":"EXAMPLE_ERR_TASK_DROPPED"')
  const all = await list(app)
  t.equal(all.length, 100)
  t.match(all[0], { name: 'Running', state: 'running' })
  t.equal((await fetch(`${app.url}/tasks/${dropped.taskId}/progress`)).status, 404)
  watcher.socket.destroy()
  runner.socket.destroy()
})

t.test('refuses tasks when all that fit are running', async t => {
  const app = await new RunningApp().start(t)
  for (let n = 0; n < 100; n++) app.instance.tasks.begin((app.instance.tasks.add({ name: 'x', steps: 1 })).taskId)
  t.equal((await app.post('/tasks', { name: 'x', steps: 1 })).status, 503)
})

t.test('watches the process by named events, measured once for all readers and not without one', async t => {
  const app = await new RunningApp().start(t, exampleFiles, fast)
  const readers = [await open(app, 'GET', '/stream/system'), await open(app, 'GET', '/stream/system')]
  for (const reader of readers) {
    // The seventh frame: three of each sample, to see that it goes on.
    await reader.until('.7\n')
    const figures = Array.from(reader.text.matchAll(/^event: (cpu|memory|loop-delay)\n.*\ndata: (.*)$/gm), ([, name, data]) => [name, JSON.parse(data!)] as const)
    t.same(figures.slice(0, 3).map(([name]) => name), ['cpu', 'memory', 'loop-delay'])
    const { cpu, memory, 'loop-delay': delay } = Object.fromEntries(figures)
    t.ok(cpu.percent >= 0 && cpu.percent < 10_000, JSON.stringify(cpu))
    t.ok(memory.rssBytes > 10_000_000 && memory.heapUsedBytes > 1_000_000, JSON.stringify(memory))
    t.ok(delay.meanMs >= 0 && delay.maxMs >= delay.meanMs && delay.maxMs < 60_000, JSON.stringify(delay))
  }
  t.equal(app.instance.system.watching, 2)
  readers[0]!.socket.resetAndDestroy()
  await app.logged('stream ended', 1)
  t.equal(app.instance.system.watching, 1)
  readers[1]!.socket.resetAndDestroy()
  await app.logged('stream ended', 2)
  t.equal(app.instance.system.watching, 0)
})

t.test('counts down', async t => {
  const startedAt = performance.now()
  const frames = readFrames(await (await fetch(`${shared.url}/stream/countdown/2`)).text())
  t.ok(performance.now() - startedAt > 1_900)
  t.same(frames.slice(1).map(({ event, data }) => [event, data]), [['tick', { remaining: 2 }], ['tick', { remaining: 1 }], ['complete', { seconds: 2 }]])
  for (const seconds of ['0', '61', '-1', '1.5', '1e1', '0x10', 'ten', '%20']) {
    const response = await fetch(`${shared.url}/stream/countdown/${seconds}`)
    t.equal(response.status, 400, seconds)
    t.match(await response.json(), { code: 'FST_ERR_VALIDATION', errors: [{ field: 'seconds' }] })
  }
})

t.test('ends a countdown whose client leaves', async t => {
  const app = await new RunningApp().start(t)
  const client = await open(app, 'GET', '/stream/countdown/60')
  client.socket.resetAndDestroy()
  t.match(await app.logged('stream ended'), { command: 'countdown', reason: 'client-closed' })
})

t.test('fails in the middle of a stream by its last frame', async t => {
  const response = await fetch(`${shared.url}/stream/failing`)
  t.equal(response.status, 200)
  const frames = readFrames(await response.text())
  t.same(namesOf(frames), ['start', 'progress', 'progress', 'progress', 'failed'])
  t.match(frames.at(-1)!.data, { status: 422, code: 'EXAMPLE_ERR_STEP_FAILED', retryable: false })
})
