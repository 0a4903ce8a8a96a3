export interface Article {
  name: string;
  price: number;
}

enum Tax {
  Full = 19,
  None = 0,
}

export class Shop {
  constructor(private readonly articles: Article[] = []) {}

  get all(): readonly Article[] {
    return this.articles;
  }

  add({ name, price }: Article): Article & { tax: Tax } {
    const article = { name, price, tax: Tax.Full };
    this.articles.push(article);
    return article;
  }
}
