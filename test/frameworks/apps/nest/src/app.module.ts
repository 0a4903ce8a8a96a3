import { MiddlewareConsumer, Module, NestModule } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { CatsController } from './cats.controller';
import { CatsService } from './cats.service';
import { EventsController } from './events.controller';

@Module({ controllers: [CatsController, EventsController], providers: [CatsService] })
export class AppModule implements NestModule {
  configure(consumer: MiddlewareConsumer) {
    consumer
      .apply((_req: Request, res: Response, next: NextFunction) => {
        res.setHeader('X-Middleware', 'seen');
        next();
      })
      .forRoutes('*path');
  }
}
