import { createClient } from '../../lib/client/index.js'
import type { ProcessOrders } from '../orders/contracts.js'
import type { ProcessFiles } from '../processing/contracts.js'

/** Calls the commands of the app. It needs nothing of them but their types. */
export const client = createClient<{
  'process-files': typeof ProcessFiles
  'process-orders': typeof ProcessOrders
}>({ baseUrl: '/commands' })
