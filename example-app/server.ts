import cluster from 'node:cluster'
import { runWorkers } from './cluster.js'
import { exit } from './exit.js'
import { serve } from './serve.js'
import { readSettings } from './settings.js'
import type { Settings } from './settings.js'

const settings = settingsOrExit()

// One process is enough to begin with, and all streams are in its memory. docs/guides/deployment.md says what changes with more.
if (cluster.isPrimary && settings.workers > 1) runWorkers(settings)
else await serve(settings)

function settingsOrExit (): Settings {
  try {
    return readSettings(process.env)
  } catch (error) {
    return exit((error as Error).message)
  }
}
