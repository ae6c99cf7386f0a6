import type { ComponentType } from 'react'

interface Page {
  readonly path: string
  readonly title: string
  readonly load: () => Promise<{ default: ComponentType }>
}

/** The pages of the gallery, each loaded when it is opened. The server knows their paths by `../pages.ts`. */
export const pages: readonly Page[] = [
  { path: '/', title: 'Files', load: async () => await import('./pages/files.js') },
  { path: '/import', title: 'Import', load: async () => await import('./pages/import.js') },
  { path: '/export', title: 'Export', load: async () => await import('./pages/export.js') },
  { path: '/orders', title: 'Orders', load: async () => await import('./pages/orders.js') },
  { path: '/tasks', title: 'Tasks', load: async () => await import('./pages/tasks.js') },
  { path: '/chat', title: 'Chat', load: async () => await import('./pages/chat.js') },
  { path: '/downloads', title: 'Downloads', load: async () => await import('./pages/downloads.js') }
]

/** That of the address. The server sends no others. */
export const currentPage: Page = pages.find(({ path }) => path === location.pathname) ?? pages[0]!
