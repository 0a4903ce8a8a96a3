export interface Task {
  id: number;
  title: string;
  done: boolean;
}

export class Tasks {
  private readonly tasks = new Map<number, Task>();
  private next = 1;

  all(): readonly Task[] {
    return [...this.tasks.values()];
  }

  add(task: Omit<Task, 'id'>): Task {
    const added: Task = { id: this.next++, ...task };
    this.tasks.set(added.id, added);
    return added;
  }

  remove(id: number): boolean {
    return this.tasks.delete(id);
  }
}
