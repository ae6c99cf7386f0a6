import { haproxy } from './proxy.js'
import { testProxy } from './suite.js'

await testProxy(haproxy)
