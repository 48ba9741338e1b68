/** All children of a demo: none is started after the end has begun, and none outlives this process. */
import { OperatorError } from '@bootswarm/stdx';
import { Child, type ChildCommand } from './child.ts';

export class ChildSet {
  readonly #children: Child[] = [];
  readonly #killAll = () => {
    for (const child of this.#children) child.kill();
  };
  #isClosed = false;

  constructor() {
    // Reached even when this process crashes; everything else here needs an event loop.
    process.on('exit', this.#killAll);
  }

  start(command: ChildCommand): Child {
    if (this.#isClosed) {
      throw new OperatorError('demo-ending', `${command.name} is not started: the demo ends`, '');
    }
    const child = new Child(command);
    this.#children.push(child);
    return child;
  }

  /** Ends the youngest first: VMs before the agents they read from, agents before the tracker. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const child of this.#children.toReversed()) await child.stop();
    process.removeListener('exit', this.#killAll);
  }
}
