import { Type } from 'class-transformer';
import { IsInt, IsString, Max, Min, MinLength } from 'class-validator';

export class CreateCat {
  @IsString()
  @MinLength(2)
  name: string;

  @Type(() => Number)
  @IsInt()
  @Min(0)
  @Max(30)
  age: number;
}
