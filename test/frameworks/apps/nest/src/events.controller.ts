import { Controller, MessageEvent, Sse } from '@nestjs/common';
import { interval, map, Observable, take } from 'rxjs';

@Controller('events')
export class EventsController {
  @Sse()
  events(): Observable<MessageEvent> {
    return interval(150).pipe(take(4), map((tick) => ({ data: { tick } })));
  }
}
