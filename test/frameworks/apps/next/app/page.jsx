import { headers } from 'next/headers';
import Link from 'next/link';
import Counter from './counter';
import { entries, sign } from './actions';

export const dynamic = 'force-dynamic';

export default async function Home({ searchParams }) {
  const agent = (await headers()).get('user-agent');
  const { who } = await searchParams;
  return (
    <main>
      <h1>Hello, {who ?? 'world'}</h1>
      <p id="agent">{agent}</p>
      <Counter />
      <form action={sign}>
        <input name="name" placeholder="Your name" />
        <button id="sign">Sign</button>
      </form>
      <ul id="guests">
        {(await entries()).map((name, index) => (
          <li key={index}>{name}</li>
        ))}
      </ul>
      <Link href="/slow">Slow page</Link>
    </main>
  );
}
