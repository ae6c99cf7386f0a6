import { build } from 'vite'

// Before all tests, because tests of the example app open its pages.
await build({ configFile: 'example-app/web/vite.config.ts', logLevel: 'warn' })
