import { createClient } from '../../lib/client/index.js'
import type { Chat } from '../chat/contracts.js'
import type { ExportPeople, FillPeople } from '../exporting/contracts.js'
import type { ImportPeople } from '../importing/contracts.js'
import type { ProcessOrders } from '../orders/contracts.js'
import type { ProcessFiles } from '../processing/contracts.js'
import type { CreateTask, ExecuteTask } from '../tasks/contracts.js'
import type { ProcessUploads, WatchUploads } from '../uploads/contracts.js'

/** Calls the commands of the app. It needs nothing of them but their types. */
export const client = createClient<{
  'export-people': typeof ExportPeople
  'fill-people': typeof FillPeople
  'import-people': typeof ImportPeople
  'process-files': typeof ProcessFiles
  'process-orders': typeof ProcessOrders
  'process-uploads': typeof ProcessUploads
  'watch-uploads': typeof WatchUploads
  chat: typeof Chat
  'create-task': typeof CreateTask
  'execute-task': typeof ExecuteTask
}>({ baseUrl: '/commands' })
