import { spawnSync } from 'node:child_process'

/** What starts Chromium; undefined where it is not installed. */
export const chromiumCommand = ['chromium', 'chromium-browser', 'google-chrome'].find(name => spawnSync(name, ['--version']).status === 0)
