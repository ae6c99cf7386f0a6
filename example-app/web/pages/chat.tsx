import { useEffect, useState } from 'react'
import { useStream } from '../../../lib/react/index.js'
import { client } from '../client.js'
import { CurlLine, curlPost } from '../curl-line.js'
import { useRunFocus } from '../run-focus.js'
import { StreamStatus, isRunning } from '../stream-status.js'

interface Message {
  readonly role: 'user' | 'assistant'
  readonly content: string
}

// What the server takes of each.
const mostMessages = 20
const longestMessage = 8_000
const longestAnswer = 40_000

export default function Chat () {
  const [messages, setMessages] = useMessages()
  const [question, setQuestion] = useState('')
  const { start, cancel, reset, progress, status, error } = useStream(client, 'chat', { resume: 'chat', keep: longestAnswer })
  const answer = progress.map(({ data }) => data.text).join('')
  const running = isRunning(status)
  const wasCutOff = status === 'failed' || status === 'truncated'
  const focus = useRunFocus<HTMLTextAreaElement>(running)

  // An answer that has ended becomes a message. Only then is it read out: one token after the other nobody could listen to.
  useEffect(() => {
    if (status !== 'complete' && status !== 'cancelled') return
    if (answer !== '') setMessages([...messages, { role: 'assistant', content: answer }])
    reset()
  }, [status])

  const ask = (asked: readonly Message[]): void => {
    setMessages(asked)
    setQuestion('')
    void start({ messages: asked.slice(-mostMessages).map(({ role, content }) => ({ role, content: content.slice(-longestMessage) })) }, { url: '/jobs/chat' })
  }

  return (
    <>
      <p>Each token of the answer is an event of the stream. Stop it, and the model's server is left as well. Load the page again in the middle: the answer
        goes on. Without <code>OPENAI_API_KEY</code> or <code>OPENAI_BASE_URL</code> a stand-in answers, from the docs of this project.
      </p>
      <ol className='list' role='log' aria-label='Messages' aria-live='polite'>
        {messages.map(({ role, content }, index) => <li key={index} className='message'><strong>{role === 'user' ? 'You' : 'Answer'}</strong>{content}</li>)}
      </ol>
      {(running || wasCutOff) && answer !== '' && (
        <p className='card message' aria-live='off' aria-busy={running} data-testid='answer'><strong>Answer</strong>{answer}</p>
      )}
      <StreamStatus status={status} error={error}>{status === 'open' ? 'Answering…' : undefined}</StreamStatus>
      <form onSubmit={event => {
        event.preventDefault()
        ask([...messages, { role: 'user', content: question.trim() }])
      }}
      >
        <label htmlFor='question'>Your message</label>
        <textarea ref={focus.next} id='question' value={question} required maxLength={longestMessage} rows={3} onChange={({ target }) => setQuestion(target.value)} />
        <p className='buttons'>
          <button disabled={running || question.trim() === ''}>Send</button>
          <button ref={focus.cancel} type='button' className='quiet' disabled={!running} onClick={() => { void cancel() }}>Stop</button>
          {wasCutOff && <button type='button' className='quiet' onClick={() => ask(messages)}>Try again</button>}
          <button
            type='button' className='quiet' disabled={running || messages.length === 0}
            onClick={() => {
              setMessages([])
              reset()
            }}
          >Clear
          </button>
        </p>
      </form>
      <h2>In a terminal</h2>
      <CurlLine>{curlPost('/commands/chat', { messages: [{ role: 'user', content: question.trim() || 'What happens when a client leaves?' }] })}</CurlLine>
    </>
  )
}

const storedAt = 'chat messages'

/** The conversation, which a reload of the tab does not end. */
function useMessages (): [readonly Message[], (messages: readonly Message[]) => void] {
  const [messages, setMessages] = useState<readonly Message[]>(recall)
  const keep = (messages: readonly Message[]): void => {
    setMessages(messages)
    try {
      sessionStorage.setItem(storedAt, JSON.stringify(messages))
    } catch {
      // It is full, or the browser keeps nothing: then a reload begins anew.
    }
  }
  return [messages, keep]
}

function recall (): readonly Message[] {
  try {
    return JSON.parse(sessionStorage.getItem(storedAt) ?? '[]')
  } catch {
    return []
  }
}
