import { Suspense } from 'react';

export const dynamic = 'force-dynamic';

async function Late() {
  await new Promise((resolve) => setTimeout(resolve, 700));
  return <p id="late">The late part</p>;
}

export default function Slow() {
  return (
    <main>
      <h1>The early part</h1>
      <Suspense fallback={<p>Loading…</p>}>
        <Late />
      </Suspense>
    </main>
  );
}
