import { beforeEach, describe, expect, test } from 'vitest';
import { UndoSteps } from '../src/index.ts';

let steps: UndoSteps;
let undone: string[];

beforeEach(() => {
  steps = new UndoSteps();
  undone = [];
});

function push(name: string, error?: Error): void {
  steps.push(async () => {
    await Promise.resolve();
    undone.push(name);
    if (error !== undefined) throw error;
  });
}

describe('UndoSteps', () => {
  test('undoes the last first, each when the one before is over, and each once', async () => {
    for (const name of ['a', 'b', 'c']) push(name);
    await steps.undo();
    await steps.undo();
    expect(undone).toEqual(['c', 'b', 'a']);
  });

  test('tries the rest after a step that fails, and throws its error', async () => {
    const error = new Error('disk full');
    push('a');
    push('b', error);
    push('c');
    await expect(steps.undo()).rejects.toBe(error);
    expect(undone).toEqual(['c', 'b', 'a']);
  });

  test('throws all errors when several fail, the first one first', async () => {
    const [first, second] = [new Error('disk full'), new Error('no such file')];
    push('a', second);
    push('b');
    steps.push(() => {
      throw first;
    });
    const thrown = await steps.undo().catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(AggregateError);
    expect((thrown as AggregateError).errors).toEqual([first, second]);
    expect((thrown as AggregateError).message).toBe('disk full; no such file');
    expect(undone).toEqual(['b', 'a']);
  });
});
