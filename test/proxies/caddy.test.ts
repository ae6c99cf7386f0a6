import { caddy } from './proxy.js'
import { testProxy } from './suite.js'

await testProxy(caddy)
