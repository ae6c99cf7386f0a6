import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const docs = fileURLToPath(new URL('../../docs/', import.meta.url))

/** All sentences of this project's docs that can stand alone. */
export async function readSentences (): Promise<string[]> {
  const names = (await readdir(docs, { recursive: true })).filter(name => name.endsWith('.md')).sort()
  const texts = await Promise.all(names.map(async name => await readFile(join(docs, name), 'utf8')))
  return texts.flatMap(sentencesOf)
}

/** The sentences that share the most words with a question, in the order of the docs. */
export function answerFrom (sentences: readonly string[], question: string, count = 5): string {
  const asked = wordsOf(question)
  const scored = sentences.map((sentence, index) => {
    const words = wordsOf(sentence)
    const shared = [...words].filter(word => asked.has(word)).length
    return { sentence, index, score: shared / Math.sqrt(words.size + 1) }
  })
  const best = scored.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score || a.index - b.index).slice(0, count)
  if (best.length === 0) return 'The docs of this project do not speak of that. Ask about streams, events, handlers, or what happens when a client leaves.'
  return best.sort((a, b) => a.index - b.index).map(({ sentence }) => sentence).join(' ')
}

function wordsOf (text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[a-z]{4,}/g)?.map(word => word.replace(/(?:ing|ed|es|s)$/, '')))
}

// Without code, tables, headings and the addresses of links.
function sentencesOf (markdown: string): string[] {
  const prose = markdown.replaceAll(/^```[^]*?^```$/gm, '').replaceAll(/^(?:\||#|<).*$/gm, '').replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('**', '')
  return prose.split(/\n\s*(?:\n|[-*] |\d+\. )/)
    .flatMap(paragraph => paragraph.replaceAll(/\s+/g, ' ').trim().split(/(?<=[.!?]) (?=[A-Z`])/))
    .filter(sentence => /^[A-Z].{30,220}[.!?]$/.test(sentence))
}
