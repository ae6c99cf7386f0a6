/* global crypto, document, EventSource, fetch, sessionStorage, setTimeout */

const form = document.getElementById('form')
const all = document.getElementById('all')
const files = document.getElementById('files')
const run = document.getElementById('run')
const cancel = document.getElementById('cancel')
const status = document.getElementById('status')
const progressSection = document.getElementById('run-section')
const progressList = document.getElementById('progress')

const number = new Intl.NumberFormat('en')
const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 })

const askAgainMs = 2_000

/**
 * The job that this tab shows: its input, the key under which it was sent, and the url of its stream once the server has told it. A reload
 * finds it again, in this tab only.
 */
let job = JSON.parse(sessionStorage.getItem('job'))
/** The stream that is open, if any. */
let source
let rows
let completed
/** The id of the last frame that this page has seen. */
let lastId
/** How often the stream was refused since it was last open. */
let refusals
/** Whether the server has trimmed progress that this page has not seen. */
let missed

listFiles()
form.addEventListener('submit', event => {
  event.preventDefault()
  begin()
})
cancel.addEventListener('click', cancelJob)
all.addEventListener('change', () => {
  for (const box of boxes()) box.checked = all.checked
})
files.addEventListener('change', showWhetherAll)
if (job !== null) attach()

async function listFiles () {
  try {
    const response = await fetch('/files')
    if (!response.ok) throw new Error(`the server answered ${response.status}`)
    for (const { fileId, sizeBytes } of await response.json()) files.append(choice(fileId, sizeBytes))
    showWhetherAll()
    // What has become of a job is more than that.
    if (status.dataset.state === 'idle') say('idle', 'Choose files and an operation.')
  } catch (error) {
    if (status.dataset.state === 'idle') say('failed', `The list of files could not be loaded: ${error.message}`)
  }
}

function choice (fileId, sizeBytes) {
  const box = element('input', { type: 'checkbox', name: 'fileIds', value: fileId, checked: true })
  const label = element('label')
  label.append(box, ' ', element('span', { textContent: fileId }), ' ', element('small', { textContent: bytes(sizeBytes) }))
  return label
}

function begin () {
  const fileIds = boxes().filter(box => box.checked).map(box => box.value)
  if (fileIds.length === 0) {
    say('failed', 'Choose at least one file.')
    return
  }
  // Whoever has the key may read the stream: nobody can guess it.
  remember({ key: newKey(), input: { fileIds, operation: form.elements.operation.value } })
  attach()
}

/** Shows the job that is remembered: from its first frame on, whether it runs, has ended, or was never heard of. */
function attach () {
  cancel.disabled = false
  if (document.activeElement === run) cancel.focus()
  run.disabled = true
  lastId = ''
  refusals = 0
  missed = false
  showRows()
  if (job.url === undefined) {
    send()
    return
  }
  say('connecting', 'Connecting…')
  read(job.url)
}

// The key makes it safe to send it again, after a reload as well: the job is started once.
async function send () {
  say('starting', `Starting ${count(job.input.fileIds.length, 'file')}…`)
  const { key, input } = job
  try {
    const response = await fetch('/jobs/process-files', {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'respond-async', 'idempotency-key': key },
      body: JSON.stringify(input)
    })
    const body = await response.json()
    if (job?.key !== key) return
    if (!response.ok) {
      end('failed', `Failed: ${body.detail ?? body.title}`)
      return
    }
    remember({ ...job, url: body.url })
    if (job.cancelled) cancelJob()
    else read(job.url)
  } catch {
    if (job?.key !== key) return
    say('reconnecting', 'Reconnecting: the server cannot be reached…')
    setTimeout(() => { if (job?.key === key) send() }, askAgainMs)
  }
}

/** Reads the stream. EventSource reconnects by itself, and sends the id of the last frame that it has. */
function read (url) {
  source?.close()
  source = new EventSource(url)
  source.addEventListener('open', () => {
    refusals = 0
    sayHowFar()
  })
  // The first frame of an attempt: nothing that came before counts.
  source.addEventListener('start', ({ lastEventId }) => {
    lastId = lastEventId
    showRows()
  })
  source.addEventListener('progress', ({ data, lastEventId }) => {
    lastId = lastEventId
    const progress = JSON.parse(data)
    show(rows.get(progress.fileId), progress)
    if (progress.status === 'completed') completed++
    sayHowFar()
  })
  source.addEventListener('complete', ({ data }) => endWith({ state: 'completed', result: JSON.parse(data) }))
  source.addEventListener('failed', ({ data }) => {
    const problem = JSON.parse(data)
    // Not the job has failed, but this page, which has read too slowly.
    if (problem.code === 'MEDIATOR_ERR_LOG_GAP') ask()
    else endWith({ problem })
  })
  source.addEventListener('error', () => {
    say('reconnecting', 'Reconnecting: the connection was lost, the job goes on…')
    // It gives up where it is refused, and does not tell scripts why.
    if (source.readyState === EventSource.CLOSED) ask()
  })
}

/** Asks what has become of the job, where its frames are refused, and goes on. */
async function ask () {
  const { url } = job
  source.close()
  try {
    const response = await fetch(url, { headers: { accept: 'application/json' } })
    const found = await response.json()
    if (job?.url !== url || run.disabled === false) return
    if (response.status === 404) {
      gone()
      return
    }
    if (!response.ok) throw new Error(found.title)
    if (found.endedAt !== null) {
      endWith(found)
      return
    }
    // It runs. Refused twice: what comes next is not kept any more, and the page goes on with what is new.
    if (++refusals > 1) {
      missed = true
      lastId = found.lastEventId
      for (const { bar, figures } of rows.values()) if (bar.value === 0) figures.textContent = 'not known'
    }
    read(`${url}?lastEventId=${lastId}`)
  } catch {
    setTimeout(() => { if (job?.url === url && run.disabled) ask() }, askAgainMs)
  }
}

