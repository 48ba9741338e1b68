export { AssertionError, assert, unreachable } from './assert.ts';
export { Bitfield } from './bitfield.ts';
export { BufferPool } from './buffer-pool.ts';
export { copyBytes } from './copy-bytes.ts';
export { errnoOf, messageOf, OperatorError, ProtocolError } from './errors.ts';
export { EventHeap } from './event-heap.ts';
export { LEAN_NODE_ENV, LEAN_NODE_FLAGS } from './lean-node.ts';
export {
  FOLLOWS_MIN,
  ORDER_WINDOW,
  PieceOrder,
  PieceSequence,
  TOUCHES_MIN,
} from './piece-order.ts';
export { Random } from './random.ts';
export { readBounded } from './read-bounded.ts';
export { type ReadableFile, readWhole } from './read-whole.ts';
export { LOG_HOOKS, scrubSecrets } from './scrub-secrets.ts';
export { type UndoStep, UndoSteps } from './undo-steps.ts';
