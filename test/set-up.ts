import { spawnSync } from 'node:child_process'
import { build } from 'vite'
import { chromiumCommand } from './support/chromium-command.js'

// Before all tests. Those of the example app open its pages.
await build({ configFile: 'example-app/web/vite.config.ts', logLevel: 'warn' })

// And they open them in Chromium. Nobody is asked for a password: where this is not root, those tests are skipped, and say so.
if (chromiumCommand === undefined && process.getuid?.() === 0) {
  console.error('Chromium is missing: apt-get installs it, which takes a minute')
  for (const args of [['update', '-qq'], ['install', '-y', '-qq', '--no-install-recommends', 'chromium']]) {
    spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  }
}
