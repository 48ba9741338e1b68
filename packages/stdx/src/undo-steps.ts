/**
 * What undoes the steps of a start. Decides that each is tried, also after one that failed, and what is told of several that
 * did; whether that ends the process is its caller's to say.
 */
import { messageOf } from './errors.ts';

export type UndoStep = () => unknown;

export class UndoSteps {
  readonly #steps: UndoStep[] = [];

  push(step: UndoStep): void {
    this.#steps.push(step);
  }

  /** From the last to the first, each once. Throws the error of the step that failed, or an AggregateError of several. */
  async undo(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 1) throw new AggregateError(errors, errors.map(messageOf).join('; '));
    if (errors.length === 1) throw errors[0];
  }
}
