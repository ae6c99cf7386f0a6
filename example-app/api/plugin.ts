import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import fastifyPlugin from 'fastify-plugin'

// The viewer sets styles by script and shows pictures out of its own style sheet. It holds for its pages alone.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
  "font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/**
 * The API as OpenAPI at `/docs/json`, and a page that shows it at `/docs`. Register it before the routes that it is to describe: what it says of
 * them comes from their definitions.
 */
export const api = fastifyPlugin(async app => {
  await app.register(fastifySwagger, {
    openapi: {
      // The first version that describes the items of a stream.
      openapi: '3.2.0',
      info: {
        title: 'Streams of work',
        version: '1.0.0',
        description: 'Commands and queries. Those with progress answer with `text/event-stream`, by `Accept` with `application/x-ndjson`, or with the ' +
          'result alone as `application/json`. Errors are problems (RFC 9457).'
      }
    },
    // Pages, their files and HEAD are no part of the API: what has a schema is.
    transform: ({ schema, url }) => ({ schema: { ...schema, ...(schema?.response === undefined && { hide: true }) }, url })
  })
  await app.register(fastifySwaggerUi, {
    routePrefix: '/docs',
    staticCSP: contentSecurityPolicy,
    uiConfig: { deepLinking: false, docExpansion: 'list', validatorUrl: null }
  })
})
