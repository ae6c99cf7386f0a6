import { readdirSync } from 'node:fs'

const sources = ['lib', 'routes', 'plugins'].flatMap(folder =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts')).map(name => `${folder}/${name}`))

// Any test may cover any source file; the example app and the bench do not count.
export default () => sources
