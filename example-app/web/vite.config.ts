import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  // React's JSX without an import in each file.
  oxc: { jsx: { runtime: 'automatic' } },
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    // A data: url would need an exception in the pages' content security policy.
    assetsInlineLimit: 0,
    reportCompressedSize: false
  }
})
