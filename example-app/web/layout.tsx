import type { ReactNode } from 'react'
import { currentPage, pages } from './pages.js'

/** What all pages share: the way to the others. Links load a page anew, which a run that is remembered survives. */
export function Layout ({ children }: { readonly children: ReactNode }) {
  return (
    <>
      <a className='skip' href='#main'>Skip to the page</a>
      <header>
        <nav aria-label='Pages'>
          {pages.map(({ path, title }) => (
            <a key={path} href={path} aria-current={path === currentPage.path ? 'page' : undefined}>{title}</a>
          ))}
          <a href='/eventsource'>Without a framework</a>
          <a href='/docs'>API</a>
        </nav>
      </header>
      <main id='main'>
        <h1>{currentPage.title}</h1>
        {children}
      </main>
    </>
  )
}
