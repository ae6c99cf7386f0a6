let open: () => void
let opened: Promise<void>

function shut (): void {
  opened = new Promise(resolve => { open = resolve })
}
shut()

/** Resolves when the bench lets all streams go that are held: what is measured then is their events, without what it took to open them. */
export function released (): Promise<void> {
  return opened
}

/** Lets all streams go that are held. Those that come later are held again. */
export function release (): void {
  open()
  shut()
}
