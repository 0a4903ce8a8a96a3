import { Injectable, NotFoundException } from '@nestjs/common';
import type { CreateCat } from './create-cat.dto';

export interface Cat extends CreateCat {
  id: number;
}

@Injectable()
export class CatsService {
  private readonly cats: Cat[] = [];

  create(cat: CreateCat): Cat {
    const created = { id: this.cats.length + 1, ...cat };
    this.cats.push(created);
    return created;
  }

  find(id: number): Cat {
    const cat = this.cats.find((candidate) => candidate.id === id);
    if (!cat) throw new NotFoundException(`no cat ${id}`);
    return cat;
  }
}
