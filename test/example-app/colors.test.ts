import { readFile } from 'node:fs/promises'
import t from 'tap'
import type { Test } from 'tap'

// Where the contrast of text, and that of edges and of shapes that mean something, must be enough by WCAG 2.2, level AA.
const textContrast = 4.5
const shapeContrast = 3

const colors = await readFile('example-app/public/colors.css', 'utf8')
const style = await readFile('example-app/web/style.css', 'utf8')
const [light, dark] = colors.split('@media (prefers-color-scheme: dark)').map(variablesOf)
const effects = Array.from(style.matchAll(/\[data-effect=(\w+)\] \{ fill: (#\w{6}); \}/g), ([, effect, color]) => [effect!, color!] as const)

for (const [theme, { page, card, accent, 'on-accent': onAccent, line, ...texts }] of Object.entries({ light: light!, dark: dark! })) {
  t.test(`can be read in ${theme} mode`, async t => {
    t.match(Object.keys(texts), ['text', 'muted', 'good', 'bad'])
    for (const [background, backgroundName] of [[page!, 'page'], [card!, 'card']] as const) {
      for (const [name, color] of Object.entries({ ...texts, accent: accent! })) enough(t, textContrast, color, background, `${name} on ${backgroundName}`)
      enough(t, shapeContrast, line!, background, `edges on ${backgroundName}`)
      t.equal(effects.length, 4)
      for (const [effect, color] of effects) enough(t, shapeContrast, color, background, `${effect} on ${backgroundName}`)
    }
    enough(t, textContrast, onAccent!, accent!, 'words on a button')
  })
}

t.test('the legend has the colors of the bars', async t => {
  for (const [effect, color] of effects) t.ok(style.includes(`.legend [data-effect=${effect}]::before { color: ${color}; }`), effect)
})

function variablesOf (css: string): Record<string, string> {
  return Object.fromEntries(Array.from(css.matchAll(/--([\w-]+): (#\w{6});/g), ([, name, color]) => [name!, color!]))
}

function enough (t: Test, least: number, color: string, background: string, what: string): void {
  const [lighter, darker] = [luminanceOf(color), luminanceOf(background)].sort((a, b) => b - a)
  const contrast = (lighter! + 0.05) / (darker! + 0.05)
  t.ok(contrast >= least, `${what}: ${contrast.toFixed(2)}`)
}

/** Relative luminance, as WCAG defines it. */
function luminanceOf (color: string): number {
  const [red, green, blue] = [1, 3, 5].map(at => {
    const value = parseInt(color.slice(at, at + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
}
