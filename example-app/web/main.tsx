import { StrictMode, Suspense, lazy } from 'react'
import { createRoot } from 'react-dom/client'
import { Layout } from './layout.js'
import { currentPage } from './pages.js'
import './style.css'

const Page = lazy(currentPage.load)
document.title = `${currentPage.title} · Streams of work`

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <Layout>
      <Suspense fallback={<p role='status'>Loading…</p>}><Page /></Suspense>
    </Layout>
  </StrictMode>
)
