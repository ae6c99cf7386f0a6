import { useLayoutEffect, useRef } from 'react'
import type { RefObject } from 'react'

/**
 * Keeps those who use a keyboard where they can go on: what they have pressed is disabled, or gone, when a run begins or ends, and with it their place on the
 * page would be lost. The focus goes to the button that cancels, and at the end to `next`.
 */
export function useRunFocus<Next extends HTMLElement = HTMLButtonElement> (running: boolean): { cancel: RefObject<HTMLButtonElement>, next: RefObject<Next> } {
  const cancel = useRef<HTMLButtonElement>(null)
  const next = useRef<Next>(null)
  // Asked before the page is changed: Chromium takes the focus from what is inside a fieldset at once.
  const focused = document.activeElement
  useLayoutEffect(() => {
    // Who is elsewhere stays there.
    if (focused !== null && (!focused.isConnected || focused.matches(':disabled'))) (running ? cancel : next).current?.focus()
  }, [running])
  return { cancel, next }
}
