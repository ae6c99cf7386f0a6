/**
 * Who a command runs for: what the route's option `caller` returned. Plain data, because the command may outlive its request. Say
 * what it is as with Fastify's own interfaces:
 * `declare module 'fastify-streaming-mediator' { interface Caller { readonly userId: string } }`
 */

export interface Caller {}
