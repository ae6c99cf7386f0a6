import { useEffect, useState } from 'react'
import type { ReactNode } from 'react'
import { useStream } from '../../../lib/react/index.js'
import type { TaskInfo } from '../../tasks/contracts.js'
import { Bar } from '../bar.js'
import { client } from '../client.js'
import { CurlLine, curlPost } from '../curl-line.js'
import { useEventSource } from '../event-source.js'
import type { EventSourceHandle } from '../event-source.js'
import { bytes, count } from '../format.js'
import { useRunFocus } from '../run-focus.js'
import { StreamStatus, isRunning } from '../stream-status.js'

// Of the six that a browser opens to one host over HTTP/1.1. Others are for what is loaded and asked for.
const maxConnections = 3

export default function Tasks () {
  const [tasks, setTasks] = useState<readonly TaskInfo[]>([])
  const [taskId, setTaskId] = useState<string>()
  const execute = useStream(client, 'execute-task')
  const watch = useEventSource(['progress'])
  const several = useEventSource(['progress'], (event, data) => data?.taskId ?? event)
  const system = useEventSource(['cpu', 'memory', 'loop-delay'])
  const countdown = useEventSource(['tick'])
  const failing = useEventSource(['progress'])
  const running = isRunning(execute.status)
  const focus = useRunFocus(running)
  const open = [running, ...[watch, several, system, countdown, failing].map(({ status }) => isRunning(status))].filter(Boolean).length
  const full = open >= maxConnections
  const chosen = tasks.find(task => task.taskId === taskId)

  useEffect(() => {
    const controller = new AbortController()
    const list = async (): Promise<void> => {
      const response = await fetch('/tasks', { headers: { accept: 'application/json' }, signal: controller.signal })
      const listed = await response.json() as TaskInfo[]
      setTasks(listed)
      setTaskId(taskId => taskId ?? listed.at(-1)?.taskId)
    }
    list().catch(() => {})
    return () => controller.abort()
  }, [execute.status])

  return (
    <>
      <p>The streams that only tell something are GET requests, read by the browser's own <code>EventSource</code>. Running a task is a command: a POST,
        which <code>EventSource</code> cannot send, read by the project's hook.
      </p>
      <p>This page holds {count(open, 'stream')} open, and {maxConnections} at most: over HTTP/1.1 a browser opens six connections to one host, for all of its
        tabs together. Over HTTP/2 there are as many as you like.
      </p>

      <h2>A task</h2>
      <NewTask onMade={task => {
        setTasks(tasks => [...tasks, task])
        setTaskId(task.taskId)
      }}
      />
      {tasks.length > 0 && (
        <p>
          <label htmlFor='task'>Task</label>{' '}
          <select id='task' value={taskId} disabled={running} onChange={({ target }) => setTaskId(target.value)}>
            {tasks.map(({ taskId, name, steps, state }) => <option key={taskId} value={taskId}>{name}, {count(steps, 'step')}, {state}</option>)}
          </select>
        </p>
      )}
      {chosen !== undefined && (
        <>
          <p className='buttons'>
            <button
              ref={focus.next} type='button' disabled={running || full}
              onClick={() => { void execute.start({ taskId: chosen.taskId }, { url: `/tasks/${chosen.taskId}/execute` }) }}
            >Execute
            </button>
            <button ref={focus.cancel} type='button' className='quiet' disabled={!running} onClick={() => { void execute.cancel() }}>Cancel</button>
          </p>
          <StreamStatus status={execute.status} error={execute.error}>
            {execute.result !== undefined && `Done: ${count(execute.result.done, 'step')} of “${execute.result.name}”.`}
          </StreamStatus>
          {execute.latest !== undefined && (
            <Bar label='Steps' value={execute.latest.step} max={execute.latest.steps}>{Math.round(execute.latest.durationMs)} ms for the last</Bar>
          )}
          <CurlLine>{`curl -N -X POST ${location.origin}/tasks/${chosen.taskId}/execute`}</CurlLine>

          <Watched title='Its progress' full={full} source={watch} url={`/tasks/${chosen.taskId}/progress`}>
            {watch.latest['progress'] !== undefined && <TaskBar task={watch.latest['progress']} />}
          </Watched>
          <Watched
            title='Several tasks on one connection' full={full} source={several}
            url={`/stream/tasks?${tasks.slice(-5).map(task => `ids=${task.taskId}`).join('&')}`}
          >
            {Object.values(several.latest).filter(data => data?.taskId !== undefined)
              .map(task => <TaskBar key={task.taskId} task={task} />)}
          </Watched>
        </>
      )}

      <Watched title='The process' full={full} source={system} url='/stream/system'>
        <Figures latest={system.latest} />
      </Watched>
      <Watched title='A countdown' full={full} source={countdown} url='/stream/countdown/10'>
        {countdown.latest['tick'] !== undefined && <Bar label='Seconds left' value={countdown.status === 'complete' ? 0 : countdown.latest['tick'].remaining} max={10} />}
      </Watched>
      <Watched title='A stream that fails' full={full} source={failing} url='/stream/failing'>
        {failing.latest['progress'] !== undefined && <Bar label='Steps' value={failing.latest['progress'].step} max={failing.latest['progress'].steps} />}
      </Watched>
    </>
  )
}

