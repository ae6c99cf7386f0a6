import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['**/dist', 'build', '.tap'] }),
  // `void` marks a promise that nobody waits for on purpose.
  { rules: { 'no-void': ['error', { allowAsStatement: true }] } },
  { rules: { '@stylistic/max-len': ['error', { code: 160, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true }] } }
]
