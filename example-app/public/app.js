/* global document, EventSource, fetch */

const form = document.getElementById('form')
const all = document.getElementById('all')
const files = document.getElementById('files')
const run = document.getElementById('run')
const stop = document.getElementById('stop')
const status = document.getElementById('status')
const progressSection = document.getElementById('run-section')
const progressList = document.getElementById('progress')

const number = new Intl.NumberFormat('en')
const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 })

/** The stream that is open, if any. */
let source

await listFiles()
form.addEventListener('submit', start)
stop.addEventListener('click', () => end('Stopped. The server has ended its work.'))
all.addEventListener('change', () => {
  for (const box of boxes()) box.checked = all.checked
})
files.addEventListener('change', showWhetherAll)

async function listFiles () {
  try {
    const response = await fetch('/files')
    if (!response.ok) throw new Error(`the server answered ${response.status}`)
    for (const { fileId, sizeBytes } of await response.json()) files.append(choice(fileId, sizeBytes))
    showWhetherAll()
    say('Choose files and an operation.')
  } catch (error) {
    say(`The list of files could not be loaded: ${error.message}`, 'failure')
  }
}

function choice (fileId, sizeBytes) {
  const box = element('input', { type: 'checkbox', name: 'fileIds', value: fileId, checked: true })
  const label = element('label')
  label.append(box, ' ', element('span', { textContent: fileId }), ' ', element('small', { textContent: bytes(sizeBytes) }))
  return label
}

function start (event) {
  event.preventDefault()
  const fileIds = boxes().filter(box => box.checked).map(box => box.value)
  if (fileIds.length === 0) {
    say('Choose at least one file.', 'failure')
    return
  }
  const query = new URLSearchParams(fileIds.map(fileId => ['fileIds', fileId]))
  query.append('operation', form.elements.operation.value)

  const rows = new Map(fileIds.map((fileId, index) => [fileId, row(fileId, index)]))
  progressList.replaceChildren(...Array.from(rows.values(), ({ item }) => item))
  progressSection.hidden = false
  run.disabled = true
  stop.disabled = false
  say(`Processing ${count(fileIds.length, 'file')}…`)

  let started = false
  let completed = 0
  source = new EventSource(`/commands/process-files?${query}`)
  source.addEventListener('start', () => { started = true })
  source.addEventListener('progress', ({ data }) => {
    const progress = JSON.parse(data)
    show(rows.get(progress.fileId), progress)
    if (progress.status === 'completed') say(`${++completed} of ${count(fileIds.length, 'file')} processed…`)
  })
  source.addEventListener('complete', ({ data }) => end(describeTotals(JSON.parse(data)), 'success'))
  source.addEventListener('failed', ({ data }) => {
    const { detail, title, instance } = JSON.parse(data)
    end(`Failed: ${detail ?? title} (stream ${instance})`, 'failure')
  })
  // EventSource would connect again by itself. A command is not run twice (its id is answered 204), and one that was cut
  // before its first frame has no id to send: so the page stops here. The reason of a refusal is not given to scripts.
  source.onerror = () => end(started ? 'Connection lost. Run the command again.' : 'The server refused the command or cannot be reached.', 'failure')
}

function end (text, kind) {
  // EventSource must be closed by the client: it takes every end of a response for a lost connection.
  source?.close()
  source = undefined
  for (const bar of progressList.querySelectorAll('progress[data-open]')) close(bar)
  run.disabled = false
  if (document.activeElement === stop) run.focus()
  stop.disabled = true
  say(text, kind)
}

function close (bar) {
  delete bar.dataset.open
  bar.nextElementSibling.textContent = 'not finished'
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
  const parts = [`Complete: ${count(processed, 'file')}`, bytes(sizeBytes)]
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

function say (text, kind = '') {
  status.textContent = text
  status.className = kind
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