async function cancelJob () {
  const { url } = job
  // It may have been started and run on: it is cancelled as soon as the server tells where.
  if (url === undefined) {
    remember({ ...job, cancelled: true })
    return
  }
  try {
    const response = await fetch(url, { method: 'DELETE' })
    const found = await response.json()
    // The stream may have told its end before.
    if (job?.url !== url || run.disabled === false) return
    if (response.status === 404) gone()
    else if (!response.ok) throw new Error(found.title)
    else endWith(found)
  } catch {
    if (job?.url !== url || run.disabled === false) return
    say('reconnecting', 'Not cancelled: the server cannot be reached. Try again.')
    if (source === undefined) read(url)
  }
}

function endWith ({ state, result, problem }) {
  if (state === 'completed') end('finished', describeTotals(result))
  else if (problem.code === 'MEDIATOR_ERR_CANCELLED') end('cancelled', 'Cancelled: the server has ended its work.')
  else end('failed', `Failed: ${problem.detail ?? problem.title} (stream ${problem.instance})`)
}

function gone () {
  end('gone', 'Gone: the server does not keep this job any more. Run it again to see its result.')
}

function end (state, text) {
  // EventSource must be closed by the client: it takes every end of a response for a lost connection.
  source?.close()
  source = undefined
  for (const bar of progressList.querySelectorAll('progress[data-open]')) close(bar, state)
  run.disabled = false
  if (document.activeElement === cancel) run.focus()
  cancel.disabled = true
  // What has ended is shown again after a reload, for as long as the server keeps it.
  if (state === 'gone' || job.url === undefined) remember(null)
  say(state, text)
}

function remember (found) {
  job = found
  if (job === null) sessionStorage.removeItem('job')
  else sessionStorage.setItem('job', JSON.stringify(job))
}

// Only pages from localhost or by https have `crypto.randomUUID`.
function newKey () {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('')
}

function showRows () {
  completed = 0
  rows = new Map(job.input.fileIds.map((fileId, index) => [fileId, row(fileId, index)]))
  progressList.replaceChildren(...Array.from(rows.values(), ({ item }) => item))
  progressSection.hidden = false
}

function sayHowFar () {
  const before = missed ? ', and some before that the server does not list any more' : ''
  say('running', `Running: ${number.format(completed)} of ${count(rows.size, 'file')} processed${before}…`)
}

function close (bar, state) {
  delete bar.dataset.open
  // Of a job that has finished, each file has.
  if (state === 'finished') bar.value = bar.max
  bar.nextElementSibling.textContent = state === 'finished' ? 'processed' : state === 'gone' || missed ? 'not known' : 'not finished'
}

function row (fileId, index) {
  const id = `bar-${index}`
  const label = element('label', { htmlFor: id, textContent: fileId })
  const bar = element('progress', { id, max: 100, value: 0, textContent: '0 %' })
  bar.dataset.open = ''
  const figures = element('p', { textContent: 'waiting' })
  const item = element('li')
  item.append(label, bar, figures)
  return { item, bar, figures }
}

function show ({ item, bar, figures }, progress) {
  bar.value = progress.percent
  bar.textContent = `${progress.percent} %`
  figures.textContent = progress.status === 'completed' ? describe(progress) : `${progress.percent} % of ${bytes(progress.sizeBytes)}`
  if (progress.status !== 'completed') return
  delete bar.dataset.open
  item.classList.add(progress.valid === false ? 'invalid' : 'done')
}

function describe ({ sizeBytes, lines, words, sha256, gzipBytes, ratio, format, valid, error }) {
  const size = bytes(sizeBytes)
  if (sha256 !== undefined) return `${size}, ${count(lines, 'line')}, ${count(words, 'word')}, SHA-256 ${sha256}`
  if (gzipBytes !== undefined) return `${size} become ${bytes(gzipBytes)}${ratio === undefined ? '' : ` (${percent.format(ratio)})`}`
  const name = format.toUpperCase()
  return valid ? `${size}, valid ${name}` : `${size}, not valid ${name}: ${error.message}${place(error)}`
}

function place ({ line, column, byteOffset }) {
  if (byteOffset !== undefined) return ` (byte ${number.format(byteOffset)})`
  return ` (line ${number.format(line)}, column ${number.format(column)})`
}

function describeTotals ({ processed, sizeBytes, lines, words, gzipBytes, ratio, valid, invalid }) {
  const parts = [`Finished: ${count(processed, 'file')}`, bytes(sizeBytes)]
  if (lines !== undefined) parts.push(count(lines, 'line'), count(words, 'word'))
  if (gzipBytes !== undefined) parts.push(`${bytes(gzipBytes)} compressed${ratio === undefined ? '' : ` (${percent.format(ratio)})`}`)
  if (valid !== undefined) parts.push(`${number.format(valid)} valid`, `${number.format(invalid)} invalid`)
  return `${parts.join(', ')}.`
}

function showWhetherAll () {
  const chosen = boxes().filter(box => box.checked).length
  all.checked = chosen === boxes().length
  all.indeterminate = chosen > 0 && !all.checked
}

function boxes () {
  return Array.from(files.querySelectorAll('input'))
}

function say (state, text) {
  status.dataset.state = state
  status.textContent = text
}

function count (amount, noun) {
  return `${number.format(amount)} ${noun}${amount === 1 ? '' : 's'}`
}

function bytes (amount) {
  return amount < 1_000_000 ? count(amount, 'byte') : `${number.format(Math.round(amount / 100_000) / 10)} MB`
}

// Only text is set, never markup: the names of files are data.
function element (tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties)
}
