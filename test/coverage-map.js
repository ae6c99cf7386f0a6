import { readdirSync } from 'node:fs'

const sources = ['lib', 'routes', 'plugins'].flatMap(folder =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts')).map(name => `${folder}/${name}`))

// Any test may cover any source file; the example app and the bench do not count. A file that no test loads would not be
// reported at all: the architecture test sees to it that index.ts loads each.
export default () => sources
