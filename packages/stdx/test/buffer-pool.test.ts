import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BufferPool } from '../src/index.ts';

describe('BufferPool', () => {
  it('gives out a buffer again that came back, and never one that is out', () => {
    const pool = new BufferPool(8, 4);
    const first = pool.take();
    const second = pool.take();
    expect(second).not.toBe(first);
    pool.give(first);
    expect(pool.take()).toBe(first);
  });

  it('gives out buffers that are alone on their memory', () => {
    const buffer = new BufferPool(8, 1).take();
    expect([buffer.byteLength, buffer.buffer.byteLength]).toEqual([8, 8]);
  });

  it('gives out buffers that other threads can be given, if it is to', () => {
    const { buffer } = new BufferPool(8, 1, 'shared').take();
    expect([buffer.byteLength, buffer instanceof SharedArrayBuffer]).toEqual([8, true]);
  });

  it('ignores a buffer that is back already', () => {
    const pool = new BufferPool(8, 4);
    const buffer = pool.take();
    pool.give(buffer);
    pool.give(buffer);
    expect(pool.spareCount).toBe(1);
    expect(pool.take()).not.toBe(pool.take());
  });

  it('ignores a buffer of another, and a view on one of its own', () => {
    const pool = new BufferPool(8, 4);
    pool.give(new Uint8Array(8));
    pool.give(new BufferPool(8, 1).take());
    pool.give(pool.take().subarray(0));
    expect(pool.spareCount).toBe(0);
  });

  it('keeps no more spares than it may', () => {
    const pool = new BufferPool(8, 2);
    const taken = [pool.take(), pool.take(), pool.take()];
    for (const buffer of taken) pool.give(buffer);
    expect(pool.spareCount).toBe(2);
  });

  it('never has a buffer out twice, whatever is taken and given', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat({ max: 20 }))), (steps) => {
        const pool = new BufferPool(4, 3);
        const out: Uint8Array[] = [];
        const seen: Uint8Array[] = [];
        for (const step of steps) {
          if (step === null) {
            const buffer = pool.take();
            expect(out).not.toContain(buffer);
            out.push(buffer);
            seen.push(buffer);
          } else if (step < seen.length) {
            pool.give(seen[step]);
            if (out.includes(seen[step])) out.splice(out.indexOf(seen[step]), 1);
          }
        }
      }),
    );
  });
});
