/** Shows a storm while it goes on: a table that is drawn again in place on a terminal, a line per event elsewhere. */
import { cursorTo, moveCursor } from 'node:readline';
import { formatBytes } from '../byte-size.ts';
import { type Output, print } from '../terminal.ts';
import { bootedCount, type GuestResult, guestTable } from './demo-report.ts';

export interface StormView {
  /** Called every second or so, and once when it is over. */
  update(guests: readonly GuestResult[]): void;
  /** Leaves the terminal as it was found: whatever follows starts below. */
  end(): void;
}

export function stormView(output: Output): StormView {
  return output.isTTY === true ? new TableView(output) : new LineView(output);
}

class TableView implements StormView {
  readonly #output: Output;
  #linesDrawn = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  update(guests: readonly GuestResult[]): void {
    this.end();
    const table = guestTable(guests, performance.now(), this.#output.columns);
    const { rows = Number.POSITIVE_INFINITY } = this.#output;
    // The cursor cannot go back to a line that has left the top of the screen.
    const shown = table.split('\n').length < rows ? table : countOf(guests);
    print(this.#output, shown);
    this.#linesDrawn = shown.split('\n').length;
  }

  /** Takes the table away. */
  end(): void {
    if (this.#linesDrawn === 0) return;
    moveCursor(this.#output, 0, -this.#linesDrawn);
    cursorTo(this.#output, 0);
    this.#output.write('\x1b[J');
    this.#linesDrawn = 0;
  }
}

class LineView implements StormView {
  readonly #output: Output;
  readonly #told = new Set<string>();

  constructor(output: Output) {
    this.#output = output;
  }

  update(guests: readonly GuestResult[]): void {
    for (const { name, node, state, read } of guests) {
      if (state.type !== 'ready' && state.type !== 'failed') continue;
      if (this.#told.has(name)) continue;
      this.#told.add(name);
      const how =
        state.type === 'ready' ? `ready after ${state.seconds.toFixed(1)} s` : state.reason;
      const { cache, peers, origin } = read;
      const [fromCache, fromPeers, fromOrigin] = [cache, peers, origin].map(formatBytes);
      const bytes = `cache ${fromCache}, peers ${fromPeers}, origin ${fromOrigin}`;
      print(this.#output, `${name} on ${node}: ${how}; read from ${bytes}`);
    }
  }

  end(): void {}
}

function countOf(guests: readonly GuestResult[]): string {
  const failed = guests.filter(({ state }) => state.type === 'failed').length;
  return `${bootedCount(guests)}/${guests.length} VMs booted, ${failed} failed`;
}
