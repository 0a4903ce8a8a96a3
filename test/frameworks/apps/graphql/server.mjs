import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSchema, createYoga } from 'graphql-yoga';

const books = [
  { id: '1', title: 'Orlando', author: 'Virginia Woolf' },
  { id: '2', title: 'Ulysses', author: 'James Joyce' },
];

const schema = createSchema({
  typeDefs: /* GraphQL */ `
    type Book {
      id: ID!
      title: String!
      author: String!
    }
    type Query {
      books: [Book!]!
      book(id: ID!): Book
      agent: String
    }
    type Mutation {
      addBook(title: String!, author: String!): Book!
      upload(file: File!): Int!
    }
    type Subscription {
      countdown(from: Int!): Int!
    }
    scalar File
  `,
  resolvers: {
    Query: {
      books: () => books,
      book: (_, { id }) => books.find((book) => book.id === id),
      agent: (_, __, { request }) => request.headers.get('user-agent'),
    },
    Mutation: {
      addBook: (_, book) => {
        const added = { id: String(books.length + 1), ...book };
        books.push(added);
        return added;
      },
      upload: async (_, { file }) => (await file.arrayBuffer()).byteLength,
    },
    Subscription: {
      countdown: {
        async *subscribe(_, { from }) {
          for (let i = from; i >= 0; i--) {
            yield { countdown: i };
            await sleep(150);
          }
        },
      },
    },
  },
});

const yoga = createYoga({ schema, logging: false, graphqlEndpoint: process.env.GRAPHQL_ENDPOINT ?? '/graphql' });
createServer(yoga).listen(process.env.PORT ?? 3000);
