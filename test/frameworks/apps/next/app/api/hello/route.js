import { cookies } from 'next/headers';

export const dynamic = 'force-dynamic';

export async function GET(request) {
  const { searchParams } = new URL(request.url);
  (await cookies()).set('visited', 'yes', { httpOnly: true });
  return Response.json({ greeting: `Hello, ${searchParams.get('name') ?? 'API'}`, agent: request.headers.get('user-agent') });
}

export async function POST(request) {
  const { name } = await request.json();
  return Response.json({ greeting: `Hello, ${name}` }, { status: 201 });
}
