import 'reflect-metadata'
import { Controller, Module, Req, Sse } from '@nestjs/common'
import type { MessageEvent } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { concatWith, from, map, of } from 'rxjs'
import type { Observable } from 'rxjs'
import { serve } from '../serve.js'
import { events, workOf } from '../source.js'

class EventsController {
  events ({ url }: { url: string }): Observable<MessageEvent> {
    return from(events(workOf(url))).pipe(
      map((data, index) => ({ type: 'progress', id: String(index + 1), data })),
      concatWith(of({ type: 'complete', data: 'null' }))
    )
  }
}

class AppModule {}

// What its users write as `@Controller()`, `@Sse('/')`, `@Req()` and `@Module({ … })`: one file is no reason to compile all with decorators.
Controller()(EventsController)
Sse('/')(EventsController.prototype, 'events', Object.getOwnPropertyDescriptor(EventsController.prototype, 'events')!)
Req()(EventsController.prototype, 'events', 0)
Module({ controllers: [EventsController] })(AppModule)

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] })
await app.listen(0, '127.0.0.1')
await serve(app.getHttpServer())
