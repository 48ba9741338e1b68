/** Lets toEqual() see into bitfields: their bytes are private, so that without this any two of them would be equal. */
import { Bitfield } from '@bootswarm/stdx';
import { expect } from 'vitest';

expect.addEqualityTesters([
  (a, b) => {
    if (!(a instanceof Bitfield) || !(b instanceof Bitfield)) return undefined;
    return a.size === b.size && Buffer.from(a.toBytes()).equals(b.toBytes());
  },
]);
