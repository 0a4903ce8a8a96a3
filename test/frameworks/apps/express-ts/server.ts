import { AsyncLocalStorage } from 'node:async_hooks';
import express, { type NextFunction, type Request, type Response } from 'express';
import { z } from 'zod';
import { Tasks, type Task } from './tasks.ts';

interface Context {
  requestId: string;
}

const context = new AsyncLocalStorage<Context>();
const tasks = new Tasks();
const NewTask = z.object({ title: z.string().min(1), done: z.boolean().default(false) });

const app = express();
app.use(express.json());
app.use((req: Request, _res: Response, next: NextFunction) => {
  context.run({ requestId: req.get('x-request-id') ?? 'none' }, next);
});

app.get('/tasks', (_req: Request, res: Response<readonly Task[]>) => {
  res.json(tasks.all());
});

app.post('/tasks', (req: Request, res: Response) => {
  const parsed = NewTask.safeParse(req.body);
  if (!parsed.success) {
    res.status(422).json({ issues: parsed.error.issues.map((issue) => issue.path.join('.')) });
    return;
  }
  res.status(201).json(tasks.add(parsed.data));
});

app.delete('/tasks/:id', (req: Request<{ id: string }>, res: Response) => {
  res.sendStatus(tasks.remove(Number(req.params.id)) ? 204 : 404);
});

app.get('/context', async (_req: Request, res: Response) => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  res.json({ requestId: context.getStore()?.requestId as string });
});

const port = Number(process.env.PORT ?? 3000);
app.listen(port);
