import type { CommandDefinition } from './definition.js'
import { ChainEndError } from './errors.js'
import { extendContext, streamOf, withInner } from './handler.js'
import type { AnyHandler, HandlerContext } from './handler.js'

/** The handler that asks several, one after the other: each handles the input or hands it on by `context.next`. */
export function chainOf ({ name, progress }: CommandDefinition, links: readonly AnyHandler[]): AnyHandler {
  const linkAt = (index: number): AnyHandler => {
    const link = links[index]
    if (link === undefined) throw new ChainEndError(name)
    return link
  }
  const call = (index: number, input: unknown, context: HandlerContext): unknown => linkAt(index)(input, extendContext(context, {
    next: async (changed = input): Promise<unknown> => {
      context.signal.throwIfAborted()
      return await call(index + 1, changed, context)
    }
  }))
  const stream = (index: number, input: unknown, context: HandlerContext, onEnd?: () => void): AsyncGenerator<unknown, unknown, void> => withInner(open => {
    const link = linkAt(index)
    const next = (changed = input): AsyncGenerator<unknown, unknown, void> => open(onInnerEnd => stream(index + 1, changed, context, onInnerEnd))
    return streamOf(link, input, extendContext(context, { next }))
  }, onEnd)
  return (input, context) => progress === undefined ? call(0, input, context) : stream(0, input, context)
}
