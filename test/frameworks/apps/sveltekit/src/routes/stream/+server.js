export function GET() {
  const encoder = new TextEncoder();
  let tick = 0;
  const body = new ReadableStream({
    async pull(controller) {
      if (tick > 0) await new Promise((resolve) => setTimeout(resolve, 150));
      controller.enqueue(encoder.encode(`data: ${tick++}\n\n`));
      if (tick === 5) controller.close();
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
}
