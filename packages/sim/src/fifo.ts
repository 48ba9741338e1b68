/** A queue linked through its items: no memory of its own, since a storm has a hundred thousand of them, most of them empty. */

/** An item is in one queue at a time. */
export interface Linked<T> {
  next: T | undefined;
}

export class Fifo<T extends Linked<T>> {
  #first: T | undefined = undefined;
  #last: T | undefined = undefined;

  get first(): T | undefined {
    return this.#first;
  }

  push(item: T): void {
    item.next = undefined;
    if (this.#last === undefined) this.#first = item;
    else this.#last.next = item;
    this.#last = item;
  }

  shift(): T | undefined {
    const item = this.#first;
    if (item === undefined) return undefined;
    this.#first = item.next;
    if (this.#first === undefined) this.#last = undefined;
    item.next = undefined;
    return item;
  }

  clear(): void {
    this.#first = undefined;
    this.#last = undefined;
  }
}
