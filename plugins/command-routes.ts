import type { FastifyPluginAsync } from 'fastify'
import type { CommandDefinition } from '../lib/definition.js'
import { PluginMissingError } from '../lib/errors.js'
import { commandRoute } from '../routes/command-route.js'
import type { CommandRouteOptions } from '../routes/command-route.js'

/** A command with options of its route. `url` is `/<name>` unless it is given. */
export interface CommandRoutesEntry extends Partial<CommandRouteOptions<CommandDefinition>> {
  readonly command: CommandDefinition
}

/** Options of {@link commandRoutes}. */
export interface CommandRoutesOptions {
  /** Commands get a POST route, and a GET route where their entry has `method: 'GET'`; queries get both. */
  readonly commands: ReadonlyArray<CommandDefinition | CommandRoutesEntry>
}

/**
 * Registers the routes of several commands, each at `/<name>` below the plugin's `prefix`. A command may be listed twice, with
 * options of their own for GET and POST.
 * @throws MEDIATOR_ERR_PLUGIN_MISSING
 */
export const commandRoutes: FastifyPluginAsync<CommandRoutesOptions> = async (app, { commands }) => {
  if (!app.hasDecorator('mediator')) throw new PluginMissingError()
  const entries = commands.map(entry => 'command' in entry ? entry : { command: entry, method: 'POST' as const })
  const named = new Set(entries.map(({ command, method, url }) => keyOf(method, url ?? `/${command.name}`)))
  for (const { command, method, ...options } of entries) {
    const url = options.url ?? `/${command.name}`
    const implied = (['POST', 'GET'] as const).filter(other => other === 'POST' || command.kind === 'query')
    for (const each of new Set([...method === undefined ? [] : [method], ...implied])) {
      if (each === method || !named.has(keyOf(each, url))) app.route(commandRoute(command, { ...options, url, method: each }))
    }
  }
}

function keyOf (method: string | undefined, url: string): string {
  return `${method} ${url}`
}
