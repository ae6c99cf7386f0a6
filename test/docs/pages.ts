import { readFileSync, readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'

export const root = resolve(import.meta.dirname, '../..')

/** One fenced block of a page. */
export interface Block {
  readonly language: string
  /** A word after the language: `ts run` is a complete program. */
  readonly mark: string
  readonly text: string
  readonly line: number
}

/** One markdown file of the project. */
export interface Page {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
  readonly blocks: readonly Block[]
}

/** All markdown files at the top level and below `docs/`. */
export const pages: readonly Page[] = [...list(''), ...list('docs')].map(path => {
  const text = readFileSync(join(root, path), 'utf8')
  return { path, text, blocks: blocksOf(text) }
})

/** Finds a page that must be there. */
export function pageAt (path: string): Page {
  const page = pages.find(page => page.path === path)
  if (page === undefined) throw new Error(`There is no page ${path}`)
  return page
}

/**
 * Writes the `ts` and `tsx` blocks of a page as modules to a folder inside the repository, with the names of the package's entries replaced by their
 * files. A block whose first line is `// name.ts`, or `.tsx`, gets that name, so that other blocks of its page can import it.
 */
export async function writeModules (page: Page, folder: string): Promise<Map<Block, string>> {
  const own = join(folder, page.path.replaceAll(/[^a-z0-9]+/gi, '-'))
  await mkdir(own, { recursive: true })
  const pathTo = (file: string): string => relative(own, join(root, file)).replaceAll('\\', '/')
  const files = new Map<Block, string>()
  for (const block of page.blocks.filter(({ language }) => /^tsx?$/.test(language))) {
    const file = join(own, /^\/\/ ([\w-]+\.tsx?)$/m.exec(block.text)?.[1] ?? `line-${block.line}.${block.language}`)
    // A program that listens takes any free port and prints its address.
    const source = block.text
      .replaceAll("'fastify-streaming-mediator'", `'${pathTo('index.js')}'`)
      .replaceAll("'fastify-streaming-mediator/client'", `'${pathTo('lib/client/index.js')}'`)
      .replaceAll("'fastify-streaming-mediator/react'", `'${pathTo('lib/react/index.js')}'`)
      .replaceAll("'fastify-streaming-mediator/testing'", `'${pathTo('lib/testing/index.js')}'`)
      .replaceAll('port: 3000', 'port: 0')
    await writeFile(file, source.includes('import ') ? source : `${source}\nexport {}\n`)
    files.set(block, file)
  }
  return files
}

function list (folder: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: folder !== '', encoding: 'utf8' })
  return names.filter(name => name.endsWith('.md')).map(name => join(folder, name).replaceAll('\\', '/')).sort()
}

function blocksOf (text: string): Block[] {
  return Array.from(text.matchAll(/^```(\w+)(?: (\w+))?\n([^]*?)^```$/gm), ({ 1: language, 2: mark = '', 3: block, index }) => ({
    language: language!, mark, text: block!, line: text.slice(0, index).split('\n').length
  }))
}
