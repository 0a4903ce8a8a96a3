'use client';

import { useState } from 'react';

export default function Counter() {
  const [count, setCount] = useState(0);
  const [answer, setAnswer] = useState('');

  async function ask() {
    const response = await fetch('/api/hello', { method: 'POST', body: JSON.stringify({ name: 'button' }) });
    setAnswer((await response.json()).greeting);
  }

  return (
    <p>
      <button id="count" onClick={() => setCount(count + 1)}>
        Clicked {count} times
      </button>{' '}
      <button id="ask" onClick={ask}>
        Ask the API
      </button>{' '}
      <output id="answer">{answer}</output>
    </p>
  );
}