/** One stream of EventSource with its buttons, and the same in a terminal. */
function Watched ({ title, full, source, url, children }: {
  readonly title: string, readonly full: boolean, readonly source: EventSourceHandle, readonly url: string, readonly children: ReactNode
}) {
  const running = isRunning(source.status)
  const focus = useRunFocus(running)
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <p className='buttons'>
        <button ref={focus.next} type='button' className='quiet' disabled={running || full} onClick={() => source.open(url)}>Watch</button>
        <button ref={focus.cancel} type='button' className='quiet' disabled={!running} onClick={() => source.close()}>Stop</button>
      </p>
      <StreamStatus status={source.status} error={source.error} />
      {children}
      <CurlLine>{`curl -N '${location.origin}${url}'`}</CurlLine>
    </section>
  )
}

function TaskBar ({ task: { name, steps, done, state } }: { readonly task: TaskInfo }) {
  return <Bar label={name} value={done} max={steps}>{done} of {count(steps, 'step')}, {state}</Bar>
}

function Figures ({ latest: { cpu, memory, 'loop-delay': delay } }: { readonly latest: Readonly<Record<string, any>> }) {
  if (delay === undefined) return null
  return (
    <>
      <Bar label='CPU' value={Math.min(100, cpu.percent)} max={100}>{cpu.percent} % of one core</Bar>
      <p>Memory: {bytes(memory.rssBytes)}, of it {bytes(memory.heapUsedBytes)} heap.</p>
      <p>Delay of the event loop: {delay.meanMs} ms on average, {delay.maxMs} ms at most.</p>
    </>
  )
}

function NewTask ({ onMade }: { readonly onMade: (task: TaskInfo) => void }) {
  const [name, setName] = useState('Paint the fence')
  const [steps, setSteps] = useState(10)
  const [error, setError] = useState<string>()
  const make = async (): Promise<void> => {
    try {
      onMade(await client.send('create-task', { name, steps }, { url: '/tasks' }))
      setError(undefined)
    } catch (error) {
      setError((error as Error).message)
    }
  }
  return (
    <>
      <form
        className='buttons' onSubmit={event => {
          event.preventDefault()
          void make()
        }}
      >
        <label>Name <input value={name} required maxLength={100} onChange={({ target }) => setName(target.value)} /></label>
        <label>Steps <input type='number' value={steps} required min={1} max={100} onChange={({ target }) => setSteps(target.valueAsNumber)} /></label>
        <button>Make a task</button>
      </form>
      {error !== undefined && <p role='alert' className='failure'>{error}</p>}
      <CurlLine>{curlPost('/tasks', { name, steps })}</CurlLine>
    </>
  )
}
