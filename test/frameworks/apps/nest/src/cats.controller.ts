import {
  Body, Controller, Get, Header, HttpCode, Param, ParseIntPipe, Post, Query, Redirect, StreamableFile, UploadedFile, UseGuards, UseInterceptors,
} from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { AuthGuard } from './auth.guard';
import { CatsService, type Cat } from './cats.service';
import { CreateCat } from './create-cat.dto';

@Controller('cats')
export class CatsController {
  constructor(private readonly cats: CatsService) {}

  @Post()
  create(@Body() cat: CreateCat): Cat {
    return this.cats.create(cat);
  }

  @Get('secret')
  @UseGuards(AuthGuard)
  secret() {
    return { secret: 'cats rule' };
  }

  @Get('moved')
  @Redirect('/cats/1', 301)
  moved() {}

  @Get('file')
  @Header('Content-Type', 'text/plain')
  file(@Query('lines', ParseIntPipe) lines: number): StreamableFile {
    return new StreamableFile(Readable.from((function* () {
      for (let i = 0; i < lines; i++) yield `meow ${i}\n`;
    })()));
  }

  @Post('photo')
  @HttpCode(200)
  @UseInterceptors(FileInterceptor('photo'))
  photo(@UploadedFile() photo: Express.Multer.File) {
    return { name: photo.originalname, size: photo.size, sha256: createHash('sha256').update(photo.buffer).digest('hex') };
  }

  @Get('broken')
  broken() {
    throw new Error('not for the client');
  }

  @Get(':id')
  find(@Param('id', ParseIntPipe) id: number): Cat {
    return this.cats.find(id);
  }
}
